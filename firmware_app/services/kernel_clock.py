"""What the kernel says of its clock (adjtimex(2)): whether somebody keeps it in step with the world's."""

from __future__ import annotations

import ctypes

STA_UNSYNC = 0x0040
TIME_ERROR = 5


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
    """Reading needs no privilege. OSError where the kernel, or a container's filter, does not tell."""
    timex = _Timex()  # modes 0: change nothing
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state == -1:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return state != TIME_ERROR and not timex.status & STA_UNSYNC
