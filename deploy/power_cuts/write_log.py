"""The log of a block device's writes and flushes, as QEMU's blklogwrites filter keeps it. Pure.

The format is that of Linux's dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst; its structures are
in drivers/md/dm-log-writes.c), little-endian, in units of the sector size that its super block names:

    super block  u64 magic, u64 version, u64 number of entries, u32 sector size, padded to one sector
    entry        u64 sector, u64 number of sectors, u64 flags, u64 length of a mark, padded to one sector
                 then the data, so many sectors; none where it is a discard

An entry is logged when the device has taken it, so the order of the log is the order in which the device's cache got
the writes, and a flush stands behind everything that it made durable.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

MAGIC = 0x6A736677736872
VERSION = 1
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
# A log of one recording is a few 100 MB; a sector size of a megabyte is no device's.
_MAX_SECTOR_BYTES = 1 << 20


class Flag(IntFlag):
    NONE = 0
    FLUSH = 1  # all before it is on the medium
    FUA = 2  # its own data is on the medium
    DISCARD = 4
    MARK = 8


class BadLog(ValueError):
    """It is no such log, or is cut off; the text says where."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`first_byte` on the device and the bytes written there; a discard has their count only."""

    first_byte: int
    byte_count: int
    flags: Flag
    data: memoryview | bytes

    @property
    def is_flush(self) -> bool:
        return Flag.FLUSH in self.flags

    @property
    def is_durable(self) -> bool:
        return Flag.FUA in self.flags

    @property
    def writes(self) -> bool:
        return self.byte_count > 0 and Flag.MARK not in self.flags


@dataclass(frozen=True, slots=True)
class WriteLog:
    sector_bytes: int
    entries: tuple[Entry, ...]


def entry_count(log: Path) -> int:
    """Of a log that is being written: as many entries as its super block says."""
    with log.open("rb") as file:
        head = file.read(_SUPER.size)
    return int(_SUPER.unpack(head)[2]) if len(head) == _SUPER.size else 0


def of_partition(log: WriteLog, first_byte: int, byte_count: int) -> WriteLog:
    """The same entries, placed on the partition; a write beside it writes nothing, and still flushes if it did.

    Raises `BadLog` for a write across its edge.
    """

    def moved(entry: Entry) -> Entry:
        start, end = entry.first_byte - first_byte, entry.first_byte - first_byte + entry.byte_count
        if entry.byte_count == 0 or end <= 0 or start >= byte_count:
            return Entry(0, 0, entry.flags & Flag.FLUSH, b"")
        if start < 0 or end > byte_count:
            raise BadLog(f"a write of {entry.byte_count} bytes at {entry.first_byte} crosses the partition's edge")
        return Entry(start, entry.byte_count, entry.flags, entry.data)

    return WriteLog(log.sector_bytes, tuple(map(moved, log.entries)))


def read_write_log(log: bytes | memoryview) -> WriteLog:
    """Raises `BadLog`. The entries' data are views of `log`."""
    view = memoryview(log)
    if len(view) < _SUPER.size:
        raise BadLog(f"{len(view)} bytes are no log of writes")
    magic, version, count, sector_bytes = _SUPER.unpack_from(view)
    if magic != MAGIC or version != VERSION:
        raise BadLog(f"no log of writes: magic {magic:#x}, version {version}")
    if not _ENTRY.size <= sector_bytes <= _MAX_SECTOR_BYTES:
        raise BadLog(f"sectors of {sector_bytes} bytes")
    entries: list[Entry] = []
    place = sector_bytes
    for number in range(count):
        if place + sector_bytes > len(view):
            raise BadLog(f"the log ends before its entry {number} of {count}")
        sector, sectors, flags, _ = _ENTRY.unpack_from(view, place)
        if flags & ~0xF:
            raise BadLog(f"entry {number} has the flags {flags:#x}")
        place += sector_bytes
        stored = 0 if flags & Flag.DISCARD else sectors * sector_bytes
        if place + stored > len(view):
            raise BadLog(f"the log ends in the data of its entry {number} of {count}")
        data = view[place : place + stored]
        entries.append(Entry(sector * sector_bytes, sectors * sector_bytes, Flag(flags), data))
        place += stored
    return WriteLog(sector_bytes, tuple(entries))
