"""Who changed what, when, and what the numbers were before and after; with undo and redo. Pure: time is given.

The history is a log: undoing adds an entry, nothing is ever taken out. What can be undone and redone follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import numpy as np

from firmware_app.endothelium.dots import measure_dots
from firmware_app.endothelium.editing import ImpossibleEdit, apply
from firmware_app.endothelium.edits import Change, CountDots, CountFrame, Restore
from firmware_app.endothelium.fixed_frame import measure_in_frame
from firmware_app.endothelium.methods import measure_edited
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.restoring import difference
from firmware_app.model import Measurement, Method, Morphometry, Mosaic, Refusal


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a measurement said: numbers or a refusal."""

    numbers: Morphometry | None = None
    refusal: Refusal | None = None


class EditRecord(msgspec.Struct, frozen=True):
    """One entry. An undone change is named again by the entry that undoes it; `inverse` leads back from this entry."""

    who: str
    when: str  # ISO 8601 with offset
    action: Literal["edit", "undo", "redo"]
    change: Change
    inverse: Restore
    before: Outcome
    after: Outcome


@dataclass(frozen=True, slots=True)
class History:
    records: tuple[EditRecord, ...] = ()

    @property
    def done(self) -> tuple[EditRecord, ...]:
        """What made the present mosaic, in order; the last one is undone next."""
        return self._sorted()[0]

    @property
    def undone(self) -> tuple[EditRecord, ...]:
        """The entries that undid something which can be redone; the last one is redone next."""
        return self._sorted()[1]

    def _sorted(self) -> tuple[tuple[EditRecord, ...], tuple[EditRecord, ...]]:
        done: list[EditRecord] = []
        undone: list[EditRecord] = []
        for record in self.records:
            if record.action == "undo":
                done.pop()
                undone.append(record)
                continue
            if record.action == "redo":
                undone.pop()
            else:
                undone.clear()
            done.append(record)
        return tuple(done), tuple(undone)

    def with_record(self, record: EditRecord) -> History:
        return History((*self.records, record))


NOT_EDITED = History()


def changed(
    measurement: Measurement,
    history: History,
    change: Change,
    *,
    who: str,
    when: str,
    shape: tuple[int, int],
    um_per_px: float | None,
    parameters: Parameters | None = None,
) -> tuple[Measurement, History]:
    """The measurement after one more change, and its history.

    `shape` (rows, columns) is that of the image: a refused measurement has no mosaic, and cells can be added to it all
    the same. Edits may leave too few cells, which is then a refusal with a mosaic; a method that would refuse is not
    entered. Raises `ImpossibleEdit`.
    """
    parameters = parameters or Parameters()
    mosaic = measurement.mosaic or no_cells(shape)
    if isinstance(change, CountDots | CountFrame):
        made = _recounted(measurement, mosaic, change, um_per_px, parameters)
        inverse = difference(made.mosaic or no_cells(shape), mosaic)
    else:
        edited, inverse = apply(mosaic, change, parameters)
        made = measure_edited(edited, measurement.quality, um_per_px, parameters)
    made = replace(made, seconds=measurement.seconds)
    record = EditRecord(who, when, "edit", change, inverse, _outcome(measurement), _outcome(made))
    return made, history.with_record(record)


def undone(
    measurement: Measurement, history: History, *, who: str, when: str, shape: tuple[int, int]
) -> tuple[Measurement, History]:
    """Before the last change that stands, to the last bit. Raises `ImpossibleEdit` where there is none."""
    if not history.done:
        raise ImpossibleEdit("there is nothing to undo")
    return _back(measurement, history, history.done[-1], "undo", who, when, shape)


def redone(
    measurement: Measurement, history: History, *, who: str, when: str, shape: tuple[int, int]
) -> tuple[Measurement, History]:
    """After the change that was undone last. Raises `ImpossibleEdit` where there is none."""
    if not history.undone:
        raise ImpossibleEdit("there is nothing to redo")
    return _back(measurement, history, history.undone[-1], "redo", who, when, shape)


def no_cells(shape: tuple[int, int]) -> Mosaic:
    return Mosaic(np.zeros(shape, np.int32), np.zeros(0), np.zeros(0, np.int32), np.zeros((0, 2)))


def _back(
    measurement: Measurement,
    history: History,
    record: EditRecord,
    action: Literal["undo", "redo"],
    who: str,
    when: str,
    shape: tuple[int, int],
) -> tuple[Measurement, History]:
    """The numbers are those that were: a method's are not made of the mosaic alone."""
    mosaic, inverse = apply(measurement.mosaic or no_cells(shape), record.inverse)
    outcome = record.before
    made = Measurement(
        measurement.quality,
        mosaic if mosaic.n or outcome.numbers else None,
        outcome.numbers,
        outcome.refusal,
        measurement.seconds,
    )
    entry = EditRecord(who, when, action, record.change, inverse, _outcome(measurement), outcome)
    return made, history.with_record(entry)


def _recounted(
    measurement: Measurement,
    mosaic: Mosaic,
    change: CountDots | CountFrame,
    um_per_px: float | None,
    parameters: Parameters,
) -> Measurement:
    rows, columns = mosaic.labels.shape
    try:
        if isinstance(change, CountFrame):
            made = measure_in_frame(mosaic, change.frame, measurement.quality, um_per_px, parameters)
        else:
            dots = np.array(change.dots, np.float64).reshape(len(change.dots), 2)
            method = Method(change.method)
            made = measure_dots(dots, (rows, columns), measurement.quality, um_per_px, method, parameters)
    except ValueError as error:
        raise ImpossibleEdit(str(error)) from error
    if made.refusal is not None:
        raise ImpossibleEdit(made.refusal.reason)
    return made


def _outcome(measurement: Measurement) -> Outcome:
    return Outcome(measurement.morphometry, measurement.refusal)
