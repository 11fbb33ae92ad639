"""One datagram of the kernel about a device that came, went or changed (lib/kobject_uevent.c). Pure.

`add@/devices/pci0000:00/.../tty/ttyACM0` NUL `ACTION=add` NUL `DEVPATH=...` NUL `SUBSYSTEM=tty` NUL ...
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# UEVENT_BUFFER_SIZE is 2048 octets of keys, before them the header with a path of at most 4096.
DATAGRAM_MAX_BYTES: Final = 8192
KEYS_MAX: Final = 64  # UEVENT_NUM_ENVP
_HEADER = re.compile(rb"([a-z]{1,16})@(/[^\0]{1,4096})")


@dataclass(frozen=True, slots=True)
class Uevent:
    """`action` is add, remove, change, move, bind, unbind ...; `device` the name below /dev, empty without one."""

    action: str
    path: str
    subsystem: str
    device: str = ""


def parse_uevent(datagram: bytes) -> Uevent | None:
    """None for anything that the kernel does not say in this form: udevd's own messages, and what was cut off."""
    if not 0 < len(datagram) <= DATAGRAM_MAX_BYTES or not datagram.endswith(b"\0"):
        return None
    header, *lines = datagram[:-1].split(b"\0")
    match = _HEADER.fullmatch(header)
    if match is None or len(lines) > KEYS_MAX:
        return None
    keys = dict(line.split(b"=", 1) for line in lines if b"=" in line)
    if keys.get(b"ACTION") != match[1] or keys.get(b"DEVPATH") != match[2] or b"SUBSYSTEM" not in keys:
        return None
    return Uevent(
        match[1].decode("ascii"),
        *(_text(octets) for octets in (match[2], keys[b"SUBSYSTEM"], keys.get(b"DEVNAME", b""))),
    )


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
