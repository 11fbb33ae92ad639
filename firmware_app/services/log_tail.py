"""The last lines of the log, kept by the service itself in the state folder: for the bundle, where no journal is read.

Two files that take turns, so that never more than `max_bytes` are there. The lines are those without patient data,
whatever the configuration writes into the journal.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import trio

from firmware_app.progress import DISK_S, idle, working
from firmware_app.records import files
from firmware_app.services.log import TAIL, LogTail

FOLDER, NAME, OLDER = "log", "service.jsonl", "service.1.jsonl"
# What is in memory alone, and gone when the process is killed.
KEEP_EVERY_S = 1.0
AFTER_REFUSAL_S = 60.0
LAST_S = 1.0


class LogTailKeeper:
    def __init__(self, state_dir: Path, max_bytes: int, tail: LogTail = TAIL) -> None:
        self._folder = state_dir / FOLDER
        self._half_bytes = max_bytes // 2
        self._tail = tail
        self._disk = trio.CapacityLimiter(1)
        self.trouble = ""

    @property
    def paths(self) -> tuple[Path, Path]:
        """Older first; either may be missing."""
        return self._folder / OLDER, self._folder / NAME

    async def run(self) -> None:
        """Keep until cancelled, and then what was said until then. A disk that refuses costs lines, nothing else."""
        try:
            while True:
                with idle("the next second"):
                    await trio.sleep(AFTER_REFUSAL_S if self.trouble else KEEP_EVERY_S)
                await self._keep()
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(LAST_S):
                await self._keep()

    async def _keep(self) -> None:
        lines = self._tail.take()
        if not lines:
            return
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
        with working("the disk of the log", DISK_S):
            self.trouble = await trio.to_thread.run_sync(partial(self._append, data), limiter=self._disk)

    def _append(self, data: bytes) -> str:
        """Empty, or why not."""
        older, current = self.paths
        try:
            self._folder.mkdir(mode=files.FOLDER_MODE, parents=True, exist_ok=True)
            descriptor = os.open(current, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, files.FILE_MODE)
            with os.fdopen(descriptor, "ab") as file:
                file.write(data)
                is_full = file.tell() >= self._half_bytes
            if is_full:
                current.replace(older)
        except OSError as error:
            return error.strerror or str(error)
        return ""
