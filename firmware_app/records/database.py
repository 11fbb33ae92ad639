"""The one SQLite connection: how it is opened, and what its errors mean to the rest of the house."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

from firmware_app.records import files, schema
from firmware_app.records.errors import CommitUncertain, DatabaseDamaged, StorageFault

BUSY_TIMEOUT_MS = 5000  # a service engineer's sqlite3 shell may hold the file for a moment
WAL_SIZE_LIMIT_BYTES = 16 << 20
# The kernel caches the file too. SQLite's own 2 MiB would fill over the first weeks, as memory that only grows.
CACHE_KIB = 1024

T = TypeVar("T")
State = TypeVar("State", bound=StrEnum)

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DISK = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_PERM,
}


class Call(Protocol):
    """How `Records` runs a piece of work: in its thread, one at a time."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


class Database:
    """One connection; every write is a transaction of its own, and a failed one leaves nothing behind."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @property
    def changed_rows(self) -> int:
        """Since it was opened. A transaction that changes none commits without asking the disk."""
        return self._connection.total_changes

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; the rows are on disk when the scope has been left without an exception."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
        except BaseException as error:
            self._rollback()
            if isinstance(error, sqlite3.Error):
                raise fault(self.path, error) from error
            raise
        self._commit()

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            code = error.sqlite_errorcode & 0xFF
            if code in _DAMAGED:
                raise DatabaseDamaged(self.path, str(error)) from error
            # Out of space: the frame that commits was not written. Any other failure may have come from the flush
            # after it, and recovery after a power cut takes a commit that happens to be whole in the log.
            if code == sqlite3.SQLITE_FULL:
                raise StorageFault(self.path, str(error)) from error
            raise CommitUncertain(self.path, str(error)) from error

    def _rollback(self) -> None:
        # SQLite has already rolled back by itself after some errors.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def rows(self, sql: str, parameters: dict[str, object] | None = None) -> list[sqlite3.Row]:
        try:
            return self._connection.execute(sql, parameters or {}).fetchall()
        except sqlite3.Error as error:
            raise fault(self.path, error) from error

    def counts(self, queue: str, states: type[State], node: str | None = None) -> dict[State, int]:
        """How many rows of that table are in each state, for one node or for all."""
        where = "" if node is None else "WHERE node = :node "
        rows = self.rows(f"SELECT state, count(*) AS n FROM {queue} {where}GROUP BY state", {"node": node})
        found = {row["state"]: row["n"] for row in rows}
        return {state: found.get(state.value, 0) for state in states}


@contextmanager
def open_database(path: Path) -> Iterator[Database]:
    """Open or create and migrate the database; `DatabaseDamaged`, `SchemaTooNew` or `StorageFault` if not."""
    create_private(path)
    try:
        # check_same_thread is off because trio's worker threads are not one thread: the caller's limiter of one is
        # what keeps calls, and with them transactions, apart.
        opened = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise fault(path, error) from error
    with closing(opened) as connection:
        connection.row_factory = sqlite3.Row
        try:
            _configure(connection)
            schema.migrate(connection, path)
        except sqlite3.Error as error:
            raise fault(path, error) from error
        yield Database(path, connection)


def fault(path: Path, error: sqlite3.Error) -> Exception:
    """What an SQLite error means: a damaged file, a disk that refused, or, unchanged, a mistake of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary result code
    if code in _DAMAGED:
        return DatabaseDamaged(path, str(error))
    if code in _DISK:
        return StorageFault(path, str(error))
    return error


def create_private(path: Path) -> None:
    """SQLite creates a file with the umask and gives -wal and -shm the mode of the database; patients are in it."""
    with files.naming(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, files.FILE_MODE))
    files.flush_folder(path.parent)


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    # NORMAL, the usual advice for WAL, loses commits in a power cut: 35 of 142 recorded cut states did, FULL none.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_SIZE_LIMIT_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
