"""The image's edge cuts cells, but for those whose border runs along it."""

from __future__ import annotations

import numpy as np
import pytest
from division_samples import SIDE_PX, squares

from firmware_app.endothelium.edge import LINE_SHARE_MIN, along_edge
from firmware_app.endothelium.filters import FloatImage
from firmware_app.endothelium.mosaic import build_mosaic, whole_regions
from firmware_app.endothelium.watershed import graph

SEEN = 0.7
ROWS, COLUMNS = 5, 6
TOP = slice(2 * SIDE_PX, 3 * SIDE_PX)  # of the third square's columns


def nothing_seen() -> FloatImage:
    return np.zeros((ROWS * SIDE_PX, COLUMNS * SIDE_PX), np.float32)


def test_a_border_along_the_edge_closes_the_cell_there() -> None:
    border = nothing_seen()
    border[0, TOP] = 0.9
    edge = along_edge(squares(ROWS, COLUMNS), border, SEEN)
    assert edge.length_px[3] == SIDE_PX
    assert edge.mean_border[3] == pytest.approx(0.9)
    assert edge.closed[3]
    assert not edge.closed[2] and not edge.closed[4]


def test_inside_there_is_nothing_to_close() -> None:
    labels = squares(ROWS, COLUMNS)
    edge = along_edge(labels, nothing_seen(), SEEN)
    inside = labels[SIDE_PX:-SIDE_PX, SIDE_PX:-SIDE_PX]
    assert edge.closed[np.unique(inside)].all()
    assert not edge.closed[np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))].any()


def test_half_a_border_is_a_cut() -> None:
    border = nothing_seen()
    border[0, TOP.start : TOP.start + SIDE_PX // 2] = 1.0
    assert not along_edge(squares(ROWS, COLUMNS), border, SEEN).closed[3]


def test_in_a_corner_both_sides_have_to_be_closed() -> None:
    labels, border = squares(ROWS, COLUMNS), nothing_seen()
    border[0, :SIDE_PX] = 1.0
    assert not along_edge(labels, border, SEEN).closed[1]
    border[:SIDE_PX, 0] = 1.0
    assert along_edge(labels, border, SEEN).closed[1]


@pytest.mark.parametrize("turns", range(4))
def test_a_line_drawn_around_the_picture_closes_nothing(turns: int) -> None:
    """Else every cell that it cuts would be counted as a whole one."""
    labels, border = squares(ROWS, COLUMNS), nothing_seen()
    border[0] = 1.0
    edge = along_edge(
        np.ascontiguousarray(np.rot90(labels, turns)), np.ascontiguousarray(np.rot90(border, turns)), SEEN
    )
    assert not edge.closed[labels[0]].any()
    border[0, : round(COLUMNS * SIDE_PX * (1 - LINE_SHARE_MIN / 2))] = 0.0
    edge = along_edge(
        np.ascontiguousarray(np.rot90(labels, turns)), np.ascontiguousarray(np.rot90(border, turns)), SEEN
    )
    assert not edge.closed[1]


def test_a_cell_closed_at_the_edge_counts_but_has_no_complete_ring() -> None:
    labels, border = squares(ROWS, COLUMNS), nothing_seen()
    border[0, TOP] = 1.0
    edge = along_edge(labels, border, SEEN)
    usable = np.ones(labels.shape, bool)
    whole = whole_regions(labels, usable, edge.closed)
    assert np.flatnonzero(whole).tolist() == sorted({3, *np.unique(labels[SIDE_PX:-SIDE_PX, SIDE_PX:-SIDE_PX])})
    for network in (None, graph(labels, border)):
        mosaic = build_mosaic(labels, whole, 0.6, network=network)
        assert mosaic.sides[0] == 0
        below = int(mosaic.labels[SIDE_PX + 1, TOP.start + 1])
        assert mosaic.sides[below - 1] == 4, "it belongs to the ring of the cell below"
    usable[0, TOP.start + 3] = False
    assert not whole_regions(labels, usable, edge.closed)[3]
