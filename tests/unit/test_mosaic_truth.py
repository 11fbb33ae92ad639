"""The simulated endothelium: its truth is geometry, and the rasters show that geometry."""

from __future__ import annotations

import numpy as np
import pytest

from hw.sim.mosaic import FIELD_UM, MosaicModel, Window, build_mosaic
from hw.sim.power_diagram import check_complete, nearest_bisectors, power_cells

FRAME = Window(0.0, 0.0, 480, 640, 0.85)


@pytest.fixture(scope="module")
def mosaic() -> MosaicModel:
    return build_mosaic(7, cd_per_mm2=1200, cv_percent=30)


def test_cells_tile_the_torus(mosaic: MosaicModel) -> None:
    assert mosaic.areas_um2.sum() == pytest.approx(FIELD_UM[0] * FIELD_UM[1], rel=1e-9)
    assert mosaic.sides.mean() == pytest.approx(6.0, abs=1e-12)  # Euler: exact on a torus of three-fold corners
    assert mosaic.sides.min() >= 3


def test_neighbourhood_is_mutual(mosaic: MosaicModel) -> None:
    pairs = {
        (cell, int(other)) for cell in range(mosaic.n) for other in mosaic.cells.beyond[cell, : mosaic.sides[cell]]
    }
    assert pairs == {(b, a) for a, b in pairs}


def test_truth_is_the_definition(mosaic: MosaicModel) -> None:
    truth, areas = mosaic.truth, mosaic.areas_um2
    assert truth.n == areas.size == round(1200 * FIELD_UM[0] * FIELD_UM[1] / 1e6)
    assert truth.cd_per_mm2 == pytest.approx(1e6 / areas.mean())
    assert truth.cv_percent == pytest.approx(100 * areas.std() / areas.mean())
    assert truth.hex_percent == pytest.approx(100 * np.count_nonzero(mosaic.sides == 6) / truth.n)
    assert (truth.area_min_um2, truth.area_max_um2) == (areas.min(), areas.max())


@pytest.mark.parametrize(("cd", "cv", "hexagons"), [(1000, 45, 43), (1500, 22, 66), (1100, 30, 58), (1100, 38, 65)])
def test_statistics_come_out_as_asked(cd: float, cv: float, hexagons: float) -> None:
    truth = build_mosaic(3, cd_per_mm2=cd, cv_percent=cv, hex_percent=hexagons).truth
    assert truth.cd_per_mm2 == pytest.approx(cd, rel=0.005)
    assert truth.cv_percent == pytest.approx(cv, abs=0.1)
    assert truth.hex_percent == pytest.approx(hexagons, abs=4)


def test_a_seed_draws_within_the_range_of_corneas() -> None:
    for seed in range(2):
        truth = build_mosaic(seed).truth
        assert 1790 <= truth.cd_per_mm2 <= 3210
        assert 21.9 <= truth.cv_percent <= 38.1
        assert 45 <= truth.hex_percent <= 75


def test_same_seed_same_mosaic_other_seed_another() -> None:
    first, again, other = (build_mosaic(seed, cd_per_mm2=800, cv_percent=25) for seed in (5, 5, 6))
    assert np.array_equal(first.seeds_um, again.seeds_um)
    assert not np.array_equal(first.seeds_um, other.seeds_um)


def test_label_raster_shows_the_exact_areas(mosaic: MosaicModel) -> None:
    labels, depth = mosaic.rasters(FRAME)
    counted = np.bincount(labels.ravel(), minlength=mosaic.n + 1)
    assert counted[0] == 0
    seen = counted[1:] * 0.85**2
    # The error of counting pixels grows with the perimeter: 3 px for a cell of 1150 px.
    assert np.abs(seen - mosaic.areas_um2).mean() < 3 * 0.85**2
    assert depth.min() >= 0
    assert depth.max() < np.sqrt(mosaic.truth.area_max_um2)


def test_distance_is_to_the_nearest_border(mosaic: MosaicModel) -> None:
    labels, depth = mosaic.rasters(FRAME)
    differs = np.zeros(labels.shape, bool)
    differs[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    assert depth[differs].max() <= 0.85
    far = depth[1:-1, 1:-1] > 2.0
    assert not differs[1:-1, 1:-1][far].any()


def test_windows_are_periodic_and_keep_identity(mosaic: MosaicModel) -> None:
    here = mosaic.label_raster(Window(100.0, 50.0, 120, 160, 1.0))
    there = mosaic.label_raster(Window(100.0 - FIELD_UM[0], 50.0 + FIELD_UM[1], 120, 160, 1.0))
    assert np.array_equal(here, there)
    part = mosaic.label_raster(Window(130.0, 70.0, 60, 70, 1.0))
    assert np.array_equal(part, here[20:80, 30:100])


def test_truth_in_a_window_counts_only_whole_cells(mosaic: MosaicModel) -> None:
    window = Window(500.0, 380.0, 300, 350, 0.7)
    labels = mosaic.label_raster(window)
    rim = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]).tolist())
    inside = set(np.unique(labels).tolist()) - rim
    whole = {int(cell) + 1 for cell in mosaic.whole_cells(window)}
    assert whole <= set(np.unique(labels).tolist())
    # A corner may stick out by less than half a pixel and leave no pixel on the rim.
    assert len(inside ^ whole) <= 2
    truth = mosaic.truth_in(window)
    assert truth.n == len(whole) < mosaic.n
    areas = mosaic.areas_um2[sorted(cell - 1 for cell in whole)]
    assert truth.cv_percent == pytest.approx(100 * areas.std() / areas.mean())


def test_refusals_say_why(mosaic: MosaicModel) -> None:
    with pytest.raises(ValueError, match="twice"):
        mosaic.label_raster(Window(0, 0, 480, 700, 0.85))
    with pytest.raises(ValueError, match="no whole cell"):
        mosaic.truth_in(Window(0, 0, 5, 5, 1.0))
    with pytest.raises(ValueError, match="no mosaic of 100 cells"):
        build_mosaic(1, cd_per_mm2=100)


def test_diagram_agrees_with_the_nearest_seed_by_brute_force() -> None:
    rng = np.random.default_rng(11)
    size = np.array([200.0, 180.0])
    grid = np.stack(np.meshgrid(np.arange(10), np.arange(9)), axis=-1).reshape(90, 2)
    seeds, weights = 20.0 * (grid + rng.uniform(0.2, 0.8, (90, 2))), rng.uniform(0, 120, 90)
    cells = power_cells(seeds, weights, size, nearest_bisectors(seeds, weights, size))
    check_complete(cells, seeds, weights, size)
    points = rng.uniform(0, 1, (20000, 2)) * size
    delta = points[:, None] - seeds
    delta -= size * np.round(delta / size)
    owner = ((delta**2).sum(axis=2) - weights).argmin(axis=1)
    share = np.bincount(owner, minlength=90) / 20000 * size.prod()
    areas, _ = cells.areas_and_centroids()
    deviation = np.sqrt(areas * size.prod() / 20000)
    assert (np.abs(share - areas) < 5 * deviation + 1).all()


def test_a_swallowed_cell_is_noticed() -> None:
    rng = np.random.default_rng(1)
    size = np.array([200.0, 160.0])
    seeds, weights = rng.uniform(0, 1, (90, 2)) * size, np.zeros(90)
    weights[17] = -1e4
    cells = power_cells(seeds, weights, size, nearest_bisectors(seeds, weights, size))
    with pytest.raises(ArithmeticError, match="cell 17 vanished"):
        check_complete(cells, seeds, weights, size)
