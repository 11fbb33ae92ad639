"""The data partition on the host: checked and read without a mount, by the programs of e2fsprogs."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.power_cuts.cut_states import Patch

BLOCK_BYTES = 4096
PROGRAMS = ("e2fsck", "debugfs")
_CORRECTED = 1  # e2fsck(8): errors were corrected; 4 and more: they were not


class FileSystemError(Exception):
    """A program of e2fsprogs is missing or failed."""


class Corrupt(Exception):
    """The file system is not whole after its repair; the text is what e2fsck said."""


def require_programs() -> None:
    """Raises `FileSystemError`."""
    missing = [name for name in PROGRAMS if _program(name) is None]
    if missing:
        raise FileSystemError(
            f"{', '.join(missing)} not here; on Debian: apt install --no-install-recommends e2fsprogs"
        )


class ImageWriter:
    """Writes states of one disk into sparse files: only blocks that were ever anything but zeros."""

    def __init__(self, content: bytearray, written: Sequence[Patch]) -> None:
        used = {start for start in range(0, len(content), BLOCK_BYTES) if _is_used(content, start)}
        for patch in written:
            first = patch.first_byte // BLOCK_BYTES * BLOCK_BYTES
            used.update(range(first, patch.first_byte + patch.byte_count, BLOCK_BYTES))
        self._runs = list(_runs(sorted(used)))

    def write(self, path: Path, content: bytearray, patches: Sequence[Patch]) -> None:
        """`content` with the patches on top."""
        view = memoryview(content)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.ftruncate(descriptor, len(content))
            for start, end in self._runs:
                os.pwrite(descriptor, view[start:end], start)
            for patch in patches:
                data = bytes(patch.byte_count) if patch.data is None else patch.data
                os.pwrite(descriptor, data, patch.first_byte)
        finally:
            os.close(descriptor)


def repair_and_check(image: Path) -> None:
    """What a boot does (`e2fsck -p`), then a full check that must find nothing. Raises `Corrupt`."""
    status, said = _run("e2fsck", "-p", str(image))
    if status > _CORRECTED:
        raise Corrupt(f"e2fsck -p ended with {status}: {said}")
    status, said = _run("e2fsck", "-f", "-n", str(image))
    if status:
        raise Corrupt(f"e2fsck -fn ended with {status}: {said}")


def read_folder(image: Path, folder: str, into: Path) -> None:
    """Copy a folder of the file system, without a mount. Nothing is made where there is none."""
    status, said = _run("debugfs", "-R", f"rdump {folder} {into}", str(image))
    if status:
        raise FileSystemError(f"debugfs: {said}")


def _is_used(content: bytearray, start: int) -> bool:
    return content.count(0, start, start + BLOCK_BYTES) != min(BLOCK_BYTES, len(content) - start)


def _runs(starts: Sequence[int]) -> Iterator[tuple[int, int]]:
    for _, group in itertools.groupby(enumerate(starts), lambda each: each[1] - each[0] * BLOCK_BYTES):
        blocks = [start for _, start in group]
        yield blocks[0], blocks[-1] + BLOCK_BYTES


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _run(name: str, *arguments: str) -> tuple[int, str]:
    program = _program(name)
    if program is None:
        raise FileSystemError(f"{name} is not here")
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())
