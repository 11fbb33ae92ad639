"""Logs of writes made by hand, byte for byte as dm-log-writes has them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

SECTOR = 512
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
Made = tuple[int, int, int, bytes]  # sector, number of sectors, flags, data


def write(sector: int, *letters: str, flags: int = 0) -> Made:
    """A sector full of each letter."""
    data = b"".join(letter.encode() * SECTOR for letter in letters)
    return sector, len(letters), flags, data


def flush() -> Made:
    return 0, 0, FLUSH, b""


def discard(sector: int, count: int) -> Made:
    return sector, count, DISCARD, b""


def log_bytes(entries: Sequence[Made], sector_bytes: int = SECTOR) -> bytes:
    parts = [struct.pack("<QQQI", 0x6A736677736872, 1, len(entries), sector_bytes)]
    for sector, count, flags, data in entries:
        parts.append(struct.pack("<QQQQ", sector, count, flags, 0))
        if data:
            parts.append(data)
    return b"".join(part + bytes(-len(part) % sector_bytes) for part in parts)


def letters(content: bytes | bytearray, sectors: int) -> str:
    """The first letter of each sector, a dot for zeros."""
    return "".join(chr(content[SECTOR * place] or ord(".")) for place in range(sectors))
