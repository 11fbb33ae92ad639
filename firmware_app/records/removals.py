"""Exams whose files are removed after every archive has committed to them. `RemovalTable` synchronous, in the thread.

The row says "removed" before the first file goes: a crash in between leaves files that are removed at the next start,
never a row whose files are missing. What stays of an exam is its rows, and in its folder exam.json, end.json and
removed.json, from which a rebuilt database knows what was here. Whether an exam may go is asked again in the
transaction that removes it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from firmware_app.model import CommitmentState, DeliveryState
from firmware_app.records import documents, files
from firmware_app.records.database import Call, Database
from firmware_app.records.errors import ExamRemoved
from firmware_app.records.folders import END_FILE, EXAM_FILE, PICTURES_FOLDER, REJECTS_FOLDER, REMOVED_FILE, ExamFolders
from firmware_app.records.schema import clock_text
from firmware_app.records.steering import Tally

_STAYS = (EXAM_FILE, END_FILE, REMOVED_FILE)

# Every instance stored and committed to at every node that it was meant for, and no film of it still to be printed.
# `enough` are the nodes where storing it is all that is asked, because nobody there commits to anything.
_REMOVABLE = """
SELECT e.exam_id, e.finished_at FROM exams e
WHERE e.finished_at <> ''
  AND NOT EXISTS (SELECT 1 FROM removals r WHERE r.exam_id = e.exam_id)
  AND EXISTS (SELECT 1 FROM objects o WHERE o.exam_id = e.exam_id)
  AND NOT EXISTS (
    SELECT 1 FROM objects o LEFT JOIN deliveries d ON d.sop_instance_uid = o.sop_instance_uid
    WHERE o.exam_id = e.exam_id AND NOT coalesce(d.state = 'stored' AND (d.commitment = 'committed'
      OR (d.commitment = '' AND d.node IN (SELECT value FROM json_each(:enough)))), 0))
  AND NOT EXISTS (
    SELECT 1 FROM print_jobs p WHERE p.state IN ('queued', 'sending', 'printing')
      AND (p.exam_id IS NULL OR p.exam_id = e.exam_id))
  AND (:unsent_too OR NOT EXISTS (
    SELECT 1 FROM captures c WHERE c.exam_id = e.exam_id AND NOT EXISTS (
      SELECT 1 FROM objects o WHERE o.exam_id = e.exam_id AND o.capture_id = c.capture_id)))
"""
_OLDEST_FIRST = " ORDER BY e.rowid LIMIT :limit"
_THIS_ONE = " AND e.exam_id = :exam"
_NOTE = "INSERT INTO removals (exam_id, removed_at, reason, files_left) VALUES (:exam, :at, :reason, 1)"
_SAY = """
UPDATE deliveries SET removed_at = :at
WHERE sop_instance_uid IN (SELECT sop_instance_uid FROM objects WHERE exam_id = :exam)
"""
# An older copy may have them on their way: they have arrived, or they would not have been removed.
_ARRIVED = """
UPDATE deliveries SET state = 'stored', next_attempt_at = '', removed_at = :at
WHERE node <> '' AND sop_instance_uid IN (SELECT sop_instance_uid FROM objects WHERE exam_id = :exam)
"""
_DONE = "UPDATE removals SET files_left = 0, freed_bytes = :freed WHERE exam_id = :exam"
_UNFINISHED = "SELECT exam_id FROM removals WHERE files_left = 1"
# What stands in the way, for people: by node and state, in exams.
_BLOCKING = """
SELECT d.node, d.state, d.commitment, count(DISTINCT o.exam_id) AS n
FROM deliveries d JOIN objects o ON o.sop_instance_uid = d.sop_instance_uid
WHERE d.removed_at = '' AND NOT (d.state = 'stored' AND d.commitment = 'committed')
GROUP BY d.node, d.state, d.commitment
"""
_UNFINISHED_EXAMS = "SELECT count(*) AS n FROM exams WHERE finished_at = ''"


@dataclass(frozen=True, slots=True)
class SafeWhen:
    """What has to be so before an exam's files may go, beyond commitment at every node that commits."""

    stored_is_enough_at: tuple[str, ...] = ()
    unsent_captures_too: bool = False  # captures that no instance shows go with their exam

    @property
    def values(self) -> dict[str, object]:
        return {"enough": json.dumps(self.stored_is_enough_at), "unsent_too": self.unsent_captures_too}


@dataclass(frozen=True, slots=True)
class Removable:
    exam_id: str
    finished_at: str  # ISO 8601, local


@dataclass(frozen=True, slots=True)
class Removal:
    """What was removed, when (UTC, ISO 8601) and why."""

    exam_id: str
    removed_at: str
    reason: str
    freed_bytes: int
    files_left: bool
    instances: tuple[str, ...]


def insert(connection: sqlite3.Connection, sidecar: documents.RemovalSidecar) -> None:
    """In the caller's transaction: what a rebuild finds of a removed exam. The rest of its files goes at opening."""
    values = {"exam": sidecar.exam_id, "at": sidecar.removed_at, "reason": sidecar.reason}
    connection.execute(_NOTE, values)
    connection.execute(_ARRIVED, values)


