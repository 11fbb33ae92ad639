"""What the operator was told, and how it gets into the disk's own log. Pure.

Behind the file system, on the same disk, lie a few sectors that nobody else uses. Whoever was told something writes it
there as a marker, past the page cache and without a flush, before anything else. So the log of the disk's writes has
one order for both: all that stands in markers before a position was told before a power cut there. A marker comes
after what it tells of, never before: nothing is demanded that had not been promised.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from deploy.power_cuts.write_log import BadLog, WriteLog

MARKER_BYTES = 4096  # a marker fills whole blocks of this size: O_DIRECT asks for it
MARKERS_MAX_BYTES = 1 << 20
_MAGIC = b"ACKNOWL\n"
_HEAD = struct.Struct("<8sII")


class ExamBegun(msgspec.Struct, frozen=True, tag=True):
    exam_id: str
    patient_id: str


class Captured(msgspec.Struct, frozen=True, tag=True):
    """`sha256` is of the image file as it was when the operator read its name."""

    exam_id: str
    capture_id: str
    sha256: str


class Measured(msgspec.Struct, frozen=True, tag=True):
    """The numbers of one revision, 1 being the instrument's own; None: it refused to give any."""

    capture_id: str
    revision: int
    morphometry: dict[str, Any] | None


class ExamClosed(msgspec.Struct, frozen=True, tag=True):
    """Finished or abandoned: `files` are checksums by path in the state folder, of pictures and instances."""

    exam_id: str
    instances: tuple[str, ...] = ()
    files: dict[str, str] = {}


class Stored(msgspec.Struct, frozen=True, tag=True):
    sop_instance_uid: str


class Committed(msgspec.Struct, frozen=True, tag=True):
    instances: tuple[str, ...]


class StepReported(msgspec.Struct, frozen=True, tag=True):
    mpps_sop_instance_uid: str
    step_status: str


Told = ExamBegun | Captured | Measured | ExamClosed | Stored | Committed | StepReported
_decoder: msgspec.json.Decoder[Told] = msgspec.json.Decoder(Told)


def marker(number: int, told: Told) -> bytes:
    """Whole blocks to write. `ValueError` if it does not fit in the markers' place."""
    text = msgspec.json.encode(told)
    size = _HEAD.size + len(text)
    if size > MARKERS_MAX_BYTES:
        raise ValueError(f"a marker of {size} bytes")
    return _HEAD.pack(_MAGIC, number, len(text)) + text + bytes(-size % MARKER_BYTES)


def told_of(block: memoryview | bytes) -> tuple[int, Told]:
    """Number and content of a marker; `ValueError` if it is none."""
    if len(block) < _HEAD.size:
        raise ValueError("not a marker")
    magic, number, length = _HEAD.unpack_from(block)
    if magic != _MAGIC or _HEAD.size + length > len(block):
        raise ValueError("not a marker")
    return number, _decoder.decode(bytes(block[_HEAD.size : _HEAD.size + length]))


def told_in(log: WriteLog, markers_at: int) -> Iterator[tuple[int, Told]]:
    """Position in the log and content of every marker. `BadLog` if one is missing or is no marker."""
    expected = 0
    for place, entry in enumerate(log.entries):
        if entry.first_byte < markers_at or not entry.writes:
            continue
        try:
            number, told = told_of(entry.data)
        except ValueError as error:
            raise BadLog(f"entry {place} of the log: {error}") from error
        if number != expected:
            raise BadLog(f"entry {place} of the log: marker {number} in the place of marker {expected}")
        expected += 1
        yield place, told
