"""Files that are whole or absent, whatever happens in between.

A file is written under a temporary name in its own folder, flushed, renamed, and the folder flushed: until the rename
the old state stands, after the last flush a power cut can no longer take the name away. There is one writer, so a
crash leaves at most one temporary file behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from firmware_app.records.errors import FileDamaged, StateLocked, StorageFault

FILE_MODE = 0o600
FOLDER_MODE = 0o700
TEMPORARY_SUFFIX = ".tmp"
_CHUNK_BYTES = 1 << 20


def make_folder(path: Path) -> None:
    """Create the folder (mode 0700) with its missing parents; on return a power cut cannot take its name away.

    The parent is flushed even if the folder was there: whoever made it may have died before doing so.
    """
    if not path.parent.is_dir():
        make_folder(path.parent)
    with naming(path):
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    flush_folder(path.parent)


def flush_folder(path: Path) -> None:
    with naming(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_files(folder: Path, contents: Mapping[str, bytes], left: set[Path] | None = None) -> None:
    """Write the named files into the folder, durably, in the given order; on a `StorageFault` none of them is left.

    What the disk then does not even let us remove is added to `left`.
    """
    written: list[Path] = []
    try:
        for name, data in contents.items():
            _write_flushed(folder / (name + TEMPORARY_SUFFIX), data, written)
        for name in contents:
            with naming(folder / name):
                (folder / (name + TEMPORARY_SUFFIX)).replace(folder / name)
            written.append(folder / name)
        flush_folder(folder)
    except BaseException:
        _remove_written(written, left)
        raise


def replace_file(path: Path, data: bytes, left: set[Path] | None = None) -> None:
    """Write the file durably in the place of what is there, if anything; on a `StorageFault` one of both is whole.

    `left` as for `write_files`.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    written: list[Path] = []
    try:
        _write_flushed(temporary, data, written)
        with naming(path):
            temporary.replace(path)
        flush_folder(path.parent)
    except BaseException:
        _remove_written(written, left)
        raise


def flush_file(path: Path) -> None:
    """What others have written into it is on the disk when this returns."""
    with naming(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def rename(path: Path, to: Path) -> None:
    """Durably, also from one folder to another."""
    with naming(path):
        path.rename(to)
    flush_folder(to.parent)
    if to.parent != path.parent:
        flush_folder(path.parent)


def _write_flushed(path: Path, data: bytes, written: list[Path]) -> None:
    with naming(path):
        # O_TRUNC, not O_EXCL: a temporary file of this name can only be the rest of a crash.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        written.append(path)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """`OSError` as it comes; a part may have been written by then."""
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def remove_files(paths: list[Path]) -> list[Path]:
    """Remove what can be removed, for the fault is what has to be reported; returns what could not."""
    left = []
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            left.append(path)
    return left


def _remove_written(written: list[Path], left: set[Path] | None) -> None:
    remaining = remove_files(written)
    if left is not None:
        left.update(remaining)


def remove_temporary_files(folder: Path) -> None:
    """Remove what a crash left half written."""
    if folder.is_dir():
        remove_files(list(folder.glob("*" + TEMPORARY_SUFFIX)))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def verify(path: Path, sha256: str) -> None:
    """Check that the file still is what was written; `FileDamaged` if not."""
    checksum = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                checksum.update(chunk)
    except OSError as error:
        raise FileDamaged(path, f"cannot be read: {error.strerror}") from error
    if checksum.hexdigest() != sha256:
        raise FileDamaged(path, "is not what was written: the checksum differs")


def read_verified(path: Path, sha256: str) -> bytes:
    """The file's bytes, checked against the checksum taken when they were written; `FileDamaged` if they differ."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileDamaged(path, f"cannot be read: {error.strerror}") from error
    if digest(data) != sha256:
        raise FileDamaged(path, "is not what was written: the checksum differs")
    return data


@contextlib.contextmanager
def folder_lock(path: Path) -> Iterator[None]:
    """Hold the lock file for as long as the scope lasts; `StateLocked` names the process that holds it already.

    flock and not a pid file: the kernel releases it with the process, however that ends.
    """
    with naming(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise StateLocked(f"{path.parent}: already in use by process {holder}") from None
        with naming(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An `OSError` of the scope becomes a `StorageFault` that names the file."""
    try:
        yield
    except OSError as error:
        raise StorageFault(path, error.strerror or str(error)) from error
