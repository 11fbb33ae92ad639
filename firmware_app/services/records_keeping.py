"""The records' own service: what happened when they were opened, the whole check after READY, and a copy a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import trio

from firmware_app.model import Event
from firmware_app.progress import COMPUTE_S, finished, idle, working
from firmware_app.records.errors import DatabaseDamaged, StorageFault
from firmware_app.records.rebuild_report import RebuildReport
from firmware_app.records.store import Records

# Devices, console and the first look at every queue come before a check that reads the whole database.
FIRST_LOOK_AFTER_S = 20.0
LOOK_EVERY_S = 3600.0
COPY_EVERY = timedelta(days=1)
NOT_ACKNOWLEDGED = "not acknowledged (records, records acknowledge)"


class RecordsKeeping:
    def __init__(self, records: Records, publish: Callable[[Event], None], now: Callable[[], datetime]) -> None:
        self._records = records
        self._publish = publish
        self._now = now
        self._checked = "not checked whole yet"
        self._copied = ""
        self._rebuilds: tuple[RebuildReport, ...] = ()

    @property
    def detail(self) -> str:
        """For the status screen."""
        alarm = "".join(f"{report.short}; {NOT_ACKNOWLEDGED}; " for report in self._rebuilds)
        return f"{alarm}{self._checked}{self._copied}"

    async def run(self) -> None:
        """Until cancelled, or until the database is found damaged: the service then begins anew."""
        for notice in self._records.notices:
            self._publish(Event(notice.kind, notice.text, level=notice.level))
        try:
            await self._remind()
            with idle("the devices and queues, which come first"):
                await trio.sleep(FIRST_LOOK_AFTER_S)
            while True:
                with working("reading all of the database", COMPUTE_S):
                    await self._look()
                with idle("the next copy"):
                    await trio.sleep(LOOK_EVERY_S)
                await self._remind()
        except DatabaseDamaged:
            finished("the database is damaged")  # told by whoever ends the service for it

    async def rebuilds(self) -> tuple[RebuildReport, ...]:
        """Those that nobody has acknowledged."""
        self._rebuilds = await self._records.soundness.rebuilds()
        return self._rebuilds

    async def acknowledge(self, by: str) -> tuple[RebuildReport, ...]:
        acknowledged = await self._records.soundness.acknowledge(by)
        self._rebuilds = ()
        if acknowledged:
            self._publish(Event("records.acknowledged", f"{len(acknowledged)} rebuilds of the database acknowledged"))
        return acknowledged

    async def _remind(self) -> None:
        for report in await self.rebuilds():
            data: dict[str, object] = {"folder": report.folder, "problems": report.problem_count}
            self._publish(Event("records.rebuilt", f"{report.short}; {NOT_ACKNOWLEDGED}", data, "alert"))

    async def _look(self) -> None:
        """A copy where it is due, which is checked as it is made; otherwise the first time the check alone."""
        try:
            copied_at = await self._records.soundness.copied_at()
            # A clock that was set back must not put the next copy off for years.
            if copied_at is None or not timedelta(0) <= self._now() - copied_at < COPY_EVERY:
                size = await self._records.soundness.keep_copy()
                self._copied = f"; copy of {self._time()} ({size / (1 << 20):.1f} MiB)"
            elif not self._copied:
                await self._records.soundness.check()
                self._copied = f"; copy of {copied_at.isoformat(timespec='minutes')}"
            else:
                return
        except StorageFault as error:
            self._copied = f"; no new copy: {error.reason}"
            self._publish(Event("records.no_copy", f"the records could not be copied: {error}", level="warning"))
            return
        self._checked = f"checked whole at {self._time()}"
        self._publish(Event("records.checked", f"the database is sound{self._copied}", level="debug"))

    def _time(self) -> str:
        return self._now().isoformat(timespec="minutes")
