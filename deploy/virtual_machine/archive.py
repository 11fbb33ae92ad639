"""An initramfs: a cpio archive of the kind `newc` (Linux: driver-api/early-userspace/buffer-format.rst)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import BinaryIO


class Initramfs:
    """Files, folders, links and device nodes, each once; folders on the way are made."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._names: set[str] = set()
        self.size = 0

    def __enter__(self) -> Initramfs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._entry("TRAILER!!!", 0, b"")

    def add(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self._once(name, stat.S_IFREG | mode, data)

    def add_file(self, source: Path, name: str) -> None:
        self.add(name, source.read_bytes(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def folder(self, name: str) -> None:
        self._once(name, stat.S_IFDIR | 0o755, b"")

    def link(self, name: str, target: str) -> None:
        self._once(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name: str, major: int, minor: int) -> None:
        self._once(name, stat.S_IFCHR | 0o600, b"", (major, minor))

    def _once(self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        name = name.strip("/")
        if name in self._names:
            return
        parent = name.rpartition("/")[0]
        if parent:
            self.folder(parent)
        self._names.add(name)
        self._entry(name, mode, data, device)

    def _entry(self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        encoded = name.encode() + b"\0"
        inode = len(self._names) if mode else 0
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self._write(head)
        self._write(data)

    def _write(self, data: bytes) -> None:
        padding = -len(data) % 4
        self._file.write(data)
        self._file.write(bytes(padding))
        self.size += len(data) + padding
