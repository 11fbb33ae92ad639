"""What the operator was told, and where the disk's log was at that moment. Pure.

QEMU counts the log's entries in its super block, and has written an entry and that count before the guest hears that
its write or flush is done. Whoever reads the count after he was told something has a position: in every power cut there
or later that must not be lost. The position is never too early: what is demanded had been promised.
"""

from __future__ import annotations

import itertools
from typing import Any

import msgspec


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


class Promise(msgspec.Struct, frozen=True):
    """Told when the log had `position` entries."""

    position: int
    told: Told


_decoder = msgspec.json.Decoder(Promise)


def promise_line(promise: Promise) -> bytes:
    return msgspec.json.encode(promise) + b"\n"


def read_promises(text: bytes) -> list[Promise]:
    """In the order in which they were made. `ValueError` if a line is none, or they go back in the log."""
    promises = [_decoder.decode(line) for line in text.splitlines()]
    if any(later.position < earlier.position for earlier, later in itertools.pairwise(promises)):
        raise ValueError("the promises are not in the order of the log")
    return promises
