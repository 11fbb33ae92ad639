"""Who, when, before and after; undo and redo; methods among the edits; and all of it written and read back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from mosaic_samples import QUALITY, UM_PER_PX, dots_of, same, seen

from firmware_app.endothelium.editing import ImpossibleEdit
from firmware_app.endothelium.edits import (
    Add,
    Change,
    CountDots,
    CountFrame,
    Merge,
    MoveBorder,
    Remove,
    SetRegion,
    Split,
    change_words,
)
from firmware_app.endothelium.fixed_frame import CountingFrame
from firmware_app.endothelium.history import EditRecord, History, changed, redone, undone
from firmware_app.endothelium.methods import measure_edited
from firmware_app.endothelium.morphometry import morphometry
from firmware_app.endothelium.parameters import Parameters
from firmware_app.model import MEASUREMENT_FAILURE, Measurement, Method, Refusal

SHAPE = (480, 640)
LATER: dict[str, Any] = {"who": "Op^Otto", "when": "2026-03-01T09:00:00+01:00", "shape": SHAPE}
DOTS = CountDots("centre", tuple((float(row), float(column)) for row, column in dots_of(6)[0]))
FRAME = CountFrame(CountingFrame(60, 70, 300, 400))


def automatic() -> Measurement:
    return Measurement(QUALITY, seen(), morphometry(seen(), UM_PER_PX, Parameters()), seconds=0.25)


def edited(measurement: Measurement, history: History, change: Change) -> tuple[Measurement, History]:
    return changed(measurement, history, change, um_per_px=UM_PER_PX, **LATER)


def equal(one: Measurement, other: Measurement) -> bool:
    mosaics = one.mosaic is other.mosaic or (
        one.mosaic is not None and other.mosaic is not None and same(one.mosaic, other.mosaic)
    )
    return mosaics and (one.morphometry, one.refusal, one.seconds) == (other.morphometry, other.refusal, other.seconds)


def test_an_edit_is_recorded_with_who_when_before_and_after() -> None:
    measured, history = edited(automatic(), History(), Merge((1, neighbour_of(1))))
    (record,) = history.records
    assert (record.who, record.when, record.action) == ("Op^Otto", "2026-03-01T09:00:00+01:00", "edit")
    assert record.before.numbers == automatic().morphometry
    assert record.after.numbers == measured.morphometry
    assert measured.morphometry is not None
    assert measured.morphometry.method is Method.MANUAL
    assert measured.morphometry.n == seen().n - 1
    assert measured.seconds == 0.25
    assert measured.quality is QUALITY


def neighbour_of(cell: int) -> int:
    labels = seen().labels
    right = labels[:, 1:][labels[:, :-1] == cell]
    return int(right[(right != cell) & (right != 0)][0])


def test_undo_and_redo_lead_through_every_state_and_are_recorded_too() -> None:
    states = [automatic()]
    history = History()
    for change in (Remove((12, 13)), FRAME, Remove((1,)), DOTS):
        measured, history = edited(states[-1], history, change)
        states.append(measured)
    methods = [state.morphometry.method for state in states if state.morphometry]
    assert methods == [Method.AUTOMATIC, Method.MANUAL, Method.FIXED_FRAME, Method.MANUAL, Method.CENTRE]
    measured = states[-1]
    for state in reversed(states[:-1]):
        measured, history = undone(measured, history, **LATER)
        assert equal(measured, state)
    with pytest.raises(ImpossibleEdit, match="nothing to undo"):
        undone(measured, history, **LATER)
    for state in states[1:]:
        measured, history = redone(measured, history, **LATER)
        assert equal(measured, state)
    with pytest.raises(ImpossibleEdit, match="nothing to redo"):
        redone(measured, history, **LATER)
    assert [record.action for record in history.records] == ["edit"] * 4 + ["undo"] * 4 + ["redo"] * 4
    assert [record.change for record in history.done] == [record.change for record in history.records[:4]]


def test_a_new_edit_ends_what_can_be_redone() -> None:
    measured, history = edited(automatic(), History(), Remove((1,)))
    measured, history = undone(measured, history, **LATER)
    measured, history = edited(measured, history, Remove((2,)))
    assert history.undone == ()
    assert len(history.done) == 1
    measured, history = undone(measured, history, **LATER)
    assert equal(measured, automatic())


def test_edits_may_leave_too_few_cells_and_go_on() -> None:
    many = tuple(range(25, seen().n + 1))
    measured, history = edited(automatic(), History(), Remove(many))
    assert measured.morphometry is None
    assert measured.refusal is not None
    assert measured.refusal.reason == "only 24 cells: at least 30 are needed"
    assert measured.mosaic is not None
    assert measured.mosaic.n == 24
    assert history.records[-1].after.refusal == measured.refusal
    back, _ = undone(measured, history, **LATER)
    assert equal(back, automatic())


def test_cells_can_be_added_to_what_was_refused() -> None:
    refused = Measurement(QUALITY, refusal=Refusal(MEASUREMENT_FAILURE, "out of focus"), seconds=0.5)
    outline = ((10.0, 10.0), (10.0, 30.0), (30.0, 30.0), (30.0, 10.0))
    measured, history = edited(refused, History(), Add(outline))
    assert measured.mosaic is not None
    assert measured.mosaic.n == 1
    back, history = undone(measured, history, **LATER)
    assert equal(back, refused)
    again, _ = redone(back, history, **LATER)
    assert equal(again, measured)
    counted, _ = edited(refused, History(), DOTS)
    assert counted.morphometry is not None
    assert counted.refusal is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (CountFrame(CountingFrame(0, 0, 100, 100)), "of the frame has no counted cells"),
        (CountFrame(CountingFrame(0, 0, 1000, 100)), "the frame ends at row 999"),
        (CountDots("flex-centre", ((5.0, 5.0),)), "at least 30 are needed"),
        (CountDots("centre", ((5.0, 700.0),)), "dot 1 at row 5, column 700 is not on the image"),
        (Remove((1000,)), "there is no cell 1000"),
    ],
)
def test_what_would_be_refused_is_not_entered(change: Change, complaint: str) -> None:
    with pytest.raises(ImpossibleEdit, match=complaint):
        edited(automatic(), History(), change)


def test_a_history_is_written_and_read_back_and_goes_on() -> None:
    measured, history = edited(automatic(), History(), SetRegion(((9.0, 9.0), (9.0, 600.0), (400.0, 300.0))))
    measured, history = edited(measured, history, DOTS)
    read = History(
        tuple(msgspec.json.decode(msgspec.json.encode(record), type=EditRecord) for record in history.records)
    )
    assert read == history
    back, read = undone(measured, read, **LATER)
    back, read = undone(back, read, **LATER)
    assert equal(back, automatic())


def test_edited_numbers_warn_below_75_cells_and_need_30() -> None:
    few = replace(seen(150, 180), region=np.ones((150, 180), bool), guttae=np.zeros((150, 180), bool))
    assert 30 <= few.n < 75
    numbers = measure_edited(few, QUALITY, None).morphometry
    assert numbers is not None
    assert any("low confidence" in warning for warning in numbers.warnings)
    assert numbers.guttae_percent == 0.0
    assert numbers.cd_per_mm2 is None
    assert measure_edited(few, QUALITY, None, Parameters(cells_min=few.n + 1)).morphometry is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Remove((7,)), "cell 7 removed"),
        (Remove((7, 9)), "cells 7, 9 removed"),
        (Merge((7, 9)), "cells 7, 9 merged"),
        (Split(7, ()), "cell 7 split"),
        (MoveBorder(7, 9, ()), "border between cells 7 and 9 moved"),
        (Add(), "cell added"),
        (SetRegion(()), "region set"),
        (CountDots("flex-centre", ((1.0, 2.0),)), "counted by flex-centre from 1 dots"),
        (FRAME, "counted in a frame of 300 rows and 400 columns at row 60, column 70"),
    ],
)
def test_every_change_has_words(change: Change, words: str) -> None:
    assert change_words(change) == words
