"""A damaged database is set aside and rebuilt: everything whose sidecar is whole is there, and people are told."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
import trio
from damage import (
    DAMAGES,
    EXAMS,
    copied,
    everything,
    exam_with_step,
    fill,
    folder_worth_damaging,
    garbage_page,
    overwrite,
)
from failing_sqlite import make_sqlite_fail
from records_material import CAPTURED, NODE, StandingClock, exam_of, frame_of, uid_of

from firmware_app.model import DeliveryState
from firmware_app.records import integrity, safekeeping
from firmware_app.records import rebuild as rebuilding
from firmware_app.records.errors import DatabaseDamaged, FileDamaged, StorageFault
from firmware_app.records.store import DATABASE_NAME, Records, open_records

GARBAGE_SEEDS = range(100)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    state = tmp_path_factory.mktemp("material") / "state"
    return state, trio.run(folder_worth_damaging, state, StandingClock())


@pytest.fixture
def damaged(material: tuple[Path, dict[str, object]], tmp_path: Path) -> tuple[Path, dict[str, object]]:
    """A state folder of one's own, and what is in it."""
    state, before = material
    return copied(state, tmp_path / "state"), before


async def rebuilt_from(state: Path, before: dict[str, object]) -> None:
    told: list[str] = []
    async with open_records(state, clock=StandingClock(), progress=told.append) as records:
        assert await everything(records) == before
        (report,) = await records.soundness.rebuilds()
    assert report.problem_count == 0
    assert any(text.startswith("taking up exam 1 of 4") for text in told)


@pytest.mark.parametrize("kind", DAMAGES)
async def test_whatever_the_damage_all_is_rebuilt(damaged: tuple[Path, dict[str, object]], kind: str) -> None:
    state, before = damaged
    path = state / DATABASE_NAME
    DAMAGES[kind](path)
    bytes_found = path.read_bytes() if path.exists() else None
    await rebuilt_from(state, before)
    aside = state / "set-aside" / "20260301T090000" / DATABASE_NAME
    assert (aside.read_bytes() if bytes_found is not None else None) == bytes_found
    async with open_records(state) as records:
        assert await everything(records) == before


@pytest.mark.parametrize("seed", GARBAGE_SEEDS)
async def test_a_random_page_of_garbage(damaged: tuple[Path, dict[str, object]], seed: int) -> None:
    state, before = damaged
    garbage_page(state / DATABASE_NAME, seed)
    await rebuilt_from(state, before)


async def test_the_log_goes_with_the_database_and_is_never_played_into_the_new_one(
    damaged: tuple[Path, dict[str, object]],
) -> None:
    state, before = damaged
    async with open_records(state) as records:
        await records.mark_sending(uid_of(2), NODE)
        log = (state / f"{DATABASE_NAME}-wal").read_bytes()
        database = (state / DATABASE_NAME).read_bytes()
    assert log
    (state / f"{DATABASE_NAME}-wal").write_bytes(log)
    (state / DATABASE_NAME).write_bytes(database)
    overwrite(state / DATABASE_NAME, 0, b"garbage" * 100)
    await rebuilt_from(state, before)
    (aside,) = (state / "set-aside").iterdir()
    assert (aside / f"{DATABASE_NAME}-wal").read_bytes() == log


