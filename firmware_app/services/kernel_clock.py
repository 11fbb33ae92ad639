"""What the kernel says of its clock (adjtimex(2)): whether somebody keeps it in step with the world's."""

from __future__ import annotations

import ctypes
from pathlib import Path

STA_UNSYNC = 0x0040
TIME_ERROR = 5
# systemd-timesyncd touches it when a server has set the clock in this boot; a sandbox (ProtectClock=) forbids the call.
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")


class _Timex(ctypes.Structure):
    """The head of struct timex; the rest is never read, and has 208 bytes at most on every Linux."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def is_synchronised() -> bool:
    """Reading needs no privilege. OSError where neither the kernel nor the time client tells."""
    try:
        return kernel_says()
    except OSError:
        if SYNCHRONISED.exists():
            return True
        raise


def kernel_says() -> bool:
    """OSError where a sandbox or a container forbids the question."""
    timex = _Timex()  # modes 0: change nothing
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state == -1:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return state != TIME_ERROR and not timex.status & STA_UNSYNC
