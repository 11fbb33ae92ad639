"""deploy/power-cuts without its machine: what was promised is looked for, and the control is another database."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from records_material import CAPTURED, NODE, exam_of, frame_of, instance, uid_of
from stand_in_service import measure_as_before, relax

sys.path.append(str(Path(__file__).resolve().parents[2]))

from deploy.power_cuts.acknowledgements import (
    Captured,
    Committed,
    ExamBegun,
    ExamClosed,
    Measured,
    Promise,
    StepReported,
    Stored,
    Told,
    promise_line,
    read_promises,
)
from deploy.power_cuts.survivors import Survivors, look
from firmware_app.dicom.commitment import Judgement
from firmware_app.endothelium.edits import Remove, Restore
from firmware_app.endothelium.history import EditRecord, Outcome
from firmware_app.model import Measurement, Morphometry, Mosaic, Quality
from firmware_app.records import database
from firmware_app.records.files import digest
from firmware_app.records.mpps import MppsMessage
from firmware_app.records.store import Records, open_records
from firmware_app.services import analysis

STEP = "1.2.3.9.1"
NUMBERS = Morphometry(60, 431.5, 30.25, 61.0, 50, {5: 12, 6: 30, 7: 8}, 0.85, 2600.5)
EDITED = replace(NUMBERS, n=59)
MEASUREMENT = Measurement(Quality("A", 0.9, 0.9, 0.9), None, NUMBERS)


async def committed(records: Records, uid: str) -> None:
    (transaction,) = (await records.commitments.gather(NODE, NODE, 0.0, lambda: "1.2.3.7")).transactions
    await records.commitments.begin_request(transaction, records.now())
    judgement = Judgement(committed=(uid,))
    await records.commitments.record(transaction, "ARCHIVE", judgement, lambda attempts: records.now(), lambda: "1.2.8")


async def an_exam(state: Path) -> list[Told]:
    """Recorded to its end, with everything that was told on the way."""
    async with open_records(state) as records:
        exam = replace(exam_of(1), mpps_sop_instance_uid=STEP)
        await records.begin_exam(exam, MppsMessage(STEP, exam.exam_id, NODE, "IN PROGRESS", b"set"))
        capture = await records.save_capture(exam, frame_of(1), **CAPTURED)
        image = (state / "exams" / exam.exam_id / f"{capture.capture_id}.png").read_bytes()
        await records.save_measurement(capture.capture_id, MEASUREMENT)
        before, after = Outcome(NUMBERS), Outcome(EDITED)
        edit = EditRecord("Dr. A", "2026-03-01T10:00:00Z", "edit", Remove((1,)), Restore(59, b"", ()), before, after)
        await records.save_measurement(capture.capture_id, replace(MEASUREMENT, morphometry=EDITED), edit)
        made = instance(1)
        record = await records.save_object(exam.exam_id, None, **made, enqueue_for=NODE)
        await records.finish_exam(exam.exam_id)
        await records.mark_sending(uid_of(1), NODE)
        await records.mark_stored(uid_of(1), NODE, 0)
        await committed(records, uid_of(1))
        head, _ = await records.mpps.head(NODE)
        assert head is not None
        await records.mpps.mark_sending(head.place)
        await records.mpps.mark_done(head.place, 0)
    return [
        ExamBegun(exam.exam_id, exam.patient.patient_id),
        Captured(exam.exam_id, capture.capture_id, digest(image)),
        Measured(capture.capture_id, 1, plain(NUMBERS)),
        Measured(capture.capture_id, 2, plain(EDITED)),
        ExamClosed(exam.exam_id, (uid_of(1),), {record.file: record.sha256}),
        Stored(uid_of(1)),
        Committed((uid_of(1),)),
        StepReported(STEP, "IN PROGRESS"),
    ]


def plain(numbers: Morphometry) -> dict[str, object]:
    return dict(json.loads(json.dumps(asdict(numbers))))


async def test_all_that_was_told_is_found_by_way_of_its_lines(tmp_path: Path) -> None:
    promises = [Promise(3 * number, told) for number, told in enumerate(await an_exam(tmp_path))]
    assert read_promises(b"".join(map(promise_line, promises))) == promises
    assert await look(tmp_path, [each.told for each in promises]) == Survivors((), ())


def test_promises_follow_the_log() -> None:
    lines = [promise_line(Promise(position, Stored("1.2"))) for position in (5, 5, 4)]
    assert len(read_promises(b"".join(lines[:2]))) == 2
    with pytest.raises(ValueError, match="not in the order of the log"):
        read_promises(b"".join(lines))


NOT_THERE: list[Told] = [
    ExamBegun("exam-2", "ID-2"),
    ExamBegun("exam-1", "ID-2"),
    Captured("exam-1", "20260301T090000-L-00000000", "0"),
    Measured("20260301T090000-L-00000000", 1, None),
    ExamClosed("exam-2"),
    ExamClosed("exam-1", (uid_of(2),)),
    ExamClosed("exam-1", (), {"exams/exam-1/pictures/report.png": "0"}),
    Stored(uid_of(2)),
    Committed((uid_of(1), uid_of(2))),
    StepReported(STEP, "COMPLETED"),
]


@pytest.mark.parametrize("promise", NOT_THERE, ids=lambda told: type(told).__name__)
async def test_what_was_told_and_is_not_there_is_lost(tmp_path: Path, promise: Told) -> None:
    await an_exam(tmp_path)
    found = await look(tmp_path, [promise])
    assert found.damaged == () and len(found.lost) == 1


@pytest.mark.parametrize("revision", [1, 2])
async def test_other_numbers_than_were_told_are_lost(tmp_path: Path, revision: int) -> None:
    told = await an_exam(tmp_path)
    (lost,) = (await look(tmp_path, [replace_numbers(told, revision)])).lost
    assert "has other numbers than were told" in lost


def replace_numbers(told: list[Told], revision: int) -> Told:
    (measured,) = (each for each in told if isinstance(each, Measured) and each.revision == revision)
    return Measured(measured.capture_id, revision, {**(measured.morphometry or {}), "n": 58})


async def test_a_later_edit_is_not_there(tmp_path: Path) -> None:
    told = await an_exam(tmp_path)
    (lost,) = (await look(tmp_path, [Measured(told[1].capture_id, 3, None)])).lost
    assert lost.startswith("measurement 3 of")


def shorten_image(state: Path) -> None:
    (image,) = state.glob("exams/exam-1/*-L-*.png")
    image.write_bytes(image.read_bytes()[:-1])


async def test_a_file_that_is_not_what_its_row_says_is_damage(tmp_path: Path) -> None:
    told = await an_exam(tmp_path)
    shorten_image(tmp_path)
    found = await look(tmp_path, told)
    assert len(found.damaged) == len(found.lost) == 1


async def test_records_that_cannot_be_opened_have_lost_everything(tmp_path: Path) -> None:
    told = await an_exam(tmp_path)
    with closing(sqlite3.connect(tmp_path / "records.sqlite3")) as connection:
        connection.execute("PRAGMA user_version = 9999")
        connection.execute("UPDATE schema_compatibility SET oldest_reader = 9999")
        connection.commit()
    found = await look(tmp_path, told)
    assert found.damaged[0].startswith("cannot be opened") and len(found.lost) == len(told)


async def test_a_database_that_has_to_be_rebuilt_is_damage(tmp_path: Path) -> None:
    told = await an_exam(tmp_path)
    with (tmp_path / "records.sqlite3").open("r+b") as file:
        file.write(bytes(4096))
    found = await look(tmp_path, told)
    assert found.damaged[0].startswith("the database had to be rebuilt") and len(found.damaged) == 1


def test_the_control_has_another_synchronous_than_the_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 is FULL, 1 is NORMAL (sqlite.org/pragma.html#pragma_synchronous)."""
    assert synchronous(tmp_path) == 2
    monkeypatch.setattr(database, "_configure", database._configure)
    relax("NORMAL")
    assert synchronous(tmp_path) == 1
    with pytest.raises(ValueError, match="not 'never'"):
        relax("never")


def synchronous(folder: Path) -> int:
    with database.open_database(folder / "records.sqlite3") as opened:
        row: sqlite3.Row = opened.rows("PRAGMA synchronous")[0]
    return int(row[0])


def measured_as(pixels: np.ndarray) -> Measurement:
    labels = np.zeros(pixels.shape, np.int32)
    mosaic = Mosaic(labels, np.empty(0), np.empty(0, np.int32), np.empty((0, 2)))
    return replace(MEASUREMENT, mosaic=mosaic)


def test_a_picture_of_the_size_of_one_that_was_measured_before_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = frame_of(1).pixels
    known = [measured_as(picture), replace(measured_as(picture), seconds=2.0)]
    monkeypatch.setattr(analysis, "measure", analysis.measure)
    measure_as_before(known)
    first = analysis.measure(picture, 8, 0.85)
    assert first in known and analysis.measure(picture.copy(), 8, 0.85) is first
    assert analysis.measure(picture[:-1], 8, 0.85).refusal is not None
