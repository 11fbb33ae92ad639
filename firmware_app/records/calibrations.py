"""Every calibration that was ever made, in a file of one JSON line each that only grows.

A file beside the database and not a table of it: it must outlive the database and be read by people, and the command
line reads it while the service holds the database. A line is on the disk when `append` returns. What a power cut left
of a line is passed over and told.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from firmware_app.calibration import Calibration, StageCheck
from firmware_app.records import files
from firmware_app.records.errors import StorageFault
from firmware_app.records.seal import SealBroken, check_seal, sealed

JOURNAL_NAME = "calibrations.jsonl"
FORMAT = "specular-calibration/1"
READ_MAX_BYTES = 4 << 20  # some 8000 calibrations, one a day for twenty years
LINE_MAX_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: of the camera or of the stage."""

    camera: Calibration | None = None
    stage: StageCheck | None = None
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class Journal:
    """What the file holds, oldest first. `problems` says of which lines nothing could be made."""

    cameras: tuple[Calibration, ...] = ()
    stages: tuple[StageCheck, ...] = ()
    problems: tuple[str, ...] = ()

    def camera(self, *, simulated: bool, rows: int, columns: int) -> Calibration | None:
        """The latest of a camera that is a simulator or is none, at this size: another binning is another scale."""
        wanted = (simulated, rows, columns)
        matching = (each for each in reversed(self.cameras) if (each.simulated, each.rows, each.columns) == wanted)
        return next(matching, None)

    def stage(self, *, simulated: bool) -> StageCheck | None:
        return next((each for each in reversed(self.stages) if each.simulated == simulated), None)


def read_journal(state_dir: Path) -> Journal:
    """Empty where there is no file yet. `StorageFault` where it cannot be read or is too long to be one."""
    path = state_dir / JOURNAL_NAME
    with files.naming(path):
        try:
            with path.open("rb") as file:
                data = file.read(READ_MAX_BYTES + 1)
        except FileNotFoundError:
            return Journal()
    if len(data) > READ_MAX_BYTES:
        raise StorageFault(path, f"is longer than {READ_MAX_BYTES} bytes: not a journal of calibrations")
    entries, problems = [], []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line:
            continue
        try:
            entries.append(_decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            problems.append(f"{path.name} line {number}: {error}")
    return Journal(
        tuple(each.camera for each in entries if each.camera),
        tuple(each.stage for each in entries if each.stage),
        tuple(problems),
    )


def append(state_dir: Path, entry: Entry) -> None:
    """The entry is on the disk, flushed, when this returns; what was there before is not touched. `StorageFault`."""
    path = state_dir / JOURNAL_NAME
    line = sealed(msgspec.json.encode(entry))
    _decode(line)  # NaN and infinity become null, which could not be read back
    files.make_folder(state_dir)
    with files.naming(path):
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, files.FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # a line of the command line and one of the service
            _write(descriptor, line + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    files.flush_folder(state_dir)


def _write(descriptor: int, line: bytes) -> None:
    """On a line of its own, also after one that a power cut left without an end."""
    size = os.fstat(descriptor).st_size
    files.write_all(descriptor, line if not size or os.pread(descriptor, 1, size - 1) == b"\n" else b"\n" + line)


def _decode(line: bytes) -> Entry:
    if len(line) > LINE_MAX_BYTES:
        raise msgspec.DecodeError(f"{len(line)} bytes are no calibration")
    try:
        check_seal(line)
    except SealBroken as error:
        raise msgspec.ValidationError(str(error)) from error
    entry = msgspec.json.decode(line, type=Entry)
    if entry.format != FORMAT:
        raise msgspec.ValidationError(f"the format {entry.format!r} is not {FORMAT}")
    calibration = entry.camera
    if calibration is not None and not 0 < calibration.um_per_px < 1000:
        raise msgspec.ValidationError(f"um_per_px {calibration.um_per_px} is no scale")
    return entry
