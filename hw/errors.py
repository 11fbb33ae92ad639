"""What can go wrong with a device.

DeviceError
├── DeviceLost      the port is gone (unplugged, hung up, EIO): close everything, rebuild, re-apply the profile
├── DeviceFault     the device itself reports a fault: `code` and `text` are the device's own
├── Refused         we did not even send it: limits, not homed, wrong state
├── Deadline        no answer in time; the message says what was waited for
└── ProtocolError   bytes that no firmware of this kind sends; the message holds the raw line
"""

from __future__ import annotations


class DeviceError(Exception):
    """Base of everything a device can do to us."""


class DeviceLost(DeviceError):
    pass


class DeviceFault(DeviceError):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Refused(DeviceError):
    pass


class Deadline(DeviceError):
    pass


class ProtocolError(DeviceError):
    pass


def single_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a group stands for: a lost device, which reader and callers all report, is one error and not a group."""
    leaves: list[BaseException] = [group]
    while any(isinstance(error, BaseExceptionGroup) for error in leaves):
        leaves = [
            leaf
            for error in leaves
            for leaf in (error.exceptions if isinstance(error, BaseExceptionGroup) else [error])
        ]
    if len(leaves) == 1 or all(isinstance(error, DeviceError) for error in leaves):
        return min(leaves, key=lambda error: not isinstance(error, DeviceLost))
    return group
