"""Cells of known shape: areas, neighbours, rings, and the numbers made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_app.endothelium.morphometry import area_histogram, count_by_sides, guttae_percent, morphometry
from firmware_app.endothelium.mosaic import build_mosaic, whole_regions
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.watershed import Labels, graph


def bricks(rows: int, columns: int, height: int = 12, width: int = 14) -> Labels:
    """A wall: every second course is shifted by half a brick, so each inner brick has six neighbours."""
    row, column = np.mgrid[: rows * height, : columns * width]
    course = row // height
    brick = (column + (course % 2) * (width // 2)) // width
    _, labels = np.unique(course * (columns + 1) + brick, return_inverse=True)
    return (labels.reshape(row.shape) + 1).astype(np.int32)


def all_of(labels: Labels) -> np.ndarray:
    keep = np.ones(int(labels.max()) + 1, bool)
    keep[0] = False
    return keep


def test_a_wall_of_bricks_is_all_hexagons_inside() -> None:
    labels = bricks(9, 9)
    whole = whole_regions(labels, np.ones(labels.shape, bool))
    mosaic = build_mosaic(labels, whole, 0.6)
    assert mosaic.n == whole.sum()
    assert np.all(mosaic.area_px == 12 * 14)
    ringed = mosaic.sides[mosaic.sides > 0]
    assert ringed.size > 20
    assert np.all(ringed == 6)
    assert mosaic.labels.max() == mosaic.n
    assert mosaic.labels.dtype == np.int32


@pytest.mark.parametrize("left_out", [(), (30,), (30, 31, 40)])
def test_the_graph_of_a_whole_division_gives_the_same_sides(left_out: tuple[int, ...]) -> None:
    labels = bricks(9, 9)
    keep = whole_regions(labels, np.ones(labels.shape, bool))
    keep[list(left_out)] = False
    network = graph(labels, np.zeros(labels.shape, np.float32))
    counted, given = build_mosaic(labels, keep, 0.6), build_mosaic(labels, keep, 0.6, network=network)
    assert given.sides.tolist() == counted.sides.tolist()
    assert (given.sides == 6).sum() > 10


def test_cells_at_the_edge_or_in_the_dark_are_not_whole() -> None:
    labels = bricks(6, 6)
    usable = np.ones(labels.shape, bool)
    usable[30, 40] = False
    whole = whole_regions(labels, usable)
    assert not whole[labels[0]].any()
    assert not whole[labels[:, -1]].any()
    assert not whole[labels[30, 40]]


def test_a_cell_beside_a_dropped_one_has_no_complete_ring() -> None:
    labels = bricks(9, 9)
    whole = whole_regions(labels, np.ones(labels.shape, bool))
    dropped = int(labels[54, 63])
    before = build_mosaic(labels, whole, 0.6)
    whole[dropped] = False
    after = build_mosaic(labels, whole, 0.6)
    assert (before.sides > 0).sum() - (after.sides > 0).sum() == 7  # the cell and its six neighbours


def test_centroids_and_areas_belong_to_their_labels() -> None:
    labels = np.zeros((40, 50), np.int32)
    labels[5:15, 10:30] = 7
    labels[20:30, 2:8] = 3
    keep = np.zeros(8, bool)
    keep[[3, 7]] = True
    mosaic = build_mosaic(labels, keep, 0.6)
    for index in range(2):
        at = np.argwhere(mosaic.labels == index + 1)
        assert mosaic.area_px[index] == len(at)
        assert mosaic.centroid_px[index] == pytest.approx(at.mean(axis=0))


def test_a_corner_where_four_cells_meet_is_no_side() -> None:
    labels = np.ones((60, 60), np.int32)
    labels[:, 20:40] += 1
    labels[:, 40:] += 2
    labels[20:40] += 3
    labels[40:] += 6
    mosaic = build_mosaic(labels, all_of(labels), 1.0)
    assert mosaic.sides[4] == 4


def test_numbers_in_um_need_a_scale() -> None:
    labels = bricks(12, 12)
    mosaic = build_mosaic(labels, whole_regions(labels, np.ones(labels.shape, bool)), 0.6)
    bare = morphometry(mosaic, None, Parameters())
    scaled = morphometry(mosaic, 0.5, Parameters())
    assert bare.cd_per_mm2 is None
    assert bare.area_mean_um2 is None
    assert bare.analysed_area_mm2 is None
    assert bare.mean_area_px == 168
    assert scaled.cd_per_mm2 == pytest.approx(1e6 / (168 * 0.25))
    assert scaled.area_min_um2 == scaled.area_max_um2 == pytest.approx(42)
    assert scaled.area_sd_um2 == 0
    assert scaled.analysed_area_mm2 == pytest.approx(mosaic.n * 42e-6)
    assert (scaled.cv_percent, scaled.hex_percent) == (0, 100)
    assert scaled.sides == {3: 0, 4: 0, 5: 0, 6: scaled.n_complete_ring, 7: 0, 8: 0, 9: 0, 10: 0}
    assert scaled.warnings == ()


def test_few_cells_are_said_to_be_few() -> None:
    labels = bricks(7, 7)
    mosaic = build_mosaic(labels, whole_regions(labels, np.ones(labels.shape, bool)), 0.6)
    assert mosaic.n < 75
    assert morphometry(mosaic, None, Parameters(cells_for_confidence=mosaic.n, hex_cells_min=0)).warnings == ()
    warnings = morphometry(mosaic, None, Parameters(hex_cells_min=0)).warnings
    assert warnings == (f"only {mosaic.n} cells: fewer than 75, low confidence",)


def test_no_hex_from_a_handful_of_rings() -> None:
    labels = bricks(5, 5)
    mosaic = build_mosaic(labels, whole_regions(labels, np.ones(labels.shape, bool)), 0.6)
    numbers = morphometry(mosaic, None, Parameters())
    assert 0 < numbers.n_complete_ring < Parameters().hex_cells_min
    assert numbers.hex_percent is None
    assert any("HEX" in warning for warning in numbers.warnings)
    assert numbers.hex_interval is None


def test_areas_fall_into_classes_of_100_um2() -> None:
    areas = np.array([99.9, 100.0, 199.99, 200.0, 1250.0, 1299.0, 1300.0])
    assert area_histogram(areas) == {0: 1, 100: 2, 200: 1, 1200: 2, 1300: 1}
    labels = bricks(6, 6)
    mosaic = build_mosaic(labels, whole_regions(labels, np.ones(labels.shape, bool)), 0.6)
    assert morphometry(mosaic, 2.0, Parameters()).area_histogram == {600: mosaic.n}  # 168 px of 4 um2
    assert morphometry(mosaic, None, Parameters()).area_histogram is None


def test_sides_beyond_those_reported_go_to_the_last_class() -> None:
    assert count_by_sides(np.array([2, 3, 6, 6, 11, 14], np.int32)) == {
        3: 2, 4: 0, 5: 0, 6: 2, 7: 0, 8: 0, 9: 0, 10: 2
    }  # fmt: skip


def test_guttae_are_a_share_of_what_can_be_judged() -> None:
    labels = bricks(6, 6)
    mosaic = build_mosaic(labels, whole_regions(labels, np.ones(labels.shape, bool)), 0.6)
    region, guttae = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
    region[:30] = True
    guttae[30:40] = True
    looked = replace(mosaic, region=region, guttae=guttae)
    assert guttae_percent(looked) == 25.0
    assert guttae_percent(replace(looked, guttae=guttae & False)) == 0.0
    assert morphometry(looked, None, Parameters()).guttae_percent == 25.0
    assert guttae_percent(mosaic) is None
    assert guttae_percent(replace(mosaic, region=region)) is None
    assert guttae_percent(replace(looked, region=region & False, guttae=guttae & False)) is None


def test_no_numbers_without_a_cell() -> None:
    nothing = build_mosaic(np.zeros((9, 9), np.int32), np.zeros(1, bool), 0.6)
    with pytest.raises(ValueError, match="without cells"):
        morphometry(nothing, None, Parameters())


def test_a_number_that_no_pixel_has_is_no_cell() -> None:
    labels = bricks(6, 6)
    labels[labels == 15] = 16
    mosaic = build_mosaic(labels, all_of(labels), 0.6)
    assert mosaic.n == labels.max() - 1
    assert mosaic.area_px.min() > 0
