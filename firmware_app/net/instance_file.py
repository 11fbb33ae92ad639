"""DICOM files on their way to an archive: what they are, read in blocks, and as another uncompressed syntax."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from firmware_app.dicom.part10 import FRONT_LENGTH, NotAnInstance, meta_length, read_meta
from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN


class InstanceUnreadable(Exception):
    """The file is not there, not a DICOM instance, or not whole; the text names it."""


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """One instance in a DICOM file. The data set is the file from `data_set_offset` to its end."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    data_set_length: int


def read_instance_file(path: Path) -> InstanceFile:
    """Look at the front of the file. InstanceUnreadable."""
    try:
        with path.open("rb") as file:
            front = file.read(FRONT_LENGTH)
            length = meta_length(front)
            octets = file.read(length)
            if len(octets) < length:
                raise NotAnInstance("ends inside its File Meta Information")
            meta = read_meta(octets)
            offset = FRONT_LENGTH + length
            data_set_length = os.fstat(file.fileno()).st_size - offset
    except (OSError, NotAnInstance) as error:
        raise InstanceUnreadable(f"{path}: {reason_of(error)}") from error
    if data_set_length <= 0 or data_set_length % 2:
        raise InstanceUnreadable(f"{path}: truncated: a data set of {data_set_length} octets")
    return InstanceFile(
        path, meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid, offset, data_set_length
    )


class FileSource:
    """A data set in a file, read block by block in a thread. Close it."""

    def __init__(self, file: io.FileIO, instance: InstanceFile) -> None:
        self._file = file
        self._instance = instance

    @classmethod
    async def open(cls, instance: InstanceFile) -> FileSource:
        try:
            return await trio.to_thread.run_sync(cls._open, instance)
        except OSError as error:
            raise InstanceUnreadable(f"{instance.path}: {reason_of(error)}") from error

    @classmethod
    def _open(cls, instance: InstanceFile) -> FileSource:
        file = io.FileIO(instance.path, "rb")
        try:
            size = os.fstat(file.fileno()).st_size
            if size != instance.data_set_offset + instance.data_set_length:
                raise InstanceUnreadable(f"{instance.path}: has changed: now {size} octets")
            file.seek(instance.data_set_offset)
        except BaseException:
            file.close()
            raise
        return cls(file, instance)

    @property
    def length(self) -> int:
        return self._instance.data_set_length

    async def read_into(self, view: memoryview) -> None:
        try:
            await trio.to_thread.run_sync(self._fill, view)
        except OSError as error:
            raise InstanceUnreadable(f"{self._instance.path}: {reason_of(error)}") from error

    def _fill(self, view: memoryview) -> None:
        while view:
            count = self._file.readinto(view)
            if not count:
                raise InstanceUnreadable(f"{self._instance.path}: shorter than it was")
            view = view[count:]

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()


def transcode_uncompressed(instance: InstanceFile, transfer_syntax_uid: str) -> bytes:
    """The data set in the other uncompressed little endian syntax; blocking, in memory. InstanceUnreadable."""
    # Seldom needed, and 0.1 to 0.4 s to import: the service's start must not wait for it.
    import pydicom
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
    try:
        write_dataset(buffer, pydicom.dcmread(instance.path))
    except (OSError, ValueError, TypeError, AttributeError, KeyError, NotImplementedError) as error:
        raise InstanceUnreadable(f"{instance.path}: cannot be re-encoded: {error}") from error
    return bytes(buffer.getvalue())


def reason_of(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
