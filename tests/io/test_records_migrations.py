"""Every released schema comes to the present one with nothing lost; and after it the release before still starts."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from damage import everything, fill
from records_material import NODE, StandingClock, exam_of, uid_of

from firmware_app.model import DeliveryState
from firmware_app.records import safekeeping, schema
from firmware_app.records.database import open_database
from firmware_app.records.errors import SchemaTooNew, StorageFault
from firmware_app.records.schema_keep import EARLIER_RELEASES_CANNOT_READ_IT, READERS_AND_INDEXES
from firmware_app.records.store import DATABASE_NAME, open_records

HERE = Path(__file__).parent
DUMPS = {int(path.stem.rpartition("_")[2]): path for path in HERE.glob("records_schema_*.sql")}
RELEASED = range(1, 6)
# The first schema that says who may read it: releases with this one or a later one live with what comes after.
FIRST_THAT_SAYS_IT = schema.MIGRATIONS.index(READERS_AND_INDEXES) + 1
# In another form afterwards; test_records_schema_1 has it.
REPLACED = {("exams", "worklist_item")}

Content = dict[str, list[tuple[object, ...]]]


def built(folder: Path, version: int) -> Path:
    path = folder / DATABASE_NAME
    with closing(sqlite3.connect(path)) as database:
        database.executescript(DUMPS[version].read_text(encoding="utf-8"))
    return path


def tables(path: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(path)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [row[1] for row in database.execute(f"PRAGMA table_xinfo({name})")] for name in names}


def content(path: Path, columns: dict[str, list[str]]) -> Content:
    """What is in these columns of these tables."""
    with closing(sqlite3.connect(path)) as database:
        return {
            table: sorted(database.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall(), key=repr)
            for table, names in columns.items()
        }


def kept_columns(path: Path) -> dict[str, list[str]]:
    return {
        table: [name for name in names if (table, name) not in REPLACED]
        for table, names in tables(path).items()
        if not table.startswith("sqlite_")
    }


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def migrated(path: Path) -> None:
    with open_database(path):
        pass


def test_there_is_a_database_of_every_released_schema() -> None:
    assert set(DUMPS) >= set(RELEASED)


@pytest.mark.parametrize("version", DUMPS)
def test_nothing_is_lost_from_any_released_schema(tmp_path: Path, version: int) -> None:
    path = built(tmp_path, version)
    columns = kept_columns(path)
    before = content(path, columns)
    assert all(before.values()), "rows in every table"
    migrated(path)
    assert version_of(path) == len(schema.MIGRATIONS)
    assert content(path, columns) == before
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("version", DUMPS)
async def test_the_records_open_it_and_go_on(tmp_path: Path, version: int) -> None:
    built(tmp_path, version)
    async with open_records(tmp_path, clock=StandingClock()) as records:
        assert {exam.exam_id for exam in await records.exams()} == {"exam-1", "exam-2", "exam-3"}
        assert await records.exam("exam-1") != exam_of(9)
        (capture,) = await records.captures("exam-1")
        assert (await records.delivery(uid_of(2), "storage")).state is DeliveryState.FAILED
        assert len(await records.mpps.messages()) == (2 if version >= 2 else 0)
        assert (await records.commitments.find("1.2.8.1") is not None) is (version >= 3)
        assert len(await records.print_jobs.jobs()) == (2 if version >= 4 else 0)
        assert (capture.thickness is not None) is (version >= 5)
        assert [notice.kind for notice in records.notices] == ["records.migrated"]


@pytest.mark.parametrize("version", RELEASED)
def test_a_migration_that_is_cut_off_anywhere_goes_on_at_the_next_start(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed process leaves is what is in its files at that moment: they are copied before every statement."""
    whole = tmp_path / "whole"
    whole.mkdir()
    path = built(whole, version)
    columns = kept_columns(path)
    before = content(path, columns)
    moments = copies_before_every_statement(monkeypatch, whole, tmp_path)
    migrated(path)
    monkeypatch.undo()
    after, all_columns = content(path, tables(path)), tables(path)
    assert len(moments) > 4
    seen = set()
    for moment in moments:
        seen.add(version_of(moment / DATABASE_NAME))
        assert content(moment / DATABASE_NAME, columns_there(moment, columns)) == {
            table: before[table] for table in columns
        }
        migrated(moment / DATABASE_NAME)
        assert content(moment / DATABASE_NAME, all_columns) == after
    assert seen == set(range(version, len(schema.MIGRATIONS)))


def columns_there(moment: Path, columns: dict[str, list[str]]) -> dict[str, list[str]]:
    there = tables(moment / DATABASE_NAME)
    assert all(set(names) <= set(there[table]) for table, names in columns.items())
    return columns


