"""Is the database sound? Looked at over a connection that cannot write: what is damaged stays as it was found.

The look at the start is bounded: a database of up to `WHOLE_AT_START_BYTES` is checked whole, of a larger one only what
the service is about to use. All of a larger one is checked after READY, in a thread of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from firmware_app.records import schema
from firmware_app.records.errors import DatabaseDamaged

# Checked whole in some 50 ms of processor time. A database of 100,000 instances has 316 MiB: 0.9 s for the check alone
# (bench_records.py), and as long as it takes to read all of it from a card.
WHOLE_AT_START_BYTES = 16 << 20
_NEWEST_ROWS = 50
_PROBLEMS_TOLD = 5

# JSON is in columns that SQLite's own check takes for text; a zeroed overflow page leaves a row that is no JSON.
_JSON_COLUMNS = (
    ("exams", "worklist_items"),
    ("exams", "found_patient"),
    ("captures", "gaze"),
    ("captures", "calibration"),
    ("measurements", "numbers"),
    ("print_jobs", "film"),
    ("print_jobs", "images"),
)


@contextmanager
def looking_only(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write; `sqlite3.Error` as they come."""
    with closing(
        sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
    ) as connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        try:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
                raise
            _roll_back(path)
        yield connection


def _roll_back(path: Path) -> None:
    """Undo what a power cut left half done before the database had its log: the first moments of a new one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()


def check_at_start(path: Path) -> int:
    """The schema. Raises `DatabaseDamaged`, or `SchemaTooNew`, which is no damage and touches nothing."""
    with looking_only(path) as connection:
        version = schema.check_readable(connection, path)
        pages, page_bytes = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        if pages * page_bytes <= WHOLE_AT_START_BYTES:
            check_whole(connection, path)
        else:
            _check_what_is_used_first(connection)
        return version


def check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Every page, index, constraint, reference and JSON text. Raises `DatabaseDamaged`."""
    problems = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_PROBLEMS_TOLD})") if row[0] != "ok"]
    if not problems:
        problems = [
            f"row {row[1]} of {row[0]} refers to no row of {row[2]}"
            for row in connection.execute("PRAGMA foreign_key_check").fetchmany(_PROBLEMS_TOLD)
        ]
    if not problems:
        problems = list(_broken_json(connection))
    if problems:
        raise DatabaseDamaged(path, "; ".join(" ".join(problem.split()) for problem in problems))


def _broken_json(connection: sqlite3.Connection) -> Iterator[str]:
    for table, column in _JSON_COLUMNS:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})")}
        if column in columns:
            sql = f"SELECT count(*) FROM {table} WHERE {column} IS NOT NULL AND NOT json_valid({column})"
            (count,) = connection.execute(sql).fetchone()
            if count:
                yield f"{table}.{column} is no JSON in {count} rows"


def _check_what_is_used_first(connection: sqlite3.Connection) -> None:
    """The pages on the way to the newest rows of every table: damage there raises `sqlite3.DatabaseError`."""
    tables = connection.execute("SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
    for name, without_rowid in tables.fetchall():
        order = "" if without_rowid else "ORDER BY rowid DESC "
        connection.execute(f"SELECT * FROM {name} {order}LIMIT {_NEWEST_ROWS}").fetchall()