async def test_what_is_told(damaged: tuple[Path, dict[str, object]]) -> None:
    state, _ = damaged
    capture = next((state / "exams" / "exam-3").glob("*.png"))
    sidecar = state / "exams" / "exam-2" / f"{uid_of(4)}.json"
    sidecar.write_bytes(sidecar.read_bytes()[:-40])
    capture.write_bytes(b"short")
    DAMAGES["truncated"](state / DATABASE_NAME)
    clock = StandingClock()
    async with open_records(state, clock=clock) as records:
        (report,) = await records.soundness.rebuilds()
        assert dict(report.from_sidecars) == {
            "exams": 4,
            "captures": 8,
            "measurements": 16,
            "objects": 7,
            "deliveries": 3,
            "mpps_messages": 7,
            "exam_ends": 3,
            "removals": 0,
        }
        assert report.problem_count == 2
        size = json.loads(capture.with_suffix(".json").read_text())["image"]["size"]
        assert set(report.problems) == {
            f"exams/exam-2/{sidecar.name}: is no sidecar: its JSON is broken",
            f"exams/exam-3/{capture.name}: has 5 bytes instead of {size}",
        }
        words = " ".join(report.sentences())
        for each in (
            "set-aside/20260301T090000/records.sqlite3",
            "3 instances are queued again",
            "there was no copy of the database yet",
            "4 exams, 8 captures",
            sidecar.name,
        ):
            assert each in words
        assert "Yamada" not in words + report.short
        with pytest.raises(FileDamaged):
            await records.load_frame(capture.stem)
    async with open_records(state, clock=clock) as records:
        assert await records.soundness.rebuilds() == (report,)
        assert await records.soundness.acknowledge("Dr. Ω") == (report,)
        assert await records.soundness.rebuilds() == ()
    async with open_records(state, clock=clock) as records:
        assert await records.soundness.rebuilds() == ()
    acknowledged = json.loads((state / report.folder / "acknowledged.json").read_text())
    assert acknowledged == {"at": "2026-03-01T09:00:00+00:00", "by": "Dr. Ω"}


