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
