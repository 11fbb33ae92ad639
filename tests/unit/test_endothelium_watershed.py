"""Pointer jumping against a slow, obvious flood; plateaus, depth merging, the graph of what is left."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_app.endothelium.watershed import Graph, basins, graph, merge_by_depth, redrawn, renumbered

NEIGHBOURS = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]


def component(member: npt.NDArray[np.bool_], start: tuple[int, int]) -> set[tuple[int, int]]:
    found, waiting = {start}, [start]
    while waiting:
        row, column = waiting.pop()
        for dr, dc in NEIGHBOURS:
            at = (row + dr, column + dc)
            inside = 0 <= at[0] < member.shape[0] and 0 <= at[1] < member.shape[1]
            if inside and member[at] and at not in found:
                found.add(at)
                waiting.append(at)
    return found


def regional_minima(height: npt.NDArray[np.float32]) -> int:
    """Flat zones without a lower neighbour, by flood fill."""
    seen: set[tuple[int, int]] = set()
    minima = 0
    for start in np.ndindex(*height.shape):
        if start in seen:
            continue
        zone = component(height == height[start], (int(start[0]), int(start[1])))
        seen |= zone
        around = [
            height[r + dr, c + dc]
            for r, c in zone
            for dr, dc in NEIGHBOURS
            if 0 <= r + dr < height.shape[0] and 0 <= c + dc < height.shape[1]
        ]
        minima += all(value >= height[start] for value in around)
    return minima


small_images = st.integers(1, 9).flatmap(
    lambda rows: st.integers(1, 9).flatmap(
        lambda columns: st.lists(
            st.lists(st.integers(0, 4), min_size=columns, max_size=columns), min_size=rows, max_size=rows
        )
    )
)


def assert_same(one: Graph, other: Graph) -> None:
    assert one.low.tolist() == other.low.tolist()
    assert one.high.tolist() == other.high.tolist()
    for name in ("pass_height", "mean_height", "length_px"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-5)


@settings(max_examples=80, deadline=None)
@given(small_images)
def test_merging_flat_saddles_leaves_one_connected_region_per_regional_minimum(rows: list[list[int]]) -> None:
    height = np.array(rows, np.float32)
    labels, network = merge_by_depth(basins(height), height, 0.0)
    n = int(labels.max())
    assert_same(network, graph(labels, height))
    assert n == regional_minima(height)
    assert set(np.unique(labels)) == set(range(1, n + 1))
    for label in range(1, n + 1):
        member = labels == label
        start = tuple(int(i) for i in np.argwhere(member)[0])
        assert len(component(member, (start[0], start[1]))) == member.sum()


@settings(max_examples=40, deadline=None)
@given(small_images)
def test_every_pixel_reaches_its_bottom_going_down(rows: list[list[int]]) -> None:
    height = np.array(rows, np.float32)
    labels = basins(height)
    for label in range(1, int(labels.max()) + 1):
        member = labels == label
        lowest = height[member].min()
        for row, column in np.argwhere(member):
            below = member & (height <= height[row, column])
            reached = component(below, (int(row), int(column)))
            assert any(height[at] == lowest for at in reached)


def test_a_plateau_is_one_basin() -> None:
    height = np.ones((7, 9), np.float32)
    height[3, 4] = 2.0
    assert merge_by_depth(basins(height), height, 0.0)[0].max() == 1
    # a black or clipped area must not become a basin per pixel: the merging would loop over all of them
    assert basins(np.zeros((40, 50), np.float32)).max() == 1


def test_depth_decides_which_basins_join() -> None:
    #                 bottoms 0, 3, 1 with passes at 4 and 9
    height = np.array([[0, 4, 3, 9, 1]], np.float32)
    labels = basins(height)
    assert labels.max() == 3
    assert merge_by_depth(labels, height, 0.5)[0].max() == 3
    assert merge_by_depth(labels, height, 1.0)[0].max() == 2
    assert merge_by_depth(labels, height, 7.9)[0].max() == 2
    assert merge_by_depth(labels, height, 8.0)[0].max() == 1


def test_a_basin_that_the_edge_cuts_is_as_deep_as_any() -> None:
    height = np.array([[0, 4, 3, 9, 1]], np.float32)
    labels = basins(height)
    cut = np.array([False, False, True, False])
    assert merge_by_depth(labels, height, 1.0, cut=cut)[0].max() == 3
    assert merge_by_depth(labels, height, 4.0, cut=cut)[0].max() == 2


def test_the_regions_of_one_height_are_redrawn_along_the_ridges_of_another() -> None:
    blurred = np.array([[0, 2, 3, 2, 1, 0]], np.float32)
    sharp = np.array([[0, 0, 1, 2, 5, 0]], np.float32)
    labels = basins(blurred)
    assert labels.tolist() == [[1, 1, 1, 2, 2, 2]]
    assert redrawn(labels, sharp).tolist() == [[1, 1, 1, 1, 2, 2]]


def test_graph_counts_a_straight_border_and_its_lowest_pass() -> None:
    labels = np.ones((30, 10), np.int32)
    labels[:, 5:] = 2
    height = np.arange(300, dtype=np.float32).reshape(30, 10)
    network = graph(labels, height)
    assert (network.low.tolist(), network.high.tolist()) == ([1], [2])
    assert network.length_px[0] == pytest.approx(30, abs=1)
    assert network.pass_height[0] == 5.0  # between (0, 4) and (0, 5), the higher of the two


def test_nobody_touches_in_one_region_and_label_zero_is_nobody() -> None:
    labels = np.zeros((4, 4), np.int32)
    labels[1:3, 1:3] = 1
    assert graph(labels, np.zeros((4, 4), np.float32)).low.size == 0


def test_what_is_left_is_numbered_without_gaps() -> None:
    assert renumbered([0, 1, 1, 3, 3]).tolist() == [0, 1, 1, 2, 2]


def test_passes_and_means_may_come_from_two_pictures() -> None:
    labels = np.array([[1, 1, 2, 2]] * 3, np.int32)
    height, seen = np.zeros((3, 4), np.float32), np.zeros((3, 4), np.float32)
    seen[:, 2] = 1
    network = graph(labels, height, seen)
    assert network.pass_height.tolist() == [0]
    assert network.mean_height.tolist() == [1]
