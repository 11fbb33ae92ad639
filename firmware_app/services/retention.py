"""Room on the disk: exams that every archive has committed to are removed by age and for space, oldest first.

Nothing else is ever removed. Where what may go is not enough, no new exam begins, long before the disk is full: the
operator hears how much is free and what waits for what, and the exam that is open can be finished with the reserve.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import trio

from firmware_app.model import Event, EventLevel
from firmware_app.progress import idle
from firmware_app.records.errors import RecordsError
from firmware_app.records.removals import Removal, SafeWhen
from firmware_app.records.store import Records
from firmware_app.services.queue_task import wake
from firmware_app.services.retention_rules import (
    RetentionRules,
    Room,
    Space,
    amount,
    blocked_words,
    why_remove,
)
from firmware_app.services.standing import Standing
from hw.errors import Refused

LOOK_S = 600.0  # without a wake-up: others write to the disk too, and exams grow old by themselves


def space_of(folder: Path) -> Space:
    """statvfs(3) of the folder's file system; OSError."""
    found = os.statvfs(folder)
    # A file system that makes inodes as it needs them says that it has none.
    free_files = found.f_favail if found.f_files else None
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, free_files)


class RetentionService:
    """`space` reads the disk, in a thread. `safe_when` says what has to be so before an exam may go."""

    def __init__(
        self,
        records: Records,
        rules: RetentionRules,
        safe_when: SafeWhen,
        space: Callable[[], Space],
        publish: Callable[[Event], None],
    ) -> None:
        self._records = records
        self._rules = rules
        self._safe_when = safe_when
        self._space = space
        self._publish = publish
        self._wake, self._woken = trio.open_memory_channel[None](1)
        self._one_at_a_time = trio.Lock()
        self._room = Room.AMPLE
        self._told_fault = ""
        self.detail = "not looked at yet"

    def wake(self) -> None:
        """Something was committed to, or an exam was closed: what may go may have grown."""
        wake(self._wake)

    async def run(self) -> None:
        while True:
            await self.make_room()
            with trio.move_on_after(LOOK_S), idle("exams that may go"):
                await self._woken.receive()

    async def require_room(self) -> None:
        """Before a new exam. `Refused` with how much is free and what stands in the way, where it is too little."""
        space = await self._read()
        if space is None or space.room(self._rules) is not Room.NEARLY_FULL:
            return
        space = await self.make_room() or space
        if space.room(self._rules) is Room.NEARLY_FULL:
            raise Refused(
                f"no new exam: the disk is nearly full, {space.words}, and the last "
                f"{amount(self._rules.reserve_bytes)} are kept for an exam that is open. {await self._blocked()}"
            )

    async def make_room(self) -> Space | None:
        """Remove what is due; how much is free then, None where the disk does not say."""
        async with self._one_at_a_time:
            space = await self._read()
            if space is None:
                return None
            try:
                await self._records.removals.finish()
                space = await self._remove_due(space)
            except RecordsError as error:
                self._tell_fault(f"exams could not be removed: {error}")
            else:
                self._told_fault = ""
            await self._tell_room(space)
            return space

    async def _remove_due(self, space: Space) -> Space:
        while self._rules.keep_days or space.room(self._rules) is not Room.AMPLE:
            oldest = await self._records.removals.removable(self._safe_when)
            if not oldest:
                return space
            finished_at = datetime.fromisoformat(oldest[0].finished_at)
            reason = why_remove(finished_at, space, self._rules, self._records.now())
            if reason is None:
                return space
            removal = await self._records.removals.remove(oldest[0].exam_id, reason, self._safe_when)
            if removal is not None:
                self._tell_removed(removal)
            space = await self._read() or space
        return space

    async def _read(self) -> Space | None:
        try:
            return await trio.to_thread.run_sync(self._space)
        except OSError as error:
            self._tell_fault(f"the free space of the disk is not known: {error.strerror or error}")
            return None

    # ------------------------------------------------------------------------------------------- telling

    def _tell_removed(self, removal: Removal) -> None:
        safe = "every instance is committed" if not self._safe_when.stored_is_enough_at else "every instance is safe"
        data: dict[str, object] = {
            "exam_id": removal.exam_id,
            "freed_bytes": removal.freed_bytes,
            "instances": list(removal.instances),
            "standing": str(Standing.REMOVED),
        }
        freed = f"{len(removal.instances)} instances, {amount(removal.freed_bytes)}"
        text = f"exam {removal.exam_id} removed from this instrument ({freed}), {removal.reason}: {safe}"
        self._publish(Event("retention.removed", text, data))

    async def _tell_room(self, space: Space) -> None:
        before, self._room = self._room, space.room(self._rules)
        self.detail = space.words
        if self._room is Room.AMPLE:
            if before is not Room.AMPLE:
                self._publish(Event("retention.room", f"there is room on the disk again: {space.words}"))
            return
        blocked = await self._blocked()
        self.detail += f", nearly full: no new exam begins. {blocked}" if self._room is Room.NEARLY_FULL else ""
        if self._room is before:
            return
        level: EventLevel = "alert" if self._room is Room.NEARLY_FULL else "warning"
        consequence = "no new exam begins" if self._room is Room.NEARLY_FULL else "nothing more may be removed"
        text = f"little room on the disk: {space.words}; {consequence}. {blocked}"
        self._publish(Event("retention.low", text, {"free_bytes": space.free_bytes}, level))

    async def _blocked(self) -> str:
        """Which exams could go if somebody did something about them."""
        try:
            blocking, unfinished = await self._records.removals.blocking()
        except RecordsError as error:
            return f"What waits for what is not known: {error}"
        words = blocked_words(blocking, unfinished, stored_stays=not self._safe_when.stored_is_enough_at)
        return f"Removed as soon as the archives have committed to them: {words}"

    def _tell_fault(self, text: str) -> None:
        if text != self._told_fault:
            self._told_fault = text
            self._publish(Event("retention.failed", text, level="error"))
