"""The durable print queue, one film a job. `PrintQueue` is synchronous, `PrintRecords` is what the services see.

Films are printed in the order in which they were asked for; the head of the queue that waits for the printer holds back
the others. A film is never printed twice by itself: from right before the printer is told to print until it has
answered a job is `printing`, and one that is found so afterwards has failed, for a person to decide.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Final

import msgspec

from firmware_app.records.database import Call, Database
from firmware_app.records.errors import UnknownRecord, WrongState
from firmware_app.records.schema import clock_text, seconds_until

INTERRUPTED: Final = "interrupted before the printer was told to print"
MAY_BE_PRINTED: Final = "may have been printed: the printer was told to, and its answer was lost"
WITHDRAWN: Final = "withdrawn by hand"

_INSERT = """
INSERT INTO print_jobs (exam_id, node, automatic, film, images, state, next_attempt_at, created_at, changed_at)
VALUES (:exam_id, :node, :automatic, :film, :images, 'queued', :now, :now, :now)
"""
# Each step names the states it may start from; every other start is a WrongState.
_TO_SENDING = """
UPDATE print_jobs SET state = 'sending', attempts = attempts + 1, next_attempt_at = '', changed_at = :now
WHERE job_id = :job_id AND state = 'queued'
"""
_TO_PRINTING = """
UPDATE print_jobs SET state = 'printing', changed_at = :now WHERE job_id = :job_id AND state = 'sending'
"""
_TO_PRINTED = """
UPDATE print_jobs SET state = 'printed', status = :status, reason = :reason, changed_at = :now
WHERE job_id = :job_id AND state = 'printing'
"""
_TO_RETRY = """
UPDATE print_jobs SET state = 'queued', status = :status, reason = :reason, next_attempt_at = :due, changed_at = :now
WHERE job_id = :job_id AND state IN ('sending', 'printing')
"""
_TO_FAILED = """
UPDATE print_jobs SET state = 'failed', status = :status, reason = :reason, next_attempt_at = '', changed_at = :now
WHERE job_id = :job_id AND state IN ('queued', 'sending', 'printing')
"""
_WITHDRAW = """
UPDATE print_jobs SET state = 'failed', reason = :reason, next_attempt_at = '', changed_at = :now
WHERE job_id = :job_id AND state = 'queued'
"""
_RETRY_BY_HAND = """
UPDATE print_jobs SET state = 'queued', next_attempt_at = :now, changed_at = :now
WHERE job_id = :job_id AND state IN ('queued', 'failed')
"""
_INTERRUPTED_TO_QUEUED = """
UPDATE print_jobs SET state = 'queued', reason = :reason, next_attempt_at = :now, changed_at = :now
WHERE state = 'sending'
"""
_IN_DOUBT_TO_FAILED = """
UPDATE print_jobs SET state = 'failed', reason = :reason, changed_at = :now WHERE state = 'printing'
"""
_OF_NODE = " AND node = :node"


class PrintState(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    PRINTING = "printing"  # the printer has been told to print, its answer is awaited
    PRINTED = "printed"
    FAILED = "failed"  # parked with its reason until somebody decides


@dataclass(frozen=True, slots=True)
class PrintJob:
    """One film. `wait_s` is the time until its next attempt, 0 when it is due or not queued."""

    job_id: int
    exam_id: str
    node: str
    automatic: bool
    film: Mapping[str, str]
    images: tuple[str, ...]
    state: PrintState
    attempts: int
    status: int | None
    reason: str
    next_attempt_at: str
    created_at: str
    wait_s: float


class PrintQueue:
    def __init__(self, database: Database) -> None:
        self._database = database

    # ------------------------------------------------------------------------------------------- looking

    def next_due(self, node: str, now: datetime) -> PrintJob | None:
        """The head of the node's queue, due or not."""
        sql = "SELECT * FROM print_jobs WHERE node = :node AND state = 'queued' ORDER BY job_id LIMIT 1"
        rows = self._database.rows(sql, {"node": node})
        return _job(rows[0], now) if rows else None

    def job(self, job_id: int, now: datetime) -> PrintJob:
        rows = self._database.rows("SELECT * FROM print_jobs WHERE job_id = :job_id", {"job_id": job_id})
        if not rows:
            raise UnknownRecord(f"no print job {job_id}")
        return _job(rows[0], now)

    def jobs(self, limit: int, now: datetime) -> list[PrintJob]:
        """Newest first."""
        sql = "SELECT * FROM print_jobs ORDER BY job_id DESC LIMIT :limit"
        return [_job(row, now) for row in self._database.rows(sql, {"limit": limit})]

    def counts(self) -> dict[PrintState, int]:
        return self._database.counts("print_jobs", PrintState)

    # ------------------------------------------------------------------------------------------- changing

    def add(
        self, exam_id: str, node: str, film: Mapping[str, str], films: Sequence[Sequence[str]], now: datetime
    ) -> list[PrintJob]:
        """Queue one job per entry of `films`, all or none."""
        with self._database.transaction() as connection:
            added = [_insert(connection, exam_id, node, film, images, now, automatic=False) for images in films]
        return [self.job(job_id, now) for job_id in added]

    def add_automatic(
        self, exam_id: str, node: str, film: Mapping[str, str], images: Sequence[str], now: datetime
    ) -> list[PrintJob]:
        """Queue one job per image that has none by itself yet: an exam that is finished again prints nothing twice."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT images FROM print_jobs WHERE exam_id = :exam_id AND automatic = 1", {"exam_id": exam_id}
            ).fetchall()
            there = {image for row in rows for image in _images(row["images"])}
            new = [image for image in images if image not in there]
            added = [_insert(connection, exam_id, node, film, [image], now, automatic=True) for image in new]
        return [self.job(job_id, now) for job_id in added]

    def mark_sending(self, job_id: int, now: datetime) -> PrintJob:
        return self._change(_TO_SENDING, job_id, now)

    def mark_printing(self, job_id: int, now: datetime) -> PrintJob:
        """Before the printer is told to print: on disk when this returns."""
        return self._change(_TO_PRINTING, job_id, now)

    def mark_printed(self, job_id: int, status: int, reason: str, now: datetime) -> PrintJob:
        return self._change(_TO_PRINTED, job_id, now, status=status, reason=reason)

    def mark_retry(self, job_id: int, status: int | None, reason: str, due: datetime, now: datetime) -> PrintJob:
        return self._change(_TO_RETRY, job_id, now, status=status, reason=reason, due=clock_text(due))

    def mark_failed(self, job_id: int, status: int | None, reason: str, now: datetime) -> PrintJob:
        return self._change(_TO_FAILED, job_id, now, status=status, reason=reason)

    def withdraw(self, job_id: int, now: datetime) -> PrintJob:
        """By hand: a film that waits is not printed."""
        return self._change(_WITHDRAW, job_id, now, reason=WITHDRAWN)

    def retry(self, job_id: int, now: datetime) -> PrintJob:
        """By hand: a failed film is queued again, one that waits is due now."""
        return self._change(_RETRY_BY_HAND, job_id, now)

    def _change(self, update: str, job_id: int, now: datetime, **values: object) -> PrintJob:
        with self._database.transaction() as connection:
            changed = connection.execute(update, {"job_id": job_id, "now": clock_text(now), **values}).rowcount
        job = self.job(job_id, now)
        if not changed:
            raise WrongState(f"print job {job_id} is {job.state}: no such step from there")
        return job

    def settle_interrupted(self, node: str | None, now: datetime) -> int:
        """After a crash or a broken-off job: queued again, or failed where it may be on film. Returns how many may."""
        of_node = _OF_NODE if node is not None else ""
        values = {"node": node, "now": clock_text(now)}
        with self._database.transaction() as connection:
            connection.execute(_INTERRUPTED_TO_QUEUED + of_node, {**values, "reason": INTERRUPTED})
            return connection.execute(_IN_DOUBT_TO_FAILED + of_node, {**values, "reason": MAY_BE_PRINTED}).rowcount


def _insert(
    connection: sqlite3.Connection,
    exam_id: str,
    node: str,
    film: Mapping[str, str],
    images: Sequence[str],
    now: datetime,
    *,
    automatic: bool,
) -> int:
    values = {
        "exam_id": exam_id or None,
        "node": node,
        "automatic": automatic,
        "film": msgspec.json.encode(film).decode(),
        "images": msgspec.json.encode(images).decode(),
        "now": clock_text(now),
    }
    return int(connection.execute(_INSERT, values).lastrowid or 0)


def _images(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])


def _job(row: sqlite3.Row, now: datetime) -> PrintJob:
    due = row["next_attempt_at"]
    return PrintJob(
        job_id=row["job_id"],
        exam_id=row["exam_id"] or "",
        node=row["node"],
        automatic=bool(row["automatic"]),
        film=msgspec.json.decode(row["film"], type=dict[str, str]),
        images=_images(row["images"]),
        state=PrintState(row["state"]),
        attempts=row["attempts"],
        status=row["status"],
        reason=row["reason"],
        next_attempt_at=due,
        created_at=row["created_at"],
        wait_s=seconds_until(due, now) if due else 0.0,
    )


class PrintRecords:
    """The print queue, asynchronous; every promise is kept before a call returns. Reached as `Records.print_jobs`."""

    def __init__(self, call: Call, queue: PrintQueue, clock: Callable[[], datetime]) -> None:
        self._call = call
        self._queue = queue
        self._clock = clock

    async def add(
        self, exam_id: str, node: str, film: Mapping[str, str], films: Sequence[Sequence[str]]
    ) -> list[PrintJob]:
        return await self._call(partial(self._queue.add, exam_id, node, film, films, self._clock()))

    async def add_automatic(
        self, exam_id: str, node: str, film: Mapping[str, str], images: Sequence[str]
    ) -> list[PrintJob]:
        return await self._call(partial(self._queue.add_automatic, exam_id, node, film, images, self._clock()))

    async def next_due(self, node: str) -> PrintJob | None:
        return await self._call(partial(self._queue.next_due, node, self._clock()))

    async def job(self, job_id: int) -> PrintJob:
        return await self._call(partial(self._queue.job, job_id, self._clock()))

    async def jobs(self, limit: int = 100) -> list[PrintJob]:
        return await self._call(partial(self._queue.jobs, limit, self._clock()))

    async def counts(self) -> dict[PrintState, int]:
        return await self._call(self._queue.counts)

    async def mark_sending(self, job_id: int) -> PrintJob:
        return await self._call(partial(self._queue.mark_sending, job_id, self._clock()))

    async def mark_printing(self, job_id: int) -> PrintJob:
        return await self._call(partial(self._queue.mark_printing, job_id, self._clock()))

    async def mark_printed(self, job_id: int, status: int, reason: str = "") -> PrintJob:
        return await self._call(partial(self._queue.mark_printed, job_id, status, reason, self._clock()))

    async def mark_retry(self, job_id: int, status: int | None, reason: str, due: datetime) -> PrintJob:
        return await self._call(partial(self._queue.mark_retry, job_id, status, reason, due, self._clock()))

    async def mark_failed(self, job_id: int, status: int | None, reason: str) -> PrintJob:
        return await self._call(partial(self._queue.mark_failed, job_id, status, reason, self._clock()))

    async def withdraw(self, job_id: int) -> PrintJob:
        return await self._call(partial(self._queue.withdraw, job_id, self._clock()))

    async def retry(self, job_id: int) -> PrintJob:
        return await self._call(partial(self._queue.retry, job_id, self._clock()))

    async def settle_interrupted(self, node: str | None = None) -> int:
        return await self._call(partial(self._queue.settle_interrupted, node, self._clock()))
