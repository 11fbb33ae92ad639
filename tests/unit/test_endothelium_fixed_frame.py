"""The L-count rule: every cell is counted by one frame and by one only."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from mosaic_samples import QUALITY, UM_PER_PX, cornea, seen, window

from firmware_app.endothelium.fixed_frame import CountingFrame, cells_in_frame, measure_in_frame
from firmware_app.endothelium.parameters import Parameters
from firmware_app.model import CALCULATION_FAILURE, Method


def test_frames_side_by_side_count_every_cell_once() -> None:
    labels = cornea().label_raster(window(480, 640))
    n = int(labels.max())
    rows, columns = [0, 37, 101, 240, 480], [0, 64, 90, 300, 333, 640]
    times = np.zeros(n, int)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            times += cells_in_frame(labels, n, CountingFrame(top, left, bottom - top, right - left))
    # The picture shows the whole torus: a cell that it cuts is there on both edges, and never inside a frame of both.
    edges = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    inner = np.setdiff1d(np.arange(1, n + 1), edges)
    assert inner.size > 400
    assert set(times[inner - 1].tolist()) == {1}


def test_cells_cut_by_the_upper_and_left_side_count_and_by_the_others_do_not() -> None:
    labels = np.repeat(np.repeat(np.arange(1, 26, dtype=np.int32).reshape(5, 5), 10, axis=0), 10, axis=1)
    counted = np.flatnonzero(cells_in_frame(labels, 25, CountingFrame(15, 15, 20, 20))) + 1
    assert counted.tolist() == [7, 8, 12, 13]
    assert np.flatnonzero(cells_in_frame(labels, 25, CountingFrame(10, 10, 20, 20))).tolist() == [6, 7, 11, 12]


def test_a_cell_around_a_corner_is_not_counted_twice() -> None:
    """It lies in three of four frames, as an L: only the prolonged sides keep it from counting in two of them."""
    labels = np.zeros((40, 40), np.int32)
    labels[10:20, 10:30] = 1
    labels[20:30, 10:20] = 1
    frames = [CountingFrame(top, left, 20, 20) for top in (0, 20) for left in (0, 20)]
    assert [int(cells_in_frame(labels, 1, frame).sum()) for frame in frames] == [0, 1, 0, 0]


def test_a_cell_that_comes_back_round_the_corner_is_not_counted_twice() -> None:
    """A C around the right sides of two frames: it enters both from the left."""
    labels = np.zeros((40, 40), np.int32)
    labels[10:30, 15:30] = 1
    labels[14:26, 18:30] = 0
    frames = [CountingFrame(top, left, 20, 20) for top in (0, 20) for left in (0, 20)]
    assert [int(cells_in_frame(labels, 1, frame).sum()) for frame in frames] == [0, 0, 0, 1]


@pytest.mark.parametrize("frame", [CountingFrame(60, 70, 200, 300), CountingFrame(200, 100, 220, 400)])
def test_the_density_of_a_frame_is_count_over_area(frame: CountingFrame) -> None:
    measured = measure_in_frame(seen(), frame, QUALITY, UM_PER_PX)
    numbers, mosaic = measured.morphometry, measured.mosaic
    assert numbers is not None
    assert mosaic is not None
    area_mm2 = frame.height * frame.width * UM_PER_PX**2 * 1e-6
    assert numbers.method is Method.FIXED_FRAME
    assert numbers.cd_per_mm2 == pytest.approx(numbers.n / area_mm2)
    assert numbers.analysed_area_mm2 == pytest.approx(area_mm2)
    assert numbers.cd_per_mm2 == pytest.approx(cornea().truth.cd_per_mm2, rel=0.06)
    assert mosaic.labels.max() == mosaic.n == numbers.n
    assert numbers.n_complete_ring > 0.95 * numbers.n  # the ring is that of the whole mosaic
    chosen = seen().labels[mosaic.labels > 0]
    assert np.unique(chosen).size == mosaic.n


def test_a_frame_that_cannot_be_counted_is_refused() -> None:
    refusal = measure_in_frame(seen(), CountingFrame(0, 0, 200, 200), QUALITY, UM_PER_PX).refusal
    assert refusal is not None
    assert refusal.code is CALCULATION_FAILURE
    assert "of the frame has no counted cells" in refusal.reason
    few = measure_in_frame(seen(), CountingFrame(100, 100, 60, 60), QUALITY, UM_PER_PX).refusal
    assert few is not None
    assert "cells in the frame: at least 30 are needed" in few.reason
    warned = measure_in_frame(seen(), CountingFrame(100, 100, 170, 170), QUALITY, None, Parameters()).morphometry
    assert warned is not None
    assert "low confidence" in warned.warnings[0]
    assert warned.cd_per_mm2 is None


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (CountingFrame(-1, 0, 10, 10), "begins on the image"),
        (CountingFrame(0, 0, 0, 10), "at least 1 px"),
        (CountingFrame(400, 0, 81, 10), "ends at row 480"),
        (CountingFrame(0, 630, 10, 11), "column 640"),
    ],
)
def test_a_frame_that_is_not_on_the_image_is_told(frame: CountingFrame, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        measure_in_frame(seen(), frame, QUALITY)