def copies_before_every_statement(monkeypatch: pytest.MonkeyPatch, folder: Path, to: Path) -> list[Path]:
    moments: list[Path] = []

    def copy(statement: str) -> None:
        if not statement.startswith("PRAGMA"):
            moments.append(shutil.copytree(folder, to / f"moment-{len(moments)}"))

    plain = sqlite3.connect

    def traced(*arguments: object, **keywords: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = plain(*arguments, **keywords)  # type: ignore[call-overload]
        connection.set_trace_callback(copy)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    return moments


# ----------------------------------------------------------------------------------------------- the copy before it


def copies(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("records.schema-*"))


async def test_what_was_before_a_migration_is_kept_and_only_the_last_one(tmp_path: Path) -> None:
    path = built(tmp_path, 5)
    before = content(path, kept_columns(path))
    (tmp_path / "records.schema-4.sqlite3").write_bytes(b"of the migration before")
    async with open_records(tmp_path):
        pass
    assert copies(tmp_path) == ["records.schema-5.sqlite3"]
    kept = tmp_path / "records.schema-5.sqlite3"
    assert (version_of(kept), content(kept, kept_columns(kept))) == (5, before)
    async with open_records(tmp_path) as records:
        assert records.notices == ()
    assert copies(tmp_path) == ["records.schema-5.sqlite3"]


async def test_a_full_disk_keeps_no_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built(tmp_path, 5)
    monkeypatch.setattr(safekeeping, "FREE_AFTER_COPY_BYTES", 1 << 60)
    async with open_records(tmp_path) as records:
        (notice,) = records.notices
        assert notice.level == "warning"
        assert "no copy of the database could be kept" in notice.text
        assert len(await records.exams()) == 3
    assert copies(tmp_path) == []


async def test_a_new_database_has_nothing_to_keep(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        assert records.notices == ()
    assert copies(tmp_path) == []


# ----------------------------------------------------------------------------------------------- falling back

ADDED = (
    "ALTER TABLE deliveries ADD COLUMN held INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE later (sop_instance_uid TEXT NOT NULL REFERENCES objects ON DELETE CASCADE) STRICT",
    "CREATE INDEX later_of_instance ON later (sop_instance_uid)",
)
Release = Callable[[int], None]


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Release:
    """Go on as the release with so many migrations; one more than there are is the next one."""
    all_of_them = (*schema.MIGRATIONS, ADDED)
    return lambda version: monkeypatch.setattr(schema, "MIGRATIONS", all_of_them[:version])


@pytest.mark.parametrize("earlier", range(FIRST_THAT_SAYS_IT, len(schema.MIGRATIONS) + 1))
async def test_an_earlier_release_starts_after_a_fall_back_and_loses_nothing(
    tmp_path: Path, release: Release, earlier: int
) -> None:
    later = len(schema.MIGRATIONS) + 1
    clock = StandingClock()
    release(earlier)
    async with open_records(tmp_path, clock=clock) as records:
        await fill(records, clock, range(1, 3))
    release(later)
    async with open_records(tmp_path, clock=clock) as records:
        await fill(records, clock, range(11, 13))
        before = await everything(records)
    release(earlier)
    async with open_records(tmp_path, clock=clock) as records:
        assert [notice.kind for notice in records.notices] == ["records.later_schema"]
        assert await everything(records) == before
        await fill(records, clock, range(21, 23))
        (head,) = await records.next_due(NODE)
        await records.mark_sending(head.sop_instance_uid, NODE)
        await records.mark_stored(head.sop_instance_uid, NODE, 0)
        await records.commitments.gather(NODE, "commitment", 0.0, lambda: "1.2.7.7")
        await records.print_jobs.add("exam-1", "printer", {}, [["capture/x"]])
        await records.soundness.keep_copy()
        before = await everything(records)
    release(later)
    async with open_records(tmp_path, clock=clock) as records:
        assert records.notices == ()
        assert await everything(records) == before
        assert await records.commitments.find("1.2.7.7") is not None
    assert version_of(tmp_path / DATABASE_NAME) == later


async def test_a_database_of_a_later_release_that_is_damaged_is_rebuilt_by_the_earlier_one(
    tmp_path: Path, release: Release
) -> None:
    later = len(schema.MIGRATIONS) + 1
    clock = StandingClock()
    release(later)
    async with open_records(tmp_path, clock=clock) as records:
        await fill(records, clock, range(1, 3))
        await records.soundness.keep_copy()
        before = await everything(records)
    (tmp_path / DATABASE_NAME).write_bytes(b"")
    release(later - 1)
    async with open_records(tmp_path, clock=clock) as records:
        assert await everything(records) == before
        assert len(await records.soundness.rebuilds()) == 1


@pytest.mark.parametrize("damage", ["none", "a page"])
async def test_a_migration_that_says_so_is_not_read_by_earlier_releases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    with monkeypatch.context() as patch:
        breaking = ("ALTER TABLE exams DROP COLUMN weight_kg", EARLIER_RELEASES_CANNOT_READ_IT)
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, breaking))
        with open_database(tmp_path / DATABASE_NAME):
            pass
    path = tmp_path / DATABASE_NAME
    if damage == "a page":
        with path.open("r+b") as file:
            file.seek(path.stat().st_size - 4096)
            file.write(b"garbage" * 100)
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match="nothing was changed"):
        async with open_records(tmp_path):
            pass
    assert path.read_bytes() == before


def test_a_copy_that_cannot_be_made_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = built(tmp_path, 5)
    kept = safekeeping.keep_before_migration(path, 3)
    before = kept.read_bytes()
    monkeypatch.setattr(safekeeping, "FREE_AFTER_COPY_BYTES", 1 << 60)
    with pytest.raises(StorageFault):
        safekeeping.keep_before_migration(path, 4)
    assert copies(tmp_path) == [kept.name]
    assert kept.read_bytes() == before


async def test_no_schema_is_so_high(tmp_path: Path) -> None:
    """A version that no release has is damage: it is rebuilt, not refused for ever."""
    clock = StandingClock()
    async with open_records(tmp_path, clock=clock) as records:
        await fill(records, clock, range(1, 2))
        before = await everything(records)
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as database:
        database.execute("PRAGMA user_version = 123456789")
    async with open_records(tmp_path, clock=clock) as records:
        assert await everything(records) == before