class RemovalTable:
    def __init__(self, folders: ExamFolders, database: Database) -> None:
        self._folders = folders
        self._database = database

    # ------------------------------------------------------------------------------------------- looking

    def removable(self, safe_when: SafeWhen, limit: int) -> list[Removable]:
        """The exams that may go, oldest first."""
        rows = self._database.rows(_REMOVABLE + _OLDEST_FIRST, {**safe_when.values, "limit": limit})
        return [Removable(row["exam_id"], row["finished_at"]) for row in rows]

    def removal(self, exam_id: str) -> Removal | None:
        rows = self._database.rows("SELECT * FROM removals WHERE exam_id = :exam", {"exam": exam_id})
        if not rows:
            return None
        row = rows[0]
        return Removal(
            row["exam_id"],
            row["removed_at"],
            row["reason"],
            row["freed_bytes"],
            bool(row["files_left"]),
            self._instances(exam_id),
        )

    def check_present(self, exam_id: str) -> None:
        """`ExamRemoved` if its files are no longer here."""
        removal = self.removal(exam_id)
        if removal is not None:
            raise ExamRemoved(
                f"exam {exam_id} was removed from this instrument on {removal.removed_at[:10]} ({removal.reason}): "
                "the archive has it"
            )

    def blocking(self) -> tuple[list[Tally], int]:
        """How many exams stand where they cannot go, by node, and how many were never closed."""
        tallies = [
            Tally(row["node"], DeliveryState(row["state"]), CommitmentState(row["commitment"]), False, False, row["n"])
            for row in self._database.rows(_BLOCKING)
        ]
        return tallies, self._database.rows(_UNFINISHED_EXAMS)[0]["n"]

    def _instances(self, exam_id: str) -> tuple[str, ...]:
        rows = self._database.rows(
            "SELECT sop_instance_uid FROM objects WHERE exam_id = :exam ORDER BY rowid", {"exam": exam_id}
        )
        return tuple(row["sop_instance_uid"] for row in rows)

    # ------------------------------------------------------------------------------------------- removing

    def remove(self, exam_id: str, reason: str, safe_when: SafeWhen, now: datetime) -> Removal | None:
        """Remove the exam's files; None, and nothing done, where it may not go (any more).

        A `StorageFault` on the way leaves the rest for `finish`.
        """
        values = {"exam": exam_id, "reason": reason, "at": clock_text(now)}
        with self._database.transaction() as connection:
            if connection.execute(_REMOVABLE + _THIS_ONE, {**safe_when.values, **values}).fetchone() is None:
                return None
            connection.execute(_NOTE, values)
            connection.execute(_SAY, values)
        self._remove_files(exam_id)
        return self.removal(exam_id)

    def finish(self) -> list[str]:
        """Remove what a crash or a fault left of removed exams; which these were."""
        left = [row["exam_id"] for row in self._database.rows(_UNFINISHED)]
        for exam_id in left:
            self._remove_files(exam_id)
        return left

    def _remove_files(self, exam_id: str) -> None:
        folder = self._folders.folder(exam_id)
        freed = 0
        if folder.is_dir():
            # Pictures first: they can be made again, and on a full disk they make the room that removed.json needs.
            for inner in (folder / PICTURES_FOLDER, folder / REJECTS_FOLDER):
                freed += _remove_all(inner)
                with suppress(FileNotFoundError):
                    inner.rmdir()
            self._write_sidecar(folder, exam_id)
            freed += _remove_all(folder, keep=_STAYS)
        with self._database.transaction() as connection:
            connection.execute(_DONE, {"exam": exam_id, "freed": freed})

    def _write_sidecar(self, folder: Path, exam_id: str) -> None:
        removal = self.removal(exam_id)
        assert removal is not None
        sidecar = documents.RemovalSidecar(exam_id, removal.removed_at, removal.reason, removal.instances)
        self._folders.replace_file(folder / REMOVED_FILE, documents.encode_sidecar(sidecar))


def _remove_all(folder: Path, keep: tuple[str, ...] = ()) -> int:
    """Remove the folder's files, durably; how many bytes they had. `StorageFault` names the one that stays."""
    freed = 0
    with files.naming(folder):
        there = list(folder.iterdir()) if folder.is_dir() else []
    for path in there:
        with files.naming(path):
            if path.name not in keep and not path.is_dir():
                freed += path.stat().st_size
                path.unlink()
    if folder.is_dir():
        files.flush_folder(folder)
    return freed


class RemovalRecords:
    """`Records.removals`. Every method may raise a `records.errors.RecordsError`."""

    def __init__(self, call: Call, table: RemovalTable, clock: Callable[[], datetime]) -> None:
        self._call = call
        self._table = table
        self._clock = clock

    async def removable(self, safe_when: SafeWhen, limit: int = 1) -> list[Removable]:
        """The exams that may go, oldest first."""
        return await self._call(partial(self._table.removable, safe_when, limit))

    async def remove(self, exam_id: str, reason: str, safe_when: SafeWhen) -> Removal | None:
        """Remove the exam's files; None, and nothing done, where it may not go."""
        return await self._call(partial(self._table.remove, exam_id, reason, safe_when, self._clock()))

    async def finish(self) -> list[str]:
        """Remove what a crash or a fault left of removed exams; which these were."""
        return await self._call(self._table.finish)

    async def removal(self, exam_id: str) -> Removal | None:
        """When and why the exam's files were removed; None where they are here."""
        return await self._call(partial(self._table.removal, exam_id))

    async def blocking(self) -> tuple[list[Tally], int]:
        """How many exams stand where they cannot go, by node, and how many were never closed."""
        return await self._call(self._table.blocking)
