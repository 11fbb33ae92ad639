"""How the state folder is opened: locked, looked at, rebuilt where it is damaged, migrated, and brought up to date.

What there is to tell is handed out as notices: nobody listens yet. Synchronous: `store.open_records` runs it in a
worker thread.
"""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from firmware_app.model import EventLevel
from firmware_app.records import files, integrity, safekeeping, schema, sidecars
from firmware_app.records.database import Database, fault, open_database
from firmware_app.records.errors import DatabaseDamaged, StorageFault
from firmware_app.records.folders import EXAMS_FOLDER, ExamFolders
from firmware_app.records.rebuild import MARKER_NAME, WORK_NAME, Progress, has_exams, rebuild
from firmware_app.records.rebuild_report import Problems
from firmware_app.records.take_up import TakenUp, is_removed, known_names, take_up

DATABASE_NAME = "records.sqlite3"
LOCK_NAME = "lock"
_REASON_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened at opening, for an event: without patient data."""

    kind: str
    text: str
    level: EventLevel


@dataclass(slots=True)
class Opened:
    """`stack` closes it all."""

    stack: ExitStack
    database: Database
    notices: list[Notice]


def open_state(state_dir: Path, now: datetime, default_node: str, progress: Progress) -> Opened:
    """Raises `StateLocked`, `SchemaTooNew`, `StorageFault`, or `DatabaseDamaged` where rebuilding did not help.

    `default_node` is where instances go whose sidecars are too old to say it; `progress` is told what a rebuild does.
    """
    path = state_dir / DATABASE_NAME
    with ExitStack() as stack:
        files.make_folder(state_dir / EXAMS_FOLDER)
        stack.enter_context(files.folder_lock(state_dir / LOCK_NAME))
        for left_over in (state_dir / WORK_NAME, state_dir / (safekeeping.COPY_NAME + files.TEMPORARY_SUFFIX)):
            safekeeping.remove_database(left_over)
        try:
            opened = _open(path, now, default_node)
        except DatabaseDamaged as damage:
            progress(f"{path.name} is damaged and is being rebuilt: {damage.reason}")
            rebuild(path, damage.reason, now, default_node, progress)
            opened = _open(path, now, default_node)
        stack.push(opened.stack)
        return Opened(stack.pop_all(), opened.database, opened.notices)


def mark_damaged(state_dir: Path, damage: DatabaseDamaged) -> None:
    """So that the next start rebuilds without having to find the damage again."""
    with contextlib.suppress(StorageFault):  # the damage is what has to be told; the next start looks for itself
        files.replace_file(state_dir / MARKER_NAME, damage.reason.encode()[:_REASON_MAX_BYTES])


def _open(path: Path, now: datetime, default_node: str) -> Opened:
    notices: list[Notice] = []
    try:
        version = _look(path)
    except sqlite3.Error as error:
        raise fault(path, error) from error
    if 0 < version < len(schema.MIGRATIONS):
        notices.append(_keep_before_migration(path, version))
    if version > len(schema.MIGRATIONS):
        text = f"the database was written by a later release (schema {version}), which says that this one may use it"
        notices.append(Notice("records.later_schema", text, "warning"))
    with ExitStack() as stack:
        database = stack.enter_context(open_database(path))
        notices += _take_up_latest(path.parent, database, now, default_node)
        return Opened(stack.pop_all(), database, notices)


def _look(path: Path) -> int:
    """The schema, 0 of a new database. Raises `DatabaseDamaged` also where there should be one and is none."""
    marker = path.with_name(MARKER_NAME)
    if marker.exists():
        raise DatabaseDamaged(path, _words(marker))
    if path.is_dir():
        return 0  # opening says it better
    is_there = path.exists() and path.stat().st_size > 0
    version = integrity.check_at_start(path) if is_there else 0
    if version == 0 and has_exams(path.parent):
        raise DatabaseDamaged(path, "it is empty" if path.exists() else "it is missing")
    return version


def _words(marker: Path) -> str:
    try:
        with marker.open("rb") as file:
            return file.read(_REASON_MAX_BYTES).decode("utf-8", "replace") or "found while the service ran"
    except OSError as error:
        return f"found while the service ran ({error.strerror})"


def _keep_before_migration(path: Path, version: int) -> Notice:
    """A migration is all or nothing without the copy, too: a full disk keeps nobody from starting."""
    try:
        kept = safekeeping.keep_before_migration(path, version)
    except StorageFault as error:
        text = f"no copy of the database could be kept before its schema {version} is changed: {error}"
        return Notice("records.migrated", text, "warning")
    words = f"the database of schema {version} is kept as {kept.name}; this release has schema {len(schema.MIGRATIONS)}"
    return Notice("records.migrated", words, "info")


def _take_up_latest(state_dir: Path, database: Database, now: datetime, default_node: str) -> list[Notice]:
    """What was written last and the database does not know: a crash parted them, or its log was damaged."""
    taken, problems = TakenUp(), Problems()
    latest = ExamFolders(state_dir, database).tidy()
    with database.transaction() as connection:
        for exam_id in latest:
            try:
                if is_removed(connection, exam_id):
                    continue
                known = known_names(connection, exam_id)
                found = sidecars.read_folder(state_dir, exam_id, known, checksums=True)
            except OSError as error:
                problems.add([f"{EXAMS_FOLDER}/{exam_id}: {error.strerror}"])
                continue
            taken += take_up(connection, found, now, default_node)
            problems.add(found.problems)
    notices = []
    if taken.words():
        text = f"the database did not know all that was written last; taken up from the files: {taken.words()}"
        notices.append(Notice("records.taken_up", text, "warning"))
    if problems.count:
        text = f"{problems.count} files of the latest exams are not as they should be: {'; '.join(problems.texts[:5])}"
        notices.append(Notice("records.file_problems", text, "warning"))
    return notices
