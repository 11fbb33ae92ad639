"""The decision between numbers and a refusal, on divisions made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from division_samples import bricks, cells, division_of, squares

from firmware_app.endothelium.cells import BoolArray
from firmware_app.endothelium.division import Division
from firmware_app.endothelium.measure import Segmentation, decide
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.pose import Pose
from firmware_app.endothelium.search import Found
from firmware_app.model import CALCULATION_FAILURE, MEASUREMENT_FAILURE, Refusal

PARAMETERS = Parameters()
UPRIGHT = Pose(False, False, False)
ROWS, COLUMNS = 240, 300
IMAGE = np.random.default_rng(1).normal(120, 20, (ROWS, COLUMNS)).astype(np.float32)


def first(division: Division, count: int) -> BoolArray:
    """That many of the whole cells."""
    return division.whole & (np.cumsum(division.whole) <= count)


def decided(
    division: Division, believed: BoolArray, parameters: Parameters = PARAMETERS, pose: Pose = UPRIGHT
) -> Segmentation:
    image = np.resize(IMAGE, division.labels.shape)
    return decide(image, Found(division, believed, 1.0), pose, parameters)


def refusal_of(segmentation: Segmentation) -> Refusal:
    assert segmentation.mosaic is None
    assert segmentation.refusal is not None
    return segmentation.refusal


def test_enough_cells_of_tissue_have_numbers() -> None:
    division = division_of(cells(ROWS, COLUMNS))
    division = replace(division, trust=0.9 * division.trust, evidence=0.7 * division.evidence)
    segmentation = decided(division, division.whole)
    mosaic = segmentation.mosaic
    assert segmentation.refusal is None
    assert mosaic is not None
    assert mosaic.n == np.count_nonzero(division.whole)
    assert segmentation.clarity == pytest.approx(0.63)
    assert np.array_equal(mosaic.labels > 0, division.whole[division.labels])
    assert mosaic.region is not None and mosaic.region.all()
    assert mosaic.guttae is not None and not mosaic.guttae.any()


@pytest.mark.parametrize("pose", [Pose(True, False, False), Pose(False, True, True), Pose(True, True, True)])
def test_the_cells_lie_where_they_lay_in_the_picture_that_was_given(pose: Pose) -> None:
    labels = cells(ROWS, COLUMNS)
    upright = division_of(labels)
    left = np.broadcast_to(np.arange(COLUMNS) < 40, labels.shape)
    posed = replace(division_of(pose.taken(labels)), region=pose.taken(~left), guttae=pose.taken(left))
    one, other = decided(upright, upright.whole).mosaic, decided(posed, posed.whole, pose=pose).mosaic
    assert one is not None and other is not None
    assert np.array_equal(one.labels, other.labels)
    assert other.region is not None and np.array_equal(other.region, ~left)
    assert other.guttae is not None and np.array_equal(other.guttae, left)


def test_thirty_cells_are_enough_and_one_less_is_not() -> None:
    division = division_of(cells(ROWS, COLUMNS))
    assert decided(division, first(division, 30)).refusal is None
    refusal = refusal_of(decided(division, first(division, 29)))
    assert refusal.reason.startswith("only 29 whole cells with clear borders, at least 30 are needed: ")
    assert refusal.code == CALCULATION_FAILURE


@pytest.mark.parametrize(("count", "code"), [(10, CALCULATION_FAILURE), (9, MEASUREMENT_FAILURE)])
def test_a_few_cells_are_a_calculation_that_failed_hardly_any_a_measurement(count: int, code: object) -> None:
    division = division_of(cells(ROWS, COLUMNS))
    assert refusal_of(decided(division, first(division, count))).code == code


def test_no_cell_at_all() -> None:
    division = division_of(cells(ROWS, COLUMNS))
    segmentation = decided(replace(division, region=~division.region), first(division, 0))
    assert segmentation.clarity == 0
    assert refusal_of(segmentation).reason.startswith("no cell with clear borders: 100 % of the picture is hazy")


def test_a_refusal_always_ends_with_a_reason() -> None:
    """Where the network trusts the whole picture no obstacle can be named."""
    division = division_of(cells(ROWS, COLUMNS))
    for count in (0, 5, 29):
        assert refusal_of(decided(division, first(division, count))).reason.endswith(
            "the picture shows no more of them"
        )
    part = refusal_of(decided(division, first(division, 40), replace(PARAMETERS, trusted_share_min=0.5)))
    assert part.reason.startswith("cells can be told in only ")
    assert part.reason.endswith(" % of the picture: the rest shows none that are whole")


def test_a_grid_of_squares_is_no_mosaic_of_cells() -> None:
    division = division_of(squares(9, 10))
    refusal = refusal_of(decided(division, division.whole))
    assert "not a cell mosaic: only 0 % of its cells have five to seven neighbours" in refusal.reason
    assert refusal.code == MEASUREMENT_FAILURE


def test_a_wall_of_bricks_is_too_regular_for_tissue() -> None:
    division = division_of(bricks(9, 10))
    refusal = refusal_of(decided(division, division.whole))
    assert "too regular to be tissue: its cells differ by only 0 % in area" in refusal.reason
    assert refusal.code == MEASUREMENT_FAILURE
