"""SQLite watched, and SQLite's own report of failures that the kernel cannot be made to show from here."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest


def make_sqlite_fail(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Connections opened from now on fail as told: statements that begin so, with this code. "" ends it."""
    failing = {"start": "", "code": 0}

    class FailingConnection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
            if failing["start"] and sql.lstrip().startswith(failing["start"]):
                error = sqlite3.OperationalError("said SQLite")
                error.sqlite_errorcode = failing["code"]
                if failing["code"] == sqlite3.SQLITE_FULL:
                    super().execute("ROLLBACK")  # as SQLite does by itself
                raise error
            return super().execute(sql, *parameters)

    plain = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *arguments, **keywords: plain(*arguments, factory=FailingConnection, **keywords)
    )
    return lambda start, code: failing.update(start=start, code=code)


def traced_statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What connections opened from now on are asked, with its values in it, as it is asked."""
    statements: list[str] = []
    plain = sqlite3.connect

    def traced(*arguments: object, **keywords: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = plain(*arguments, **keywords)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    return statements


class FailingWrite:
    """Of the statements that write, the `at`-th fails, once. What is first of all: nothing before `at` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 0
        self.failed = ""
        count = self._count

        class CountingConnection(sqlite3.Connection):
            def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
                count(sql)
                return super().execute(sql, *parameters)

            def executemany(self, sql: str, parameters: object) -> sqlite3.Cursor:
                count(sql)
                return super().executemany(sql, parameters)

        plain = sqlite3.connect
        monkeypatch.setattr(
            sqlite3, "connect", lambda *arguments, **keywords: plain(*arguments, factory=CountingConnection, **keywords)
        )

    def _count(self, sql: str) -> None:
        words = sql.split(None, 1)
        if self.at <= 0 or words[0] in ("SELECT", "PRAGMA", "ROLLBACK"):
            return
        self.at -= 1
        if self.at == 0:
            self.failed = " ".join(sql.split())[:60]
            error = sqlite3.OperationalError("said SQLite")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
