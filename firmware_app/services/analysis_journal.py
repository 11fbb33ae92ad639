"""What was measured already, so that a run that was interrupted goes on where it stopped.

One JSON object a line: the row as `--json` prints it, and under `resume` what it was measured of and with. Every line
is on the disk before the next image is answered; a line that a kill or a power cut tore is cut off when the file is
opened again. An image is measured again if its size or time of change, the scale that was given or the software is
another.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import msgspec

import firmware_app
import firmware_app.endothelium
from firmware_app.services.analysis_rows import Row, shown_name
from firmware_app.services.image_analysis import Wanted

LINE_BYTES_MAX = 2**20
KEY = "resume"
CORE_FILES = (".py", ".npz")


class JournalError(ValueError):
    """The file is not a journal of ours, or another run is writing it."""


class Identity(msgspec.Struct, frozen=True):
    """Of what and with what a row was measured; `path` is absolute."""

    path: str
    size: int
    mtime_ns: int
    um_per_px: float | None
    software: str


class _Line(msgspec.Struct):
    resume: Identity


@lru_cache(maxsize=1)
def software() -> str:
    """The release and a digest of the core's code and weights: the same text, the same numbers."""
    digest = hashlib.sha256()
    (folder,) = (Path(place) for place in firmware_app.endothelium.__path__)
    for file in sorted(file for file in folder.rglob("*") if file.suffix in CORE_FILES):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"{firmware_app.__version__}+{digest.hexdigest()[:12]}"


def identity(file: Path, wanted: Wanted) -> Identity | None:
    """None where the file is not there to be compared: it is then asked about anew."""
    try:
        status = file.stat()
    except OSError:
        return None
    used = software() if wanted.parameters is None else f"{software()} {wanted.parameters}"
    return Identity(shown_name(file.absolute()), status.st_size, status.st_mtime_ns, wanted.um_per_px, used)


class Journal:
    """Opened by `open_journal`."""

    def __init__(self, stream: BinaryIO, known: dict[Identity, Row]) -> None:
        self._stream = stream
        self._known = known

    def row_of(self, of: Identity | None) -> Row | None:
        """What is known of exactly this file, measured exactly so."""
        return None if of is None else self._known.get(of)

    def add(self, of: Identity | None, row: Row) -> None:
        """On the disk when this returns."""
        if of is None:
            return
        self._stream.write(msgspec.json.encode({**row, KEY: of}) + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """Make or continue the journal at `path`.

    Raises `JournalError` if it holds something else or another run has it, `OSError` if it cannot be written.
    """
    with path.open("a+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(f"{path}: another run is writing this file") from None
        yield Journal(stream, _read(stream, path))


def _read(stream: BinaryIO, path: Path) -> dict[Identity, Row]:
    """The rows of all whole lines; a last line without its end is cut off."""
    known: dict[Identity, Row] = {}
    stream.seek(0)
    whole_bytes = 0
    number = 0
    while line := stream.readline(LINE_BYTES_MAX):
        number += 1
        if not line.endswith(b"\n"):
            if len(line) == LINE_BYTES_MAX or (number == 1 and not _begins_like_ours(line)):
                raise JournalError(f"{path}: line {number} is not a result of specular analyze")
            break
        try:
            of = msgspec.json.decode(line, type=_Line).resume
            row: Row = msgspec.json.decode(line)
        except msgspec.MsgspecError as error:
            raise JournalError(f"{path}: line {number} is not a result of specular analyze: {error}") from None
        del row[KEY]
        known[of] = row
        whole_bytes += len(line)
    stream.truncate(whole_bytes)
    stream.seek(0, os.SEEK_END)
    return known


def _begins_like_ours(line: bytes) -> bool:
    """So that a file of one line that is something else is not taken for a torn line of ours, and cut off."""
    start = b'{"file":'
    return line[: len(start)] == start[: len(line)]
