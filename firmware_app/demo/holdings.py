"""What the embedded archive holds: one Part 10 file per instance, byte for byte as it came, and an index in memory."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

MAX_INSTANCES = 10_000  # an exam makes about ten; this bounds the index to a few tens of MB


class Duplicate(Exception):
    """The same SOP Instance UID came again with another content."""


class Full(Exception):
    """There is no room for one more instance."""


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One stored instance; `header` is its data set without the pixels, `sha256` that of the encoded data set."""

    header: Dataset
    transfer_syntax_uid: str
    path: Path
    sha256: str
    data_set_bytes: int


class Holdings:
    """The archive's folder. Safe to call from the threads of several associations."""

    def __init__(self, folder: Path) -> None:
        """Open `folder` and index what it already holds; OSError when it cannot be used."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._instances: dict[str, Instance] = {}
        for path in sorted(folder.glob("*.dcm")):
            try:
                instance = _read(path)
            except (InvalidDicomError, AttributeError, OSError):
                continue  # somebody else's file: the archive neither serves nor touches it
            self._instances[str(instance.header.SOPInstanceUID)] = instance

    def instances(self) -> list[Instance]:
        with self._lock:
            return list(self._instances.values())

    def add(self, sop_instance_uid: str, part10: bytes) -> Instance:
        """Keep an instance; it is on disk and fsynced on return. `Duplicate`, `Full` or OSError when it is not."""
        instance = _parse(part10, self._folder / f"{sop_instance_uid}.dcm")
        with self._lock:
            held = self._instances.get(sop_instance_uid)
            if held is not None and held.sha256 != instance.sha256:
                raise Duplicate(f"{sop_instance_uid} is held with another content")
            if held is not None:
                return held
            if len(self._instances) >= MAX_INSTANCES:
                raise Full(f"{MAX_INSTANCES} instances are held")
            _write_durably(instance.path, part10)
            self._instances[sop_instance_uid] = instance
            return instance


def data_set_of(part10: bytes) -> bytes:
    """The encoded data set behind the file meta information (PS3.10 section 7.1)."""
    # (0002,0000) is the first element: group, element, "UL", 2-byte length 4, then the bytes of the rest of the group.
    if part10[128:132] != b"DICM" or part10[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        raise InvalidDicomError("no Part 10 file with a File Meta Information Group Length")
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


def _read(path: Path) -> Instance:
    return _parse(path.read_bytes(), path)


def _parse(part10: bytes, path: Path) -> Instance:
    data_set = data_set_of(part10)
    header = dcmread(BytesIO(part10), stop_before_pixels=True)
    return Instance(
        header=header,
        transfer_syntax_uid=str(header.file_meta.TransferSyntaxUID),
        path=path,
        sha256=hashlib.sha256(data_set).hexdigest(),
        data_set_bytes=len(data_set),
    )


def _write_durably(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)
