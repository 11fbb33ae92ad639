"""Copies of the database: one a day that has been checked whole, and one from before the last migration.

The daily copy is what a rebuild starts from: it keeps delivery states, commitments, MPPS messages, print jobs and
whatever else no sidecar has, so that only what happened since is sent again. Two other ways were weighed: a journal of
states beside the database costs a flush for every step of every instance, and a copy after each exam writes 0.3 GB each
time once there are 100,000 instances (316 MiB, 1.7 s of processor time with the check: bench_records.py).
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from firmware_app.records import files, schema
from firmware_app.records.database import create_private, fault
from firmware_app.records.errors import DatabaseDamaged, SchemaTooNew, StorageFault
from firmware_app.records.integrity import check_whole, looking_only

COPY_NAME = "records.copy.sqlite3"
BEFORE_MIGRATION = "records.schema-{}.sqlite3"
# Exams come first: copies never take the last of the disk.
FREE_AFTER_COPY_BYTES = 1 << 30
SIDE_FILES = ("-journal", "-wal", "-shm")


def keep_copy(path: Path) -> int:
    """Check the database whole and keep a copy of it as it was at one moment; its size in bytes.

    It is the copy that is checked, so that nobody waits and what is kept is sound: a page is copied as it is. Raises
    `DatabaseDamaged`, then of the database itself, or `StorageFault`; the copy of before stays.
    """
    return _copy(path, path.with_name(COPY_NAME), checked=True)


def keep_before_migration(path: Path, version: int) -> Path:
    """Before the schema of `version` is changed: a copy for who falls back, and then no earlier one."""
    target = path.with_name(BEFORE_MIGRATION.format(version))
    _copy(path, target, checked=False)
    others = set(path.parent.glob(BEFORE_MIGRATION.format("*"))) - {target}
    files.remove_files(sorted(others))
    return target


def sound_copy(folder: Path) -> tuple[Path | None, str]:
    """The daily copy, checked again, for a rebuild; or why there is none to start from."""
    path = folder / COPY_NAME
    if not path.exists():
        return None, "there was no copy of the database yet"
    try:
        with looking_only(path) as connection:
            schema.check_readable(connection, path)
            check_whole(connection, path)
    except (DatabaseDamaged, SchemaTooNew, sqlite3.Error) as error:
        return None, f"the copy of the database cannot be used: {error}"
    return path, ""


def copied_at(folder: Path) -> datetime | None:
    """When the daily copy was made."""
    path = folder / COPY_NAME
    with files.naming(path):
        try:
            return datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        except FileNotFoundError:
            return None


def _copy(path: Path, target: Path, *, checked: bool) -> int:
    temporary = target.with_name(target.name + files.TEMPORARY_SUFFIX)
    remove_database(temporary)
    try:
        _require_room(path)
        create_private(temporary)
        with looking_only(path) as source, closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
            source.execute("BEGIN")  # one moment of the database, however long copying takes
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            if checked:
                check_whole(copy, path)
        files.flush_file(temporary)
        size = temporary.stat().st_size
        files.rename(temporary, target)
    except sqlite3.Error as error:
        raise fault(path, error) from error
    finally:
        remove_database(temporary)
    return size


def _require_room(path: Path) -> None:
    needed = path.stat().st_size + FREE_AFTER_COPY_BYTES
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise StorageFault(path, f"no copy is made: {free >> 20} MiB are free, {needed >> 20} MiB should be")


def remove_database(path: Path) -> None:
    """One that nobody needs any more, with what SQLite wrote beside it."""
    files.remove_files([path, *(path.with_name(path.name + side) for side in SIDE_FILES)])
