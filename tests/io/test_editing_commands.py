"""Cells edited at the console: numbers, revisions and who did what, in the records, after a crash, on the report."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exam_bench import ExamBench, exam_bench, nothing
from mosaic_samples import dots_of, picture, same
from objects_samples import PATIENT
from pydicom import dcmread

from firmware_app.console.commands import CommandContext, CommandFailed, CommandTable, CommandUsage
from firmware_app.console.protocol import Reply
from firmware_app.model import Exam, Eye, Frame, Measurement, Position
from firmware_app.services.editing_commands import EditingCommands
from hw.errors import Refused

SHAPE = (320, 400)
WHEN = "2026-03-01T10:00:00+01:00"


class Console:
    """The commands, run as the server runs them."""

    def __init__(self, bench: ExamBench, operator: str = "Op^Otto") -> None:
        self.bench = bench
        self.table = CommandTable(EditingCommands(bench.exams, operator, lambda: WHEN).table())

    async def reply(self, line: str) -> Reply:
        invocation = self.table.parse(line)
        return await invocation.command.handler(CommandContext(self.table, nothing), invocation.arguments)

    async def run(self, line: str) -> dict[str, Any]:
        reply = await self.reply(line)
        data: dict[str, Any] = json.loads(json.dumps(reply.data))  # as it goes to a script
        return data

    async def measurement(self) -> Measurement:
        return (await self.bench.exams.result(Eye.RIGHT)).measurement


@asynccontextmanager
async def one_eye(folder: Path) -> AsyncIterator[tuple[Console, Exam, str]]:
    """An exam with a measured right eye, and its capture's ID."""
    async with exam_bench(folder, None) as bench:
        exam = await bench.exams.start((), PATIENT, "Op^Otto")
        capture = await bench.records.save_capture(
            exam,
            Frame(picture(*SHAPE), 8, 1, 1),
            eye=Eye.RIGHT,
            position=Position(0, 0, 0),
            um_per_px=0.85,
            sharpness=1.0,
            simulated=True,
        )
        await resumed(bench, exam)
        yield Console(bench), exam, capture.capture_id


async def resumed(bench: ExamBench, exam: Exam) -> None:
    bench.exams.exam = None  # as after a crash
    await bench.exams.resume(exam.exam_id, nothing)


async def test_an_eye_is_edited_undone_and_redone_with_a_revision_each(tmp_path: Path) -> None:
    async with one_eye(tmp_path) as (console, _, capture_id):
        first = await console.measurement()
        assert first.morphometry is not None
        cells = (await console.run("cells R"))["cells"]
        assert len(cells) == first.morphometry.n
        assert sum(cell["area"] for cell in cells) == pytest.approx(first.morphometry.analysed_area_mm2 * 1e6)
        edited = await console.run("edit R remove 12 13")
        assert (edited["revision"], edited["done"], edited["undone"]) == (2, 1, 0)
        assert edited["morphometry"]["n"] == first.morphometry.n - 2
        assert edited["morphometry"]["method"] == "manual"
        text = (await console.reply("edit R undo --by Roe")).text
        assert "undo: cells 12, 13 removed; revision 3" in text
        back = await console.measurement()
        assert back.morphometry == first.morphometry
        assert back.mosaic is not None
        assert first.mosaic is not None
        assert same(back.mosaic, first.mosaic)
        again = await console.run("edit R redo")
        assert again["morphometry"]["n"] == first.morphometry.n - 2
        assert " to " not in (await console.reply("edit R history")).text  # a line a change has no room for intervals
        records = (await console.run("edit R history"))["records"]
        assert [(each["who"], each["action"]) for each in records] == [
            ("Op^Otto", "edit"), ("Roe", "undo"), ("Op^Otto", "redo"),
        ]  # fmt: skip
        assert {each["when"] for each in records} == {WHEN}
        assert records[0]["before"]["numbers"]["n"] == first.morphometry.n
        assert records[0]["after"]["numbers"]["n"] == first.morphometry.n - 2
        kept = await console.bench.records.measurement(capture_id)
        assert kept is not None
        assert kept.morphometry == (await console.measurement()).morphometry
        sidecar = json.loads((tmp_path / "exams" / kept_folder(tmp_path) / f"{capture_id}-m2.json").read_bytes())
        assert sidecar["numbers"]["edit"]["who"] == "Op^Otto"
        assert [event.kind for event in console.bench.watch.events].count("measurement.edited") == 3


def kept_folder(state: Path) -> str:
    (folder,) = (state / "exams").iterdir()
    return folder.name


async def test_other_methods_are_entered_and_undone(tmp_path: Path) -> None:
    async with one_eye(tmp_path / "state") as (console, _, _):
        first = await console.measurement()
        dots, truth = dots_of(6, *SHAPE)
        file = tmp_path / "dots.csv"
        file.write_text("x,y\n" + "".join(f"{column},{row}\n" for row, column in dots))
        counted = await console.run(f"method R centre {file}")
        assert counted["morphometry"]["method"] == "centre"
        assert counted["morphometry"]["cd_per_mm2"] == pytest.approx(truth.cd_per_mm2, rel=0.05)
        of_dots = await console.measurement()
        assert of_dots.mosaic is not None
        framed = await console.run(f"method R frame {covered_frame(of_dots.mosaic.labels)}")
        assert framed["morphometry"]["method"] == "fixed-frame"
        assert framed["morphometry"]["cd_per_mm2"] == pytest.approx(truth.cd_per_mm2, rel=0.15)
        await console.run("edit R undo")
        typed = " ".join(f"{row:.1f} {column:.1f}" for row, column in dots)
        flexible = await console.run(f"method R flex-centre {typed}")
        assert flexible["morphometry"]["method"] == "flex-centre"
        assert flexible["morphometry"]["n"] > counted["morphometry"]["n"]
        await console.run("edit R undo")
        await console.run("edit R undo")
        assert (await console.measurement()).morphometry == first.morphometry
        assert "fixed-frame" in (await console.reply("edit R history")).text


