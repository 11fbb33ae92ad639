"""DICOM files on their way to an archive: what they are, read in blocks, and as another uncompressed syntax."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from firmware_app.dicom.part10 import FRONT_LENGTH, NotAnInstance, meta_length, read_meta
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from firmware_app.dicom.wholeness import break_in
from firmware_app.net.data_source import result_of, start_in_thread


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


def check_whole(instance: InstanceFile) -> None:
    """Look through a native data set for the end of a copy that broke off. InstanceUnreadable.

    For files from anywhere: a peer that runs out of octets aborts the association, and every file behind has to wait.
    """
    if instance.transfer_syntax_uid not in (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN):
        return
    explicit_vr = instance.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN
    try:
        with (
            instance.path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as octets,
            octets[instance.data_set_offset :] as data_set,
        ):
            reason = break_in(data_set, explicit_vr=explicit_vr)
    except (OSError, ValueError) as error:  # ValueError: it has become empty since
        raise InstanceUnreadable(f"{instance.path}: {reason_of(error)}") from error
    if reason:
        raise InstanceUnreadable(f"{instance.path}: truncated: {reason}")


class FileSource:
    """A data set in a file, read by a thread one block ahead of whoever takes the blocks. Close it.

    The file is opened and its first block read as soon as the source exists. `then`, if somebody sets it, is called
    when the last block is taken: there is nothing left to read ahead here.
    """

    def __init__(self, instance: InstanceFile, block_length: int) -> None:
        self.then: Callable[[], None] | None = None
        self._instance = instance
        self._block_length = block_length
        self._unread = instance.data_set_length
        self._file: io.FileIO | None = None
        self._ahead = self._read_ahead()

    @property
    def length(self) -> int:
        return self._instance.data_set_length

    async def ready(self) -> None:
        """Wait until the first block can be had. InstanceUnreadable."""
        await result_of(self._ahead)

    async def next_block(self) -> memoryview:
        block = await result_of(self._ahead)
        self._unread -= len(block)
        if self._unread:
            self._ahead = self._read_ahead()
        elif self.then is not None:
            self.then()
        return memoryview(block)

    def close(self) -> None:
        """Where the thread is still at it, it leaves the file open until it is done, and nobody waits for that."""
        self._ahead.add_done_callback(self._close_file)

    def _close_file(self, done: object) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _read_ahead(self) -> Future[bytearray]:
        return start_in_thread(partial(self._read, min(self._block_length, self._unread)))

    def _read(self, length: int) -> bytearray:
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            block = bytearray(length)
            view = memoryview(block)
            while view:
                count = self._file.readinto(view)
                if not count:
                    raise InstanceUnreadable(f"{self._instance.path}: shorter than it was")
                view = view[count:]
        except OSError as error:
            raise InstanceUnreadable(f"{self._instance.path}: {reason_of(error)}") from error
        return block

    def _open(self) -> None:
        self._file = io.FileIO(self._instance.path, "rb")
        size = os.fstat(self._file.fileno()).st_size
        if size != self._instance.data_set_offset + self._instance.data_set_length:
            raise InstanceUnreadable(f"{self._instance.path}: has changed: now {size} octets")
        self._file.seek(self._instance.data_set_offset)


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
        # NotImplementedError: pydicom's word for an element whose VR is none of PS3.5 6.2.
        raise InstanceUnreadable(f"{instance.path}: cannot be re-encoded ({type(error).__name__})") from error
    return bytes(buffer.getvalue())


def data_set_of(part10: bytes) -> bytes:
    """The data set of a file in memory. `NotAnInstance`, a ValueError, where it is none."""
    return part10[FRONT_LENGTH + meta_length(part10[:FRONT_LENGTH]) :]


def reason_of(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
