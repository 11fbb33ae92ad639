"""Damage to a database file by byte surgery, and a state folder worth damaging."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from records_material import CAPTURED, NODE, StandingClock, exam_of, frame_of, instance
from report_samples import edited, reported

from firmware_app.model import CALCULATION_FAILURE, Exam, Measurement, Mosaic, Quality, Refusal
from firmware_app.records.mpps import MppsMessage, StepStatus
from firmware_app.records.store import DATABASE_NAME, Records, open_records

PAGE = 4096
EXAMS = 4
_LABELS = np.zeros((12, 16), np.int32)
_LABELS[3:5, 3:5] = 1
MOSAIC = Mosaic(_LABELS, np.array([4.0]), np.array([0], np.int32), np.array([[3.5, 3.5]]))
EDIT = edited(reported(), "Dr. Ω").history.records[0]
DARK = Measurement(Quality("D", 0.1, 0.1, 0.1), None, None, Refusal(CALCULATION_FAILURE, "dark"))


def exam_with_step(number: int) -> Exam:
    return replace(exam_of(number), mpps_sop_instance_uid=f"1.2.9.{number}")


def step_message(number: int, status: StepStatus) -> MppsMessage:
    return MppsMessage(f"1.2.9.{number}", f"exam-{number}", "mpps", status, bytes(range(256)) * 2)


async def fill(records: Records, clock: StandingClock, numbers: range = range(1, EXAMS + 1)) -> None:
    """Exams with two captures, edited measurements, instances for a node and kept ones; the last one stays open."""
    for number in numbers:
        exam = exam_with_step(number)
        await records.begin_exam(exam, step_message(number, "IN PROGRESS"))
        for seed in range(2):
            clock.advance(1)
            capture = await records.save_capture(exam, frame_of(seed), **CAPTURED)
            await records.save_measurement(capture.capture_id, replace(DARK, mosaic=MOSAIC))
            await records.save_measurement(capture.capture_id, DARK, EDIT)
            made = instance(2 * number + seed)
            await records.save_object(exam.exam_id, capture.capture_id, **made, enqueue_for=NODE if seed == 0 else None)
        if number < EXAMS:
            await records.finish_exam(exam.exam_id, step_message(number, "COMPLETED"))


async def everything(records: Records) -> dict[str, object]:
    """All that sidecars hold, as the records tell it."""
    exams = await records.exams()
    captures = {exam.exam_id: await records.captures(exam.exam_id) for exam in exams}
    taken = [capture for each in captures.values() for capture in each]
    return {
        "exams": exams,
        "open": await records.unfinished_exams(),
        "captures": captures,
        "frames": [(await records.load_frame(each.capture_id)).pixels.tobytes() for each in taken],
        "measurements": [await records.measurement(each.capture_id) is not None for each in taken],
        "edits": [await records.edits(each.capture_id) for each in taken],
        "objects": {exam.exam_id: await records.objects(exam.exam_id) for exam in exams},
        "steps": [
            (each.mpps_sop_instance_uid, each.operation, each.step_status, await records.mpps.attributes(each.place))
            for each in await records.mpps.messages()
        ],
        "waiting": [(each.sop_instance_uid, each.node) for each in await records.deliveries()],
    }


async def folder_worth_damaging(state: Path, clock: StandingClock) -> dict[str, object]:
    async with open_records(state, clock=clock) as records:
        await fill(records, clock)
        return await everything(records)


def page_count(path: Path) -> int:
    return path.stat().st_size // PAGE


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def garbage_page(path: Path, seed: int) -> int:
    """A random page, from its number, full of random bytes."""
    chance = random.Random(seed)
    page = chance.randrange(page_count(path))
    overwrite(path, page * PAGE, chance.randbytes(PAGE))
    return page


def root_of(path: Path, table: str) -> int:
    """The offset of the first page of a table or index."""
    with closing(sqlite3.connect(path)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    return (int(page) - 1) * PAGE


def orphan(path: Path) -> None:
    """An instance whose exam is gone: every page is sound."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("DELETE FROM exams WHERE exam_id = 'exam-2'")
        database.commit()


def without_json(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE exams SET worklist_items = '{\"items\":[' WHERE exam_id = 'exam-2'")
        database.commit()


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "page zeroed": lambda path: overwrite(path, root_of(path, "captures"), bytes(PAGE)),
    "index page zeroed": lambda path: overwrite(path, root_of(path, "objects_of_exam"), bytes(PAGE)),
    "truncated": truncated,
    "header overwritten": lambda path: overwrite(path, 0, b"not a database, but long enough to be looked at " * 2),
    "first page zeroed": lambda path: overwrite(path, 0, bytes(PAGE)),
    "all zeroed": lambda path: overwrite(path, 0, bytes(path.stat().st_size)),
    "empty file": lambda path: path.write_bytes(b""),
    "missing": Path.unlink,
    "reference to nothing": orphan,
    "text that is no JSON": without_json,
    "half a row": lambda path: overwrite(path, root_of(path, "deliveries") + 8, random.Random(1).randbytes(300)),
}


def copied(state: Path, to: Path) -> Path:
    """A state folder of one's own."""
    shutil.copytree(state, to)
    assert (to / DATABASE_NAME).exists()
    return to