def covered_frame(labels: np.ndarray) -> str:
    """The largest square around the middle of the cells in which every pixel belongs to one."""
    row, column = (round(places.mean()) for places in np.nonzero(labels))
    half = next(each for each in range(labels.shape[0]) if not all_cells(labels, row, column, each)) - 1
    return f"{row - half} {column - half} {2 * half} {2 * half}"


def all_cells(labels: np.ndarray, row: int, column: int, half: int) -> bool:
    return min(row, column) >= half and bool((labels[row - half : row + half, column - half : column + half] > 0).all())


IMPOSSIBLE: list[tuple[str, type[Exception], str]] = [
    ("edit R remove 9999", CommandFailed, "there is no cell 9999"),
    ("edit R undo", CommandFailed, "nothing to undo"),
    ("edit R redo", CommandFailed, "nothing to redo"),
    ("edit R undo 1", CommandUsage, "undo takes no values"),
    ("edit R remove", CommandUsage, "remove CELL"),
    ("edit R paint 1", CommandUsage, '"paint" is not one of remove, merge'),
    ("edit R remove twelve", CommandUsage, '"twelve" is not a number'),
    ("edit R remove 1 --by ''", CommandUsage, "a name of at most 64"),
    ("method R centre dots.csv", CommandUsage, "method: a number"),
    ("method R centre /nowhere/dots.csv", CommandFailed, "/nowhere/dots.csv"),
    ("method R centre 5 5", CommandFailed, "at least 30 are needed"),
    ("method R frame 0 0 5", CommandUsage, "TOP LEFT HEIGHT WIDTH"),
    ("method R frame 0 0 5000 5000", CommandFailed, "the frame ends at row 4999"),
    ("edit L remove 1", Refused, "the left eye has no capture in this exam"),
]


async def test_what_cannot_be_done_is_told_and_changes_nothing(tmp_path: Path) -> None:
    async with one_eye(tmp_path) as (console, _, capture_id):
        first = await console.measurement()
        for line, error, complaint in IMPOSSIBLE:
            with pytest.raises(error, match=complaint):
                await console.run(line)
        assert await console.measurement() is first
        assert await console.bench.records.edits(capture_id) == ()


async def test_edits_survive_a_crash_and_can_still_be_undone(tmp_path: Path) -> None:
    async with one_eye(tmp_path) as (console, exam, _):
        first = await console.measurement()
        await console.run("edit R remove 12")
        left = await console.measurement()
        await resumed(console.bench, exam)
        back = await console.measurement()
        assert back.morphometry == left.morphometry
        assert back.mosaic is not None
        assert left.mosaic is not None
        assert same(back.mosaic, left.mosaic)
        await console.run("edit R undo")
        assert (await console.measurement()).morphometry == first.morphometry


async def test_edits_that_cannot_be_read_any_more_are_measured_again(tmp_path: Path) -> None:
    async with one_eye(tmp_path) as (console, exam, capture_id):
        first = await console.measurement()
        await console.run("edit R remove 12")
        (tmp_path / "exams" / exam.exam_id / f"{capture_id}-m2.npz").write_bytes(b"damaged")
        await resumed(console.bench, exam)
        assert (await console.measurement()).morphometry == first.morphometry
        await console.run("edit R remove 1")
        assert len(await console.bench.records.edits(capture_id)) == 1  # those before the new measurement are past


async def test_report_and_objects_say_that_it_was_edited_and_then_it_is_final(tmp_path: Path) -> None:
    async with one_eye(tmp_path) as (console, _, _):
        await console.run("edit R remove 12")
        finished = await console.bench.exams.finish(nothing)
        comments = [dcmread(file, stop_before_pixels=True).ImageComments for file in finished.files]
        assert all("method manual" in comment for comment in comments)
        with pytest.raises(Refused, match="can only be changed before their exam is finished"):
            await console.run("edit R remove 12")
        with pytest.raises(Refused, match="can only be changed before"):
            await console.run("method R frame 0 0 10 10")


async def test_what_was_refused_can_be_drawn_by_hand(tmp_path: Path) -> None:
    async with exam_bench(tmp_path, None) as bench:
        console = Console(bench, operator="")
        exam = await bench.exams.start((), PATIENT, "")
        await bench.records.save_capture(
            exam,
            Frame(np.full((120, 160), 90, np.uint8), 8, 1, 1),
            eye=Eye.RIGHT,
            position=Position(0, 0, 0),
            um_per_px=None,
            sharpness=1.0,
            simulated=True,
        )
        await resumed(bench, exam)
        assert (await console.run("cells R")) == {"cells": []}
        drawn = await console.run("edit R add 10 10 10 40 40 40 40 10")
        assert (drawn["status"], drawn["reason"]) == ("refused", "only 1 cells: at least 30 are needed")
        listed = await console.run("cells R")
        assert listed["area_unit"] == "px"
        assert [cell["cell"] for cell in listed["cells"]] == [1]
        assert (await console.run("edit R history"))["records"][0]["who"] == "(operator not configured)"
