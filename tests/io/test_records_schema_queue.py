"""A database of the release before: every delivery keeps its place, state and commitment, and the queue goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from records_material import HUNDRED_THOUSAND, NODE, StandingClock

from firmware_app.records import schema
from firmware_app.records.database import open_database
from firmware_app.records.schema_queue import HOLDING_AND_REMOVAL
from firmware_app.records.steering import Chosen
from firmware_app.records.store import DATABASE_NAME, open_records

COLUMNS = """place, sop_instance_uid, node, state, attempts, status, reason, next_attempt_at, changed_at, commitment,
commitment_reason"""


async def test_deliveries_of_the_release_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = schema.MIGRATIONS[: schema.MIGRATIONS.index(HOLDING_AND_REMOVAL)]
    with monkeypatch.context() as old:
        old.setattr(schema, "MIGRATIONS", before)
        with open_database(tmp_path / DATABASE_NAME):
            pass
    database = sqlite3.connect(tmp_path / DATABASE_NAME)
    database.executescript(HUNDRED_THOUSAND)
    database.execute("DELETE FROM deliveries WHERE place > 200 AND place < 99800")
    database.commit()
    rows = database.execute(f"SELECT {COLUMNS} FROM deliveries ORDER BY place").fetchall()
    assert len(rows) == 401
    async with open_records(tmp_path, clock=StandingClock()) as records:
        assert database.execute(f"SELECT {COLUMNS} FROM deliveries ORDER BY place").fetchall() == rows
        assert (await records.next_due(NODE))[0].sop_instance_uid == rows[0][1]
        assert len((await records.steering.hold(Chosen(exam_id="exam-0"))).deliveries) == 4
    database.close()
