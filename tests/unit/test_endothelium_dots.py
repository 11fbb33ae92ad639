"""Centre and flex-centre: regular tilings, whose cells are known exactly, and simulated corneas with their truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mosaic_samples import QUALITY, UM_PER_PX, dots_of, hexagonal, square

from firmware_app.endothelium.dots import DOTS_MAX, dots_mosaic, measure_dots
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.voronoi import BOX, voronoi_cells
from firmware_app.model import CALCULATION_FAILURE, Measurement, Method

SHAPE = (480, 640)


def counted(dots: np.ndarray, method: Method = Method.CENTRE, **parameters: int) -> Measurement:
    return measure_dots(dots, SHAPE, QUALITY, UM_PER_PX, method, Parameters(**parameters))


def test_a_hexagonal_tiling_is_all_hexagons_of_the_right_size() -> None:
    measured = counted(hexagonal(9, 11, 24.0))
    numbers, mosaic = measured.morphometry, measured.mosaic
    assert numbers is not None
    assert mosaic is not None
    assert numbers.method is Method.CENTRE
    assert numbers.n == 7 * 9  # without the outermost ones, also where every second row is dented
    assert mosaic.area_px == pytest.approx(24.0**2 * math.sqrt(3) / 2)
    assert numbers.cd_per_mm2 == pytest.approx(1e6 / (24.0**2 * math.sqrt(3) / 2 * UM_PER_PX**2))
    assert (numbers.hex_percent, numbers.n_complete_ring) == (100.0, 63)
    assert numbers.cv_percent == pytest.approx(0, abs=1e-6)
    assert numbers.warnings == ("only 63 cells: fewer than 75, low confidence",)


def test_corners_of_four_cells_are_no_sides() -> None:
    mosaic, groups = dots_mosaic(square(8, 9, 20.0), SHAPE, False, Parameters())
    assert mosaic.n == 6 * 7
    assert mosaic.area_px == pytest.approx(400.0)
    assert set(mosaic.sides.tolist()) == {4}
    assert groups == 1


@pytest.mark.parametrize(
    ("dots", "area"), [(hexagonal(9, 11, 24.0), 24.0**2 * math.sqrt(3) / 2), (square(9, 9, 20.0), 400.0)]
)
def test_flex_centre_counts_the_outermost_cells_too_and_closes_them_like_the_others(
    dots: np.ndarray, area: float
) -> None:
    measured = counted(dots, Method.FLEX_CENTRE)
    numbers, mosaic = measured.morphometry, measured.mosaic
    assert numbers is not None
    assert mosaic is not None
    assert numbers.n == len(dots)
    assert mosaic.area_px == pytest.approx(area)
    inner = counted(dots).morphometry
    assert inner is not None
    assert numbers.n_complete_ring == inner.n_complete_ring == inner.n  # the others have no complete ring


@pytest.mark.parametrize("seed", [1, 4, 6])
@pytest.mark.parametrize(("method", "within"), [(Method.CENTRE, 2.0), (Method.FLEX_CENTRE, 0.8)])
def test_the_density_of_simulated_corneas_comes_out(seed: int, method: Method, within: float) -> None:
    dots, truth = dots_of(seed)
    numbers = counted(dots, method).morphometry
    assert numbers is not None
    assert numbers.cd_per_mm2 == pytest.approx(truth.cd_per_mm2, rel=within / 100)
    assert numbers.cv_percent < truth.cv_percent  # as in the literature: the method cannot give CV
    outermost = len(dots) - numbers.n
    assert outermost <= 2 if method is Method.FLEX_CENTRE else 0.1 < outermost / len(dots) < 0.22


def test_the_picture_has_the_cells_that_count_where_their_dots_are() -> None:
    dots, _ = dots_of(6)
    for method in (Method.CENTRE, Method.FLEX_CENTRE):
        mosaic = counted(dots, method).mosaic
        assert mosaic is not None
        at = np.round(mosaic.centroid_px).astype(int)
        assert np.array_equal(mosaic.labels[at[:, 0], at[:, 1]], np.arange(1, mosaic.n + 1))
        pixels = np.bincount(mosaic.labels.ravel(), minlength=mosaic.n + 1)[1:]
        ringed = mosaic.sides > 0
        assert pixels[ringed] == pytest.approx(mosaic.area_px[ringed], rel=0.15)
        assert pixels.sum() == pytest.approx(mosaic.area_px.sum(), rel=0.05)
        assert np.count_nonzero(mosaic.labels) < 0.95 * mosaic.labels.size  # and nothing beyond them


def test_gaps_are_not_bridged() -> None:
    left, right = hexagonal(8, 8, 20.0), hexagonal(8, 8, 20.0) + np.array([0, 300])
    apart = counted(np.concatenate([left, right])).morphometry
    alone = counted(left).morphometry
    assert apart is not None
    assert alone is not None
    assert apart.n == 2 * alone.n
    assert apart.cd_per_mm2 == pytest.approx(alone.cd_per_mm2)
    assert "the dots form 2 separate groups" in apart.warnings
    dots = hexagonal(12, 12, 20.0)
    hole = np.hypot(*(dots - dots.mean(axis=0)).T) < 45
    around = counted(dots[~hole]).morphometry
    assert around is not None
    # where the rim lacks a single dot its five neighbours share that cell, as around a single hole; nothing larger
    assert around.area_max_um2 == pytest.approx(7 / 6 * 20.0**2 * math.sqrt(3) / 2 * UM_PER_PX**2)


def test_a_dent_in_the_outline_makes_no_giant_cell() -> None:
    """The dot at the bottom of a shallow dent is hidden behind its neighbours, and its cell reaches far outside."""
    dots = hexagonal(9, 11, 24.0)
    top = np.flatnonzero(dots[:, 0] == dots[:, 0].min())
    dots[top[5], 0] += 3.0
    mosaic, _ = dots_mosaic(dots, SHAPE, False, Parameters())
    assert mosaic.n == 63
    assert mosaic.area_px.max() < 1.2 * mosaic.area_px.min()


def test_two_dots_on_one_cell_count_once() -> None:
    dots = hexagonal(9, 11, 24.0)
    twice = counted(np.concatenate([dots, dots[40:43] + 0.4]))
    once = counted(dots).morphometry
    assert twice.morphometry is not None
    assert once is not None
    assert twice.morphometry.n == once.n
    assert twice.morphometry.cd_per_mm2 == pytest.approx(once.cd_per_mm2, rel=1e-2)
    assert "3 dots lie on another one and were left out" in twice.morphometry.warnings


@pytest.mark.parametrize(
    "dots",
    [
        np.zeros((0, 2)),
        np.array([[10.0, 20.0]]),
        np.full((50, 2), 7.0),
        np.stack([np.arange(60.0) * 5, np.arange(60.0) * 5], axis=1),  # on a line
        hexagonal(5, 6, 20.0),
    ],
)
@pytest.mark.parametrize("method", [Method.CENTRE, Method.FLEX_CENTRE])
def test_too_few_dots_are_refused(dots: np.ndarray, method: Method) -> None:
    refusal = counted(dots, method, cells_min=31).refusal
    assert refusal is not None
    assert refusal.code is CALCULATION_FAILURE
    assert "at least 31 are needed" in refusal.reason
    assert counted(dots, method, cells_min=31).mosaic is None


@pytest.mark.parametrize(
    ("dots", "complaint"),
    [
        (np.array([[1.0, 2.0], [-1.0, 2.0]]), "dot 2 at row -1, column 2 is not on the image of 480 rows"),
        (np.array([[1.0, 640.0]]), "dot 1 at row 1, column 640"),
        (np.array([[1.0, math.nan]]), "dot 1 at row 1, column nan"),
        (np.zeros((3, 3)), "row and column, not of shape"),
        (np.zeros((DOTS_MAX + 1, 2)), "at most 5000"),
    ],
)
def test_what_are_no_dots_on_the_image_is_told(dots: np.ndarray, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        counted(dots)


def test_dots_need_a_method_for_dots_and_a_scale_that_is_one() -> None:
    with pytest.raises(ValueError, match="not by automatic"):
        counted(hexagonal(9, 9, 24.0), Method.AUTOMATIC)
    with pytest.raises(ValueError, match="um_per_px must be positive"):
        measure_dots(hexagonal(9, 9, 24.0), SHAPE, QUALITY, -1.0)


def test_turned_and_mirrored_dots_have_the_same_numbers() -> None:
    dots, _ = dots_of(1)
    areas = np.sort(dots_mosaic(dots, SHAPE, True, Parameters())[0].area_px)
    turned = np.stack([dots[:, 1], 479 - dots[:, 0]], axis=1)
    assert np.sort(dots_mosaic(turned, (640, 480), True, Parameters())[0].area_px) == pytest.approx(areas)


@settings(deadline=None, derandomize=True)
@given(hnp.arrays(np.float64, st.tuples(st.integers(0, 25), st.just(2)), elements=st.integers(0, 9).map(float)))
def test_the_cells_of_any_dots_fill_their_box_and_agree_with_brute_force(dots: np.ndarray) -> None:
    """On a coarse grid, so that lines, squares and circles of dots are the rule."""
    distinct = np.unique(dots, axis=0)
    cells = voronoi_cells(distinct)
    if not len(distinct):
        assert cells == []
        return
    margin = max(float(np.ptp(distinct, axis=0).max()), 1.0)
    box = np.ptp(distinct, axis=0) + 2 * margin
    assert sum(cell.area for cell in cells) == pytest.approx(float(np.prod(box)))
    for index, cell in enumerate(cells):
        for corner, before, after in zip(cell.corners, np.roll(cell.neighbours, 1), cell.neighbours, strict=True):
            distance = np.hypot(*(distinct - corner).T)
            assert distance[index] == pytest.approx(distance.min())
            for neighbour in (before, after):
                assert neighbour == BOX or distance[neighbour] == pytest.approx(distance[index])
