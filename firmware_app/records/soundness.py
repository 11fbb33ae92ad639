"""Whether the database is sound, asked while it is used, and what rebuilds nobody has acknowledged yet.

The check reads all of it over a connection of its own, in a thread of its own: what is recorded meanwhile waits for
nothing. Reached as `Records.soundness`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from firmware_app.records import rebuild_report, safekeeping
from firmware_app.records.database import fault
from firmware_app.records.integrity import check_whole, looking_only
from firmware_app.records.rebuild_report import RebuildReport

T = TypeVar("T")


class Guarded(Protocol):
    """How `Records` notices damage that a call finds."""

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T: ...


class Soundness:
    def __init__(self, guarded: Guarded, state_dir: Path, path: Path, clock: Callable[[], datetime]) -> None:
        self._guarded = guarded
        self._state_dir = state_dir
        self._path = path
        self._clock = clock
        self._one_at_a_time = trio.CapacityLimiter(1)
        self._reports: tuple[RebuildReport, ...] | None = None

    async def check(self) -> None:
        """Read everything. `DatabaseDamaged` says what is wrong; the records are then to be opened again."""
        await self._call(partial(_check, self._path))

    async def keep_copy(self) -> int:
        """Check everything and keep a copy for a rebuild; its size in bytes. Raises as `check`, or `StorageFault`."""
        return await self._call(partial(safekeeping.keep_copy, self._path))

    async def copied_at(self) -> datetime | None:
        """When the last copy was made."""
        return await self._call(partial(safekeeping.copied_at, self._state_dir))

    async def rebuilds(self) -> tuple[RebuildReport, ...]:
        """Those that nobody has acknowledged, oldest first."""
        if self._reports is None:
            self._reports = await self._call(partial(rebuild_report.unacknowledged, self._state_dir))
        return self._reports

    async def acknowledge(self, by: str) -> tuple[RebuildReport, ...]:
        """Somebody has read them. They stay in their folders."""
        reports = await self.rebuilds()
        await self._call(partial(rebuild_report.acknowledge, self._state_dir, reports, by, self._clock()))
        self._reports = None
        return reports

    async def _call(self, work: Callable[[], T]) -> T:
        run = partial(trio.to_thread.run_sync, work, limiter=self._one_at_a_time, abandon_on_cancel=True)
        return await self._guarded(run)


def _check(path: Path) -> None:
    try:
        with looking_only(path) as connection:
            check_whole(connection, path)
    except sqlite3.Error as error:
        raise fault(path, error) from error