@pytest.mark.parametrize("content", [b"", b"{}", b'{"reason":"\xff"}'], ids=["empty", "nothing said", "no UTF-8"])
async def test_a_report_that_cannot_be_read_is_told_and_can_be_acknowledged(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "set-aside" / "20260301T090000"
    folder.mkdir(parents=True)
    (folder / "report.json").write_bytes(content)
    async with open_records(tmp_path, clock=StandingClock()) as records:
        (report,) = await records.soundness.rebuilds()
        assert "its report cannot be read" in report.reason
        await records.soundness.acknowledge("Dr. Ω")
        assert await records.soundness.rebuilds() == ()


async def test_an_exam_whose_own_file_is_gone_is_known_from_its_captures(
    damaged: tuple[Path, dict[str, object]],
) -> None:
    state, _ = damaged
    (state / "exams" / "exam-2" / "exam.json").unlink()
    DAMAGES["missing"](state / DATABASE_NAME)
    async with open_records(state, clock=StandingClock()) as records:
        assert await records.exam("exam-2") == exam_with_step(2)
        assert len(await records.captures("exam-2")) == 2
        assert await records.exam_is_finished("exam-2")
        assert sorted(exam.exam_id for exam in await records.exams()) == ["exam-1", "exam-2", "exam-3", "exam-4"]


async def test_what_is_queued_again_goes_to_the_node_and_in_order(damaged: tuple[Path, dict[str, object]]) -> None:
    state, _ = damaged
    async with open_records(state, clock=StandingClock()) as records:
        for number in (2, 4):
            await records.mark_sending(uid_of(number), NODE)
            await records.mark_stored(uid_of(number), NODE, 0)
        await records.enqueue(uid_of(3), "second archive")
    DAMAGES["first page zeroed"](state / DATABASE_NAME)
    async with open_records(state, clock=StandingClock()) as records:
        assert [each.sop_instance_uid for each in await records.next_due(NODE, limit=9)] == [
            uid_of(number) for number in (2, 4, 6, 8)
        ]
        assert [each.sop_instance_uid for each in await records.next_due("second archive")] == [uid_of(3)]
        head, _ = await records.mpps.head("mpps")
        assert head is not None
        assert (head.message.mpps_sop_instance_uid, head.in_doubt) == ("1.2.9.1", True)


async def test_a_folder_of_the_first_releases_goes_where_instances_go_now(
    damaged: tuple[Path, dict[str, object]],
) -> None:
    """They wrote neither the node nor the end of an exam into the sidecars."""
    state, _ = damaged
    for sidecar in (state / "exams").glob("*/*.json"):
        content = json.loads(sidecar.read_text())
        for key in ("nodes", "message", "end_is_noted"):
            content.pop(key, None)
        sidecar.write_text(json.dumps(content))
        if sidecar.name == "end.json":
            sidecar.unlink()
    empty = state / "exams" / "exam-9"
    empty.mkdir()
    exam = json.loads((state / "exams" / "exam-1" / "exam.json").read_text())
    exam["exam"]["exam_id"] = "exam-9"
    (empty / "exam.json").write_text(json.dumps(exam))
    DAMAGES["missing"](state / DATABASE_NAME)
    async with open_records(state, default_node=NODE, clock=StandingClock()) as records:
        assert len(await records.next_due(NODE, limit=9)) == 8
        assert [each.exam_id for each in await records.unfinished_exams()] == ["exam-9"]


# ----------------------------------------------------------------------------------------------- the daily copy


async def settle(records: Records, number: int) -> None:
    await records.mark_sending(uid_of(number), NODE)
    await records.mark_stored(uid_of(number), NODE, 0xB000, "coerced")


async def test_states_come_from_the_daily_copy_and_the_rest_from_the_sidecars(
    damaged: tuple[Path, dict[str, object]],
) -> None:
    state, _ = damaged
    clock = StandingClock()
    clock.advance(100)
    async with open_records(state, clock=clock) as records:
        await settle(records, 2)
        await records.commitments.gather(NODE, "commitment", 0.0, lambda: "1.2.7.7")
        await records.print_jobs.add("exam-1", "printer", {}, [["capture/x"]])
        assert await records.soundness.copied_at() is None
        assert await records.soundness.keep_copy() == (state / safekeeping.COPY_NAME).stat().st_size
        assert await records.soundness.copied_at() is not None
        await settle(records, 4)
        await records.enqueue(uid_of(3), "by hand")
        await fill(records, clock, range(11, 12))
        await records.finish_exam("exam-4")
        before = await everything(records)
    DAMAGES["header overwritten"](state / DATABASE_NAME)
    async with open_records(state, clock=clock) as records:
        after = await everything(records)
        assert after.pop("waiting") is not None
        before.pop("waiting")
        assert after == before
        found = {each.sop_instance_uid: each for each in await records.deliveries(node=NODE)}
        assert (found[uid_of(2)].state, found[uid_of(2)].reason) == (DeliveryState.STORED, "coerced")
        assert found[uid_of(4)].state is DeliveryState.QUEUED
        assert (await records.delivery(uid_of(3), "by hand")).state is DeliveryState.QUEUED
        assert (await records.delivery(uid_of(22), NODE)).state is DeliveryState.QUEUED
        assert await records.commitments.find("1.2.7.7") is not None
        (job,) = await records.print_jobs.jobs()
        assert (job.state, job.reason.partition(":")[0]) == ("failed", "may have been printed")
        head, _ = await records.mpps.head("mpps")
        assert head is not None
        assert head.in_doubt
        (report,) = await records.soundness.rebuilds()
        assert report.from_copy["exams"] == 4
        assert report.from_sidecars["exams"] == 1
        assert report.from_sidecars["exam_ends"] == 1
        assert report.copied_at


@pytest.mark.parametrize("kind", ["truncated", "page zeroed", "header overwritten", "empty file"])
async def test_a_copy_that_is_damaged_too_is_not_used(damaged: tuple[Path, dict[str, object]], kind: str) -> None:
    state, before = damaged
    async with open_records(state) as records:
        await records.soundness.keep_copy()
    DAMAGES[kind](state / safekeeping.COPY_NAME)
    DAMAGES["first page zeroed"](state / DATABASE_NAME)
    await rebuilt_from(state, before)


async def test_a_copy_is_only_kept_of_a_sound_database(damaged: tuple[Path, dict[str, object]]) -> None:
    state, _ = damaged
    async with open_records(state) as records:
        await records.soundness.keep_copy()
    good = (state / safekeeping.COPY_NAME).read_bytes()
    async with open_records(state) as records:
        with pytest.raises(DatabaseDamaged, match="refers to no row of exams"):
            DAMAGES["reference to nothing"](state / DATABASE_NAME)
            await records.soundness.keep_copy()
        assert records.is_damaged.is_set()
        with pytest.raises(DatabaseDamaged):
            await records.soundness.check()
    assert (state / safekeeping.COPY_NAME).read_bytes() == good
    assert list(state.glob("*.tmp*")) == []


async def test_copies_never_take_the_last_of_the_disk(
    damaged: tuple[Path, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, _ = damaged
    async with open_records(state) as records:
        monkeypatch.setattr(safekeeping, "FREE_AFTER_COPY_BYTES", 1 << 60)
        with pytest.raises(StorageFault, match="no copy is made"):
            await records.soundness.keep_copy()
        assert not records.is_damaged.is_set()
    assert list(state.glob("records.copy*")) == []


# ----------------------------------------------------------------------------------------------- crashes in a rebuild


class Cut(BaseException):
    pass


async def test_a_rebuild_that_is_cut_off_anywhere_begins_anew(
    damaged: tuple[Path, dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, before = damaged
    DAMAGES["truncated"](state / DATABASE_NAME)
    names = ("files.rename", "files.replace_file", "files.flush_file", "take_up", "check_whole")
    for at in range(1, 100):
        there = copied(state, tmp_path / f"cut-{at}")
        with monkeypatch.context() as patch:
            remaining = at

            def cutting(call):  # type: ignore[no-untyped-def]
                def wrapped(*arguments, **keywords):  # type: ignore[no-untyped-def]
                    nonlocal remaining
                    remaining -= 1
                    if remaining == 0:
                        raise Cut
                    return call(*arguments, **keywords)

                return wrapped

            for name in names:
                owner = rebuilding
                for part in name.split(".")[:-1]:
                    owner = getattr(owner, part)
                last = name.split(".")[-1]
                patch.setattr(owner, last, cutting(getattr(owner, last)))
            try:
                async with open_records(there, clock=StandingClock()):
                    pass
            except Cut:
                pass
        if remaining > 0:
            break
        async with open_records(there, clock=StandingClock()) as records:
            assert await everything(records) == before
        shutil.rmtree(there)
    assert at > 8


# ----------------------------------------------------------------------------------------------- while it is used


@pytest.mark.parametrize("statement", ["INSERT INTO captures", "COMMIT"])
async def test_damage_in_the_middle_of_an_exam_reports_nothing_and_keeps_the_picture(
    damaged: tuple[Path, dict[str, object]], monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    state, _ = damaged
    clock = StandingClock()
    clock.advance(60)
    failing_sqlite = make_sqlite_fail(monkeypatch)
    async with open_records(state, clock=clock) as records:
        before = await records.captures("exam-4")
        failing_sqlite(statement.split("(")[0], sqlite3.SQLITE_CORRUPT)
        with pytest.raises(DatabaseDamaged):
            await records.save_capture(exam_of(4), frame_of(77), **CAPTURED)
        failing_sqlite("", 0)
        assert await records.captures("exam-4") == before
        assert records.is_damaged.is_set()
        assert records.damage is not None
    async with open_records(state, clock=clock) as records:
        *first, kept = await records.captures("exam-4")
        assert first == before
        assert (await records.load_frame(kept.capture_id)).sequence == 77
        (report,) = await records.soundness.rebuilds()
        assert report.reason == "said SQLite"
    assert (state / report.folder / "records.damaged").exists()


@pytest.mark.parametrize("kind", DAMAGES)
async def test_in_a_large_database_the_start_or_the_check_after_it_finds_the_damage(
    damaged: tuple[Path, dict[str, object]], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "WHOLE_AT_START_BYTES", 0)
    state, before = damaged
    DAMAGES[kind](state / DATABASE_NAME)
    async with open_records(state, clock=StandingClock()) as records:
        found_at_start = len(await records.soundness.rebuilds()) == 1
        taken_up = [notice.kind for notice in records.notices] == ["records.taken_up"]
        if not found_at_start and not taken_up:
            with pytest.raises(DatabaseDamaged):
                await records.soundness.check()
            assert records.is_damaged.is_set()
    assert found_at_start is (kind not in ("reference to nothing", "text that is no JSON"))
    async with open_records(state, clock=StandingClock()) as records:
        after = await everything(records)
        assert {**after, "exams": None, "captures": None} == {**before, "exams": None, "captures": None}
        await records.soundness.check()


# ----------------------------------------------------------------------------------------------- a little is missing


async def test_what_the_database_lost_of_the_latest_exams_is_taken_up(damaged: tuple[Path, dict[str, object]]) -> None:
    """A log with a wrong checksum is no damage to SQLite: it goes on with what was before."""
    state, _ = damaged
    clock = StandingClock()
    clock.advance(600)
    old = (state / DATABASE_NAME).read_bytes()
    async with open_records(state, clock=clock) as records:
        await records.finish_exam("exam-4")
        await fill(records, clock, range(5, 7))
        before = await everything(records)
    (state / DATABASE_NAME).write_bytes(old)
    async with open_records(state, clock=clock) as records:
        assert await everything(records) == before
        (notice,) = records.notices
        assert notice.kind == "records.taken_up"
        assert "2 exams, 4 captures, 8 measurements, 4 objects, 2 deliveries" in notice.text
        assert await records.soundness.rebuilds() == ()
    async with open_records(state, clock=clock) as records:
        assert records.notices == ()


async def test_a_sidecar_with_one_changed_letter_is_no_sidecar(damaged: tuple[Path, dict[str, object]]) -> None:
    """The name of a patient least of all: the exam is known from its captures then."""
    state, _ = damaged
    path = state / "exams" / "exam-2" / "exam.json"
    path.write_bytes(path.read_bytes().replace(b"Yamada", b"Zamada", 1))
    DAMAGES["missing"](state / DATABASE_NAME)
    async with open_records(state, clock=StandingClock()) as records:
        assert await records.exam("exam-2") == exam_with_step(2)
        assert len(await records.exams()) == EXAMS
        (report,) = await records.soundness.rebuilds()
        assert report.problems == ("exams/exam-2/exam.json: is not what was written: the checksum differs",)


async def test_a_sidecar_that_lies_is_passed_over_and_named(damaged: tuple[Path, dict[str, object]]) -> None:
    state, before = damaged
    folder = state / "exams" / "exam-4"
    capture = next(iter(folder.glob("*-m1.json"))).name.removesuffix("-m1.json")
    content = json.loads((folder / f"{capture}.json").read_text())
    content["capture"]["capture_id"] = "other"
    content["image"]["file"] = "exams/exam-4/../../../etc/passwd"
    (folder / "other.json").write_text(json.dumps(content))
    (folder / "another.json").write_text(json.dumps(content))
    (folder / "loop.json").symlink_to("loop.json")
    (folder / "folder.json").mkdir()
    async with open_records(state) as records:
        assert await everything(records) == before
        (notice,) = records.notices
        for words in ("other.json: names a file elsewhere", "another.json: is the sidecar of", "loop.json: cannot be"):
            assert words in notice.text


HOT_JOURNAL = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("PRAGMA cache_spill = 1")
connection.execute("BEGIN")
connection.execute("CREATE TABLE half (done TEXT)")
for _ in range(300):
    connection.execute("INSERT INTO half VALUES (hex(randomblob(2000)))")
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_cut_off_while_the_database_was_made_it_is_made_again(tmp_path: Path) -> None:
    """Before it has its log a transaction is undone from a journal; a connection that cannot write must not do that."""
    path = tmp_path / DATABASE_NAME
    await trio.run_process([sys.executable, "-c", HOT_JOURNAL, str(path)], check=False)
    assert path.with_name(f"{DATABASE_NAME}-journal").stat().st_size and path.stat().st_size
    async with open_records(tmp_path, clock=StandingClock()) as records:
        assert await records.soundness.rebuilds() == ()
        await records.begin_exam(exam_of(1))
    assert not path.with_name(f"{DATABASE_NAME}-journal").exists()
