"""A state folder that the release with schema 1 left behind: everything in it is there, and goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from records_material import START, StandingClock, exam_of, uid_of

from firmware_app.model import CommitmentState, DeliveryState
from firmware_app.records import schema
from firmware_app.records.store import DATABASE_NAME, open_records

DUMP = Path(__file__).with_name("records_schema_1.sql")
STORAGE = "storage"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as database:
        database.executescript(DUMP.read_text(encoding="utf-8"))
    folder = tmp_path / "exams" / "exam-1"
    folder.mkdir(parents=True)
    for number in range(1, 5):
        (folder / f"{uid_of(number)}.dcm").write_bytes(b"instance %d " % number * 10)
    return tmp_path


def tables(path: Path) -> list[tuple[str, str]]:
    """Every table and index, with the columns of each table in their order."""
    with closing(sqlite3.connect(path / DATABASE_NAME)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master ORDER BY name")]
        return [(name, str(database.execute(f"PRAGMA table_xinfo({name})").fetchall())) for name in names]


async def test_the_exams_are_there_with_what_they_answer(state: Path) -> None:
    async with open_records(state) as records:
        assert await records.exam("exam-1") == exam_of(1)
        assert await records.exam("exam-2") == exam_of(2, scheduled=False)
        assert await records.exam("exam-3") == exam_of(3)
        assert {exam.exam_id for exam in await records.unfinished_exams()} == {"exam-2", "exam-3"}
        (capture,) = await records.captures("exam-1")
        measurement = await records.measurement(capture.capture_id)
        assert measurement is not None
        assert measurement.refusal is not None
        assert measurement.refusal.reason == "dark"


async def test_the_deliveries_go_on_and_commitment_is_asked_for_what_was_stored(state: Path) -> None:
    clock = StandingClock()
    clock.moment = START + timedelta(days=1)
    async with open_records(state, clock=clock) as records:
        found = {delivery.sop_instance_uid: delivery for delivery in await records.deliveries()}
        states = [found[uid_of(number)].state for number in range(1, 5)]
        assert states == [DeliveryState.STORED, DeliveryState.FAILED, DeliveryState.QUEUED, DeliveryState.CAPTURED]
        assert (found[uid_of(2)].status, found[uid_of(2)].reason) == (0xC000, "cannot understand")
        assert {each.commitment for each in found.values()} == {CommitmentState.NONE}
        assert [each.sop_instance_uid for each in await records.next_due(STORAGE, limit=9)] == [uid_of(3)]
        for number in range(1, 5):
            await records.verify_object(uid_of(number))
        await records.commitments.gather(STORAGE, "commitment", 60.0, lambda: "1.2.3.9")
        asked = await records.commitments.find("1.2.3.9")
        assert asked is not None
        assert [each.sop_instance_uid for each in asked.instances] == [uid_of(1)]


async def test_an_exam_that_was_open_is_closed_without_a_step_of_which_nobody_was_told(state: Path) -> None:
    async with open_records(state) as records:
        await records.finish_exam("exam-3")
        assert (await records.exam("exam-3")).mpps_sop_instance_uid == ""
        assert await records.mpps.messages() == []
        assert [exam.exam_id for exam in await records.unfinished_exams()] == ["exam-2"]


async def test_it_has_the_tables_of_a_new_one(state: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    new = tmp_path_factory.mktemp("new")
    for folder in (state, new):
        async with open_records(folder):
            pass
    assert tables(state) == tables(new)
    with closing(sqlite3.connect(state / DATABASE_NAME)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
