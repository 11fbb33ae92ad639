"""A small mosaic of rectangles with one class of sides each, and what a report needs around it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
from objects_samples import capture

from firmware_app.endothelium.edits import Remove, Restore
from firmware_app.endothelium.history import EditRecord, History, Outcome
from firmware_app.endothelium.morphometry import area_histogram
from firmware_app.model import (
    MEASUREMENT_FAILURE,
    Eye,
    Frame,
    Interval,
    Measurement,
    Method,
    Morphometry,
    Mosaic,
    Quality,
    Refusal,
)
from firmware_app.report.content import EyeReport

CREATED_AT = datetime.fromisoformat("2024-04-01T08:40:00+09:00")
ROWS, COLUMNS, CELL = 60, 80, 10
SIDES = (0, 3, 4, 5, 6, 6, 6, 7, 8, 9, 10, 6)


def labels() -> np.ndarray:
    """Twelve cells in two rows of six, 10 px high and 10, 11, 12, ... px wide, with a border around them."""
    made = np.zeros((ROWS, COLUMNS), np.int32)
    for index in range(len(SIDES)):
        row, column = divmod(index, 6)
        top, left = 10 + row * 20, 2 + column * 12
        made[top : top + CELL, left : left + 6 + index % 6] = index + 1
    return made


def pixels() -> np.ndarray:
    return np.where(labels() > 0, 180, 40).astype(np.uint8) + np.arange(COLUMNS, dtype=np.uint8) // 4


def mosaic_measurement(um_per_px: float | None = 3.0, warnings: tuple[str, ...] = ()) -> Measurement:
    area_px = np.bincount(labels().ravel())[1:].astype(np.float64)
    mosaic = Mosaic(labels(), area_px, np.array(SIDES, np.int32), np.zeros((len(SIDES), 2)))
    scale = None if um_per_px is None else um_per_px**2
    mean, deviation = float(area_px.mean()), float(area_px.std())
    numbers = Morphometry(
        n=len(SIDES),
        mean_area_px=mean,
        cv_percent=100 * deviation / mean,
        hex_percent=100 * SIDES.count(6) / 11,
        n_complete_ring=11,
        sides={sides: SIDES.count(sides) for sides in range(3, 11)},
        um_per_px=um_per_px,
        cd_per_mm2=None if scale is None else 1e6 / (mean * scale),
        area_min_um2=None if scale is None else float(area_px.min()) * scale,
        area_max_um2=None if scale is None else float(area_px.max()) * scale,
        area_mean_um2=None if scale is None else mean * scale,
        area_sd_um2=None if scale is None else deviation * scale,
        analysed_area_mm2=None if scale is None else float(area_px.sum()) * scale / 1e6,
        warnings=warnings,
        area_histogram=None if scale is None else area_histogram(area_px * scale),
        cd_interval=None if scale is None else Interval(700.0, 1200.0),
        cv_interval=Interval(12.0, 30.0),
        hex_interval=Interval(15.2, 64.6),
    )
    return Measurement(Quality("A", 0.9, 0.8, 0.9), mosaic, numbers)


def refused(reason: str) -> Measurement:
    return Measurement(Quality("D", 0.1, 0.1, 0.1, ("blurred",)), refusal=Refusal(MEASUREMENT_FAILURE, reason))


def edited(eye: EyeReport, *names: str) -> EyeReport:
    """The eye after one cell was removed by each of these people; nothing is measured here, 11 cells are too few."""
    assert eye.measurement.morphometry is not None
    numbers = eye.measurement.morphometry
    after = Outcome(replace(numbers, n=11, method=Method.MANUAL))
    nothing = Restore(0, b"", ())
    records = tuple(
        EditRecord(name, "2024-04-01T08:35:00+09:00", "edit", Remove((1,)), nothing, Outcome(numbers), after)
        for name in names
    )
    return replace(eye, measurement=replace(eye.measurement, morphometry=after.numbers), history=History(records))


def reported(um_per_px: float | None = 3.0, eye: Eye = Eye.RIGHT) -> EyeReport:
    return EyeReport(capture(eye, um_per_px=um_per_px), Frame(pixels(), 8, 1, 0), mosaic_measurement(um_per_px))
