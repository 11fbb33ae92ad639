"""The core on real images with manual outlines and dots: read for validation only, nothing here is fitted to them.

The figures are those of the evaluation (tests/benchmarks/bench_segmentation.py) on some of its images, judged in the
same way; the limits are a little wider than what all of them reach.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import segmentation_table as table
from segmentation_judge import UNCOUNTABLE_DOTS, against_dots, against_outlines
from segmentation_truth import DOTTED, Asked, images_of, known, read_dots

from firmware_app.endothelium.measure import measure
from firmware_app.model import Measurement
from firmware_app.services.image_files import read_image

pytestmark = pytest.mark.shared_data


@dataclass(frozen=True, slots=True)
class Limits:
    """Greatest mean absolute errors, least mean F1 at IoU 0.5, least share of the images that is answered."""

    ecd_percent: float
    cv_points: float
    hex_points: float
    f1: float
    answered_percent: float


LIMITS = {
    "gavet": Limits(0.9, 1.2, 2.5, 0.975, 90),
    "confoscan52": Limits(1.8, 2.0, 5.0, 0.945, 90),
    "cwru": Limits(3.0, 3.5, 8.0, 0.87, 80),
    "alizarine": Limits(0.5, 1.8, 1.5, 0.99, 100),
}
EVERY = {"gavet": 1, "confoscan52": 2, "cwru": 1, "alizarine": 3}
WORST_ECD_PERCENT = 8.0  # of any single image of these sets

DOTS_EVERY = 6
DOTS_ECD_PERCENT = 3.5
DOTS_WITHIN_10_PERCENT = 90.0
DOTS_ANSWERED_PERCENT = 86.0

UNCOUNTABLE_EVERY = 4
TRUE_REASONS = ("overexposed", "hazy", "out of focus", "dark", "guttae")


def judged(asked: Asked) -> table.Judged:
    """As the evaluation judges: the cells in the annotated area, or all cells beside dots."""
    truth = known(asked)
    measurement = measure(truth.pixels, truth.bits_stored)
    row = table.Judged(asked.set_name, asked.image, truth.kind, table.OURS, measurement.refusal is None, 0.0)
    if measurement.mosaic is None:
        return row
    labels = measurement.mosaic.labels
    if truth.outlines is not None:
        errors = against_outlines(labels, truth.outlines)
    elif truth.figures is not None and truth.patch is not None:
        errors = against_dots(labels, truth.figures.area_px, truth.patch)
    else:
        errors = table.NO_ERRORS
    if measurement.morphometry is not None and measurement.morphometry.hex_percent is None:
        errors = replace(errors, hex_points=None)
    return table.Judged(row.set_name, row.image, row.kind, row.method, True, 0.0, errors)


@pytest.mark.parametrize("name", LIMITS)
def test_numbers_agree_with_the_manual_outlines(shared: Path, name: str) -> None:
    limits, rows = LIMITS[name], [judged(asked) for asked in images_of([name], EVERY[name], 0, shared)]
    assert rows, f"no images in {name}"
    reached = {
        "ecd_percent": table.ECD(rows),
        "cv_points": table.CV(rows),
        "hex_points": table.HEX(rows),
        "f1": table.F1.of(rows),
        "answered_percent": table.answered_percent(rows),
    }
    said = {figure: round(value, 3) for figure, value in reached.items()}
    assert reached["answered_percent"] >= limits.answered_percent, said
    assert reached["ecd_percent"] <= limits.ecd_percent, said
    assert reached["cv_points"] <= limits.cv_points, said
    assert reached["hex_points"] <= limits.hex_points, said
    assert reached["f1"] >= limits.f1, said
    for row in rows:
        assert abs(row.errors.density_percent or 0) <= WORST_ECD_PERCENT, table.described(row)


def test_density_agrees_with_the_dots_of_a_clinic(shared: Path) -> None:
    rows = [judged(asked) for asked in images_of([DOTTED], DOTS_EVERY, 0, shared)]
    countable = [row for row in rows if row.kind == "countable"]
    assert len(countable) > 20
    said = [table.described(row) for row in countable if table.badness(row) > DOTS_ECD_PERCENT]
    assert table.answered_percent(countable) >= DOTS_ANSWERED_PERCENT, said
    assert table.ECD(countable) <= DOTS_ECD_PERCENT, said
    assert table.within_percent(countable) >= DOTS_WITHIN_10_PERCENT, said


def refused_reason(measurement: Measurement, name: str) -> str:
    assert measurement.refusal is not None, f"{name} is answered with {measurement.morphometry}"
    assert measurement.mosaic is None, name
    assert measurement.morphometry is None, name
    return measurement.refusal.reason


def test_every_uncountable_image_is_refused_with_the_true_reason(shared: Path) -> None:
    """Where people put fewer than ten dots, there is light, haze or darkness in place of cells."""
    uncountable = []
    for asked in images_of([DOTTED], 1, 0, shared):
        assert asked.path is not None
        if len(read_dots(asked.path.parents[1] / "points" / f"{asked.path.stem}.tsv")) < UNCOUNTABLE_DOTS:
            uncountable.append(asked.path)
    assert len(uncountable) > 10
    for path in uncountable[::UNCOUNTABLE_EVERY]:
        image = read_image(path)
        reason = refused_reason(measure(image.pixels, image.bits_stored), path.name)
        assert any(word in reason for word in TRUE_REASONS), f"{path.name}: {reason}"


def test_guttae_of_a_diseased_cornea_are_found(shared: Path) -> None:
    (asked,) = images_of(["sp3000p"], 1, 0, shared)
    truth = known(asked)
    measurement = measure(truth.pixels, truth.bits_stored)
    assert truth.guttae is not None
    assert measurement.mosaic is not None, measurement.refusal
    assert measurement.mosaic.guttae is not None
    assert measurement.morphometry is not None
    found = measurement.mosaic.guttae
    both = np.count_nonzero(found & truth.guttae)
    assert 2 * both > 0.7 * (np.count_nonzero(found) + np.count_nonzero(truth.guttae))
    assert 100 * found.mean() == pytest.approx(100 * truth.guttae.mean(), abs=8)
    judged = np.count_nonzero(found | (measurement.mosaic.region & ~found))
    assert measurement.morphometry.guttae_percent == pytest.approx(100 * np.count_nonzero(found) / judged)
