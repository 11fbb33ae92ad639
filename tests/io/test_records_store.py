"""Exams, captures, measurements and instances on a real disk."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path

import numpy as np
import pytest
import trio
from objects_samples import CALIBRATION
from records_material import CAPTURED, IMPLICIT, NODE, SC_CLASS, StandingClock, exam_of, frame_of, instance, uid_of

from firmware_app.gaze import gaze_at
from firmware_app.model import (
    CALCULATION_FAILURE,
    DeliveryState,
    Exam,
    Frame,
    Measurement,
    Morphometry,
    Mosaic,
    Quality,
    Refusal,
)
from firmware_app.records import schema
from firmware_app.records.errors import (
    FileDamaged,
    RecordConflict,
    SchemaTooNew,
    StateLocked,
    StorageFault,
    UnknownRecord,
)
from firmware_app.records.store import DATABASE_NAME, Records, local_now, open_records

QUALITY = Quality("A", 0.9, 0.8, 0.7)


async def capture_id_of(records: Records, exam: Exam) -> str:
    await records.begin_exam(exam)
    return (await records.save_capture(exam, frame_of(), **CAPTURED)).capture_id


async def test_an_exam_keeps_its_patient_and_order_across_restarts(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        for number in (1, 2, 3):
            await records.begin_exam(exam_of(number, scheduled=number != 2))
        await records.begin_exam(exam_of(1))
    async with open_records(tmp_path) as records:
        assert [exam.exam_id for exam in await records.exams()] == ["exam-3", "exam-2", "exam-1"]
        assert await records.exams(limit=1) == [exam_of(3)]
        assert await records.exam("exam-1") == exam_of(1)
        assert await records.exam("exam-2") == exam_of(2, scheduled=False)
        with pytest.raises(UnknownRecord, match="no exam exam-9"):
            await records.exam("exam-9")


async def test_an_exam_is_never_rewritten(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of(1))
        with pytest.raises(RecordConflict, match="exam-1"):
            await records.begin_exam(exam_of(1, scheduled=False))
        assert await records.exam("exam-1") == exam_of(1)


@pytest.mark.parametrize("exam_id", ["", "..", "../up", "a/b", ".hidden", "x" * 101, "a\n"])
async def test_an_identifier_that_is_no_file_name_is_refused(tmp_path: Path, exam_id: str) -> None:
    exam = Exam(exam_id, exam_of().patient, "1.2", "1.3", "2026-03-01T10:00:00+01:00")
    async with open_records(tmp_path) as records:
        with pytest.raises(ValueError, match="not an exam identifier"):
            await records.begin_exam(exam)
        assert await records.exams() == []


async def test_finishing_is_noted_once(tmp_path: Path) -> None:
    clock = StandingClock()
    async with open_records(tmp_path, clock=clock) as records:
        await records.begin_exam(exam_of(1))
        await records.begin_exam(exam_of(2))
        assert await records.unfinished_exams() == [exam_of(2), exam_of(1)]
        await records.finish_exam("exam-1")
        assert await records.unfinished_exams() == [exam_of(2)]
        clock.advance(60)
        await records.finish_exam("exam-1")
        with pytest.raises(UnknownRecord):
            await records.finish_exam("exam-9")
    with sqlite3.connect(tmp_path / DATABASE_NAME) as database:
        assert database.execute("SELECT finished_at FROM exams").fetchall() == [
            ("2026-03-01T09:00:00.000+00:00",),
            ("",),
        ]
    database.close()


@pytest.mark.parametrize("bits", [8, 12])
async def test_a_capture_comes_back_exactly_after_a_restart(tmp_path: Path, bits: int) -> None:
    frame = frame_of(3, bits=bits)
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await records.begin_exam(exam_of())
        capture = await records.save_capture(exam_of(), frame, **CAPTURED)
    assert capture.captured_at == "2026-03-01T09:00:00.000+00:00"
    assert (capture.rows, capture.columns, capture.bits_stored) == (12, 16, bits)
    async with open_records(tmp_path) as records:
        assert await records.capture(capture.capture_id) == capture
        back = await records.load_frame(capture.capture_id)
    assert np.array_equal(back.pixels, frame.pixels)
    assert (back.bits_stored, back.sequence, back.monotonic_ns) == (bits, frame.sequence, frame.monotonic_ns)


async def test_a_capture_keeps_where_the_patient_looked_and_what_its_scale_rests_on(tmp_path: Path) -> None:
    known = {"gaze": gaze_at("down-left", 10.0), "calibration": CALIBRATION}
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        told = await records.save_capture(exam_of(), frame_of(), **CAPTURED, **known)
        await records.save_capture(exam_of(), frame_of(1), **CAPTURED)
    async with open_records(tmp_path) as records:
        first, second = await records.captures("exam-1")
        assert (first, first.gaze, first.calibration) == (told, known["gaze"], CALIBRATION)
        assert (second.gaze, second.calibration) == (None, None)
    sidecar = json.loads((tmp_path / "exams" / "exam-1" / f"{told.capture_id}.json").read_text())["capture"]
    assert sidecar["gaze"]["target"] == "down-left"
    assert sidecar["calibration"]["uncertainty_percent"] == CALIBRATION.uncertainty_percent


async def test_captures_are_listed_in_the_order_they_were_taken(tmp_path: Path) -> None:
    clock = StandingClock()
    async with open_records(tmp_path, clock=clock) as records:
        await records.begin_exam(exam_of())
        taken = []
        for seed in range(4):
            clock.advance(-1)
            taken.append(await records.save_capture(exam_of(), frame_of(seed), **{**CAPTURED, "um_per_px": None}))
        assert await records.captures("exam-1") == taken
        assert await records.captures("exam-9") == []
        assert len({capture.capture_id for capture in taken}) == 4


async def test_everything_is_private_and_can_be_rebuilt_from_the_sidecars(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with open_records(state) as records:
        capture_id = await capture_id_of(records, exam_of())
        await records.save_object("exam-1", capture_id, **instance(1), enqueue_for=NODE)
        await records.save_measurement(capture_id, Measurement(QUALITY, None, None, Refusal(CALCULATION_FAILURE, "x")))
        folder = state / "exams" / "exam-1"
        for path in state.rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    sidecar = json.loads((folder / f"{capture_id}.json").read_bytes())
    assert sidecar["exam"]["patient"]["name"] == exam_of().patient.name
    assert sidecar["capture"]["um_per_px"] == 0.85
    assert sidecar["image"]["file"] == f"exams/exam-1/{capture_id}.png"
    assert len(sidecar["image"]["sha256"]) == 64
    sidecar = json.loads((folder / f"{uid_of(1)}.json").read_bytes())
    assert sidecar["object"]["sop_class_uid"] == SC_CLASS
    assert sidecar["object"]["transfer_syntax_uid"] == IMPLICIT
    assert sidecar["exam"] == json.loads((folder / "exam.json").read_bytes())["exam"]
    assert json.loads((folder / f"{capture_id}-m1.json").read_bytes())["numbers"]["refusal"]["reason"] == "x"


@pytest.mark.parametrize(
    "wrong", [{"sharpness": float("nan")}, {"um_per_px": 0.0}, {"um_per_px": float("inf")}, {"um_per_px": -1.0}]
)
async def test_a_capture_without_sense_is_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        with pytest.raises(ValueError, match="not a capture"):
            await records.save_capture(exam_of(), frame_of(), **{**CAPTURED, **wrong})
        with pytest.raises(ValueError, match="not a frame"):
            await records.save_capture(exam_of(), Frame(frame_of().pixels, 12, 1, 1), **CAPTURED)
        assert await records.captures("exam-1") == []
        with pytest.raises(UnknownRecord, match="no exam exam-2"):
            await records.save_capture(exam_of(2), frame_of(), **CAPTURED)


async def test_a_changed_image_file_is_noticed(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        capture_id = await capture_id_of(records, exam_of())
        path = tmp_path / "exams" / "exam-1" / f"{capture_id}.png"
        data = bytearray(path.read_bytes())
        data[60] ^= 1
        path.write_bytes(data)
        with pytest.raises(FileDamaged, match=capture_id):
            await records.load_frame(capture_id)
        with pytest.raises(UnknownRecord, match="no capture"):
            await records.load_frame("nothing")


async def test_measurements_are_kept_beside_each_other_and_the_latest_is_shown(tmp_path: Path) -> None:
    labels = np.zeros((12, 16), np.int32)
    labels[3:5, 3:5] = 1
    mosaic = Mosaic(labels, np.array([4.0]), np.array([0], np.int32), np.array([[3.5, 3.5]]))
    numbers = Morphometry(1, 4.0, 0.0, None, 0, {6: 0}, um_per_px=0.85, cd_per_mm2=2500.5, warnings=("few cells",))
    refused = Measurement(QUALITY, None, None, Refusal(CALCULATION_FAILURE, "too dark"), 0.5)
    async with open_records(tmp_path) as records:
        capture_id = await capture_id_of(records, exam_of())
        assert await records.measurement(capture_id) is None
        assert await records.save_measurement(capture_id, refused) == 1
        assert await records.save_measurement(capture_id, Measurement(QUALITY, mosaic, numbers, None, 0.25)) == 2
    async with open_records(tmp_path) as records:
        latest = await records.measurement(capture_id)
        assert latest is not None
        assert (latest.morphometry, latest.refusal, latest.seconds) == (numbers, None, 0.25)
        assert latest.mosaic is not None
        assert np.array_equal(latest.mosaic.labels, labels)
        assert latest.mosaic.n == 1
        assert await records.save_measurement(capture_id, refused) == 3
        latest = await records.measurement(capture_id)
        assert latest is not None
        assert latest.mosaic is None
        assert latest.refusal == refused.refusal
        for call in (records.measurement("nothing"), records.save_measurement("nothing", refused)):
            with pytest.raises(UnknownRecord, match="no capture nothing"):
                await call


async def test_a_measurement_that_could_not_be_read_back_is_refused(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        capture_id = await capture_id_of(records, exam_of())
        with pytest.raises(ValueError, match="cannot be recorded"):
            await records.save_measurement(capture_id, Measurement(Quality("A", float("nan"), 0, 0)))
        assert await records.measurement(capture_id) is None


async def test_pictures_for_people_are_written_beside_and_never_over_captures(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        capture_id = await capture_id_of(records, exam_of())
        path = await records.save_picture("exam-1", f"{capture_id}.png", b"drawn")
        assert await records.save_picture("exam-1", f"{capture_id}.png", b"drawn again") == path
        assert path.read_bytes() == b"drawn again"
        await records.load_frame(capture_id)
        for name in ("../report.png", "report", ".png", "a/b.png"):
            with pytest.raises(ValueError, match="file name"):
                await records.save_picture("exam-1", name, b"")
        with pytest.raises(UnknownRecord):
            await records.save_picture("exam-9", "report.png", b"")


async def test_an_instance_is_on_disk_with_its_checksum(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        capture_id = await capture_id_of(records, exam_of())
        record = await records.save_object("exam-1", capture_id, **instance(1))
        report = await records.save_object("exam-1", None, **{**instance(2), "kind": "report"})
    async with open_records(tmp_path) as records:
        assert await records.object(uid_of(1)) == record
        assert await records.objects("exam-1") == [record, report]
        await records.verify_object(uid_of(1))
        path = tmp_path / record.file
        assert path.read_bytes() == instance(1)["data"]
        path.write_bytes(b"something else")
        with pytest.raises(FileDamaged, match=uid_of(1)):
            await records.verify_object(uid_of(1))
        with pytest.raises(UnknownRecord, match=r"no instance 1\.2\.9"):
            await records.verify_object("1.2.9")


async def test_no_second_image_under_an_old_uid(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        capture_id = await capture_id_of(records, exam_of())
        await records.begin_exam(exam_of(2))
        record = await records.save_object("exam-1", capture_id, **instance(1))
        assert await records.save_object("exam-1", capture_id, **instance(1)) == record
        assert (await records.counts())[DeliveryState.CAPTURED] == 1
        assert await records.save_object("exam-1", capture_id, **instance(1), enqueue_for=NODE) == record
        assert (await records.counts())[DeliveryState.QUEUED] == 1
        with pytest.raises(RecordConflict, match=uid_of(1)):
            await records.save_object("exam-1", capture_id, **instance(1, data=b"another image"))
        with pytest.raises(RecordConflict, match=uid_of(1)):
            await records.save_object("exam-2", None, **instance(1))
        assert (tmp_path / record.file).read_bytes() == instance(1)["data"]


async def test_an_instance_of_nothing_known_is_refused(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        capture_id = await capture_id_of(records, exam_of())
        await records.begin_exam(exam_of(2))
        with pytest.raises(UnknownRecord, match="no exam"):
            await records.save_object("exam-9", None, **instance(1))
        with pytest.raises(UnknownRecord, match="no capture"):
            await records.save_object("exam-1", "nothing", **instance(1))
        with pytest.raises(RecordConflict, match="is not of exam exam-2"):
            await records.save_object("exam-2", capture_id, **instance(1))
        for uid in ("", "../1", "1.2.", "1." + "2" * 63):
            with pytest.raises(ValueError, match="not a SOP Instance UID"):
                await records.save_object("exam-1", None, **{**instance(1), "sop_instance_uid": uid})
        assert await records.objects("exam-1") == []


# ----------------------------------------------------------------------------------------------- opening


async def test_two_services_cannot_open_one_state_folder(tmp_path: Path) -> None:
    async with open_records(tmp_path):
        with pytest.raises(StateLocked, match=str(os.getpid())):
            async with open_records(tmp_path):
                pass
    async with open_records(tmp_path):
        pass


@pytest.mark.parametrize("oldest_reader", ["UPDATE schema_compatibility SET oldest_reader = 99", "DROP TABLE {}"])
async def test_a_database_of_a_later_release_is_refused_untouched(tmp_path: Path, oldest_reader: str) -> None:
    async with open_records(tmp_path):
        pass
    database = sqlite3.connect(tmp_path / DATABASE_NAME)
    database.execute("PRAGMA user_version = 99")
    database.execute(oldest_reader.format("schema_compatibility"))
    database.commit()
    database.close()
    before = (tmp_path / DATABASE_NAME).read_bytes()
    with pytest.raises(SchemaTooNew, match=r"records\.sqlite3: written by a later release \(schema 99"):
        async with open_records(tmp_path):
            pass
    assert (tmp_path / DATABASE_NAME).read_bytes() == before
    assert not (tmp_path / "set-aside").exists()


async def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).mkdir()
    with pytest.raises(StorageFault, match=r"records\.sqlite3: Is a directory"):
        async with open_records(tmp_path):
            pass


async def test_a_migration_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
    later = (*schema.MIGRATIONS, ("CREATE TABLE later (x TEXT) STRICT", "CREATE TABLE later (x TEXT) STRICT"))
    with monkeypatch.context() as patch, pytest.raises(sqlite3.OperationalError, match="already exists"):
        patch.setattr(schema, "MIGRATIONS", later)
        async with open_records(tmp_path):
            pass
    good = (*schema.MIGRATIONS, ("CREATE TABLE later (x TEXT) STRICT",))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", good)
        async with open_records(tmp_path) as records:
            assert await records.exams() == [exam_of()]
    database = sqlite3.connect(tmp_path / DATABASE_NAME)
    assert database.execute("PRAGMA user_version").fetchone() == (len(good),)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


async def test_what_a_crash_left_half_written_is_removed(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        await records.save_picture("exam-1", "report.png", b"drawn")
    folder = tmp_path / "exams" / "exam-1"
    unrecorded = tmp_path / "exams" / "exam-2"
    unrecorded.mkdir()
    half = [folder / "x.png.tmp", folder / "pictures" / "report.png.tmp", unrecorded / "exam.json.tmp"]
    for path in half:
        path.write_bytes(b"half")
    async with open_records(tmp_path):
        assert [path for path in half if path.exists()] == []
        assert (folder / "pictures" / "report.png").exists()


# ----------------------------------------------------------------------------------------------- cancellation


async def test_a_call_that_has_started_is_finished_and_its_result_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = []
    flush = os.fsync
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())

        async def take() -> None:
            captured.append(await records.save_capture(exam_of(), frame_of(), **CAPTURED))
            await trio.lowlevel.checkpoint()
            captured.append("not reached")

        async with trio.open_nursery() as nursery:

            def flush_and_cancel(descriptor: int) -> None:
                monkeypatch.setattr(os, "fsync", flush)
                trio.from_thread.run_sync(nursery.cancel_scope.cancel)
                flush(descriptor)

            monkeypatch.setattr(os, "fsync", flush_and_cancel)
            nursery.start_soon(take)
        assert len(captured) == 1
        assert await records.captures("exam-1") == captured


async def test_many_callers_are_served_one_after_the_other(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())

        async def write(number: int) -> None:
            await records.save_object("exam-1", None, **instance(number), enqueue_for=NODE)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(write, number)
        assert len(await records.objects("exam-1")) == 20
        assert (await records.counts())[DeliveryState.QUEUED] == 20


def test_the_clock_of_the_house_knows_its_offset() -> None:
    assert local_now().utcoffset() is not None
