"""The exams on record as the console shows them, and that they cost the same however many there are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from damage import fill
from failing_sqlite import traced_statements
from records_material import NODE, StandingClock, uid_of

from firmware_app.console.commands import CommandContext, CommandTable
from firmware_app.records.store import DATABASE_NAME, open_records
from firmware_app.services.records_commands import RecordsCommands, exams_screen
from firmware_app.services.records_keeping import RecordsKeeping


async def test_the_newest_first_each_with_where_its_instances_stand(tmp_path: Path) -> None:
    clock = StandingClock()
    async with open_records(tmp_path, clock=clock) as records:
        assert exams_screen(await records.history()).text == "no exam is on record"
        await fill(records, clock)
        await records.mark_sending(uid_of(2), NODE)
        await records.mark_stored(uid_of(2), NODE, 0)
        newest, *_, oldest = await records.history()
        assert (newest.exam_id, newest.is_open, newest.right, newest.left) == ("exam-4", True, 0, 2)
        assert (oldest.exam_id, oldest.is_open, oldest.deliveries) == ("exam-1", False, {"captured": 1, "stored": 1})
        assert [each.exam_id for each in await records.history(limit=2)] == ["exam-4", "exam-3"]
        assert [each.exam_id for each in await records.history("ID-2")] == ["exam-2"]
        assert await records.history("nobody") == []
        keeping = RecordsKeeping(records, lambda event: None, clock)
        (command,) = [each for each in RecordsCommands(keeping, records, "").table() if each.name == "exams"]
        context = CommandContext(CommandTable([command]), lambda text: None)
        reply = await command.handler(context, {"id": "ID-1", "limit": 5})
        assert "1 captured, 1 stored" in reply.text
        assert reply.data is not None
        assert [each["patient_id"] for each in reply.data["exams"]] == ["ID-1"]


async def test_a_page_of_exams_reads_what_belongs_to_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = traced_statements(monkeypatch)
    async with open_records(tmp_path) as records:
        statements.clear()
        await records.history()
        await records.history("ID-1")
        asked = list(statements)
    assert len(asked) == 4
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as database:
        for statement in asked:
            steps = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}")]
            of_all = [step for step in steps if step.startswith("SCAN")]
            assert set(of_all) <= {"SCAN exams", "SCAN p", "SCAN page"}, steps
            if "ID-1" in statement:
                assert "SCAN exams" not in of_all
