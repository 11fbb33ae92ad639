"""SQLite's own report of failures that the kernel cannot be made to show from here."""

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
