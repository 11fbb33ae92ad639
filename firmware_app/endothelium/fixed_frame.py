"""Fixed frame with the L-count rule: how many cells a rectangle holds.

Cells cut by the upper or the left side count, cells cut by the lower or the right one do not. So that frames laid side
by side count every cell once, whatever its shape, the two forbidden sides are prolonged: the right one upwards and
the left one downwards from the lower left corner (Gundersen 1977, J. Microsc. 111:219). Density is the count over the
frame's area; CV and HEX are those of the counted cells, whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.methods import decide_by_count
from firmware_app.endothelium.parameters import Parameters
from firmware_app.model import CALCULATION_FAILURE, Measurement, Method, Mosaic, Quality, Refusal

UNCOVERED_MAX = 0.02  # of the frame; its density comes out too low by as much


@dataclass(frozen=True, slots=True)
class CountingFrame:
    """A rectangle of whole pixels: rows `top` to `top + height - 1`, columns `left` to `left + width - 1`."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """The first row below."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The first column to the right."""
        return self.left + self.width


def measure_in_frame(
    mosaic: Mosaic,
    frame: CountingFrame,
    quality: Quality,
    um_per_px: float | None = None,
    parameters: Parameters | None = None,
) -> Measurement:
    """Numbers and the cells that count, as many sides to each as in the whole mosaic.

    ValueError for a frame that is not on the image; a refusal where the mosaic does not cover the frame, because what
    lies in the uncovered part cannot be counted, and below 30 cells.
    """
    parameters = parameters or Parameters()
    rows, columns = mosaic.labels.shape
    if min(frame.top, frame.left) < 0 or min(frame.height, frame.width) < 1:
        raise ValueError(
            "a frame begins on the image and is at least 1 px high and wide, not at row "
            f"{frame.top}, column {frame.left}, {frame.height} px high and {frame.width} px wide"
        )
    if frame.bottom > rows or frame.right > columns:
        raise ValueError(
            f"the frame ends at row {frame.bottom - 1}, column {frame.right - 1}; the image has {rows} rows and "
            f"{columns} columns"
        )
    within = mosaic.labels[frame.top : frame.bottom, frame.left : frame.right]
    uncovered = float(np.mean(within == 0))
    if uncovered > UNCOVERED_MAX:
        reason = f"{100 * uncovered:.0f} % of the frame has no counted cells: it must lie where all cells are known"
        return Measurement(quality, refusal=Refusal(CALCULATION_FAILURE, reason))
    counted = cells_in_frame(mosaic.labels, mosaic.n, frame)
    return decide_by_count(
        _only(mosaic, counted),
        quality,
        um_per_px,
        Method.FIXED_FRAME,
        parameters,
        mean_area_px=within.size / max(int(np.count_nonzero(counted)), 1),
        what="cells in the frame",
    )


def cells_in_frame(labels: npt.NDArray[np.int32], n: int, frame: CountingFrame) -> npt.NDArray[np.bool_]:
    """(n,) True for the cells 1..n of `labels` that the frame counts."""
    counted = np.zeros(n + 1, bool)
    counted[labels[frame.top : frame.bottom, frame.left : frame.right]] = True
    below = labels[frame.bottom :]
    counted[_crossing_columns(labels[: frame.bottom], frame.right)] = False
    counted[_crossing_columns(below, frame.left)] = False
    if below.size:
        upper, lower = labels[frame.bottom - 1, frame.left : frame.right], below[0, frame.left : frame.right]
        counted[upper[upper == lower]] = False
    return counted[1:]


def _crossing_columns(labels: npt.NDArray[np.int32], column: int) -> npt.NDArray[np.int32]:
    """The cells that reach over the line to the left of `column`, in these rows."""
    if not 0 < column < labels.shape[1]:
        return labels[:0, 0]
    left, right = labels[:, column - 1], labels[:, column]
    crossing: npt.NDArray[np.int32] = left[left == right]
    return crossing


def _only(mosaic: Mosaic, kept: npt.NDArray[np.bool_]) -> Mosaic:
    """Those cells of the mosaic, renumbered in their order; what is known of each stays."""
    number = np.zeros(mosaic.n + 1, np.int32)
    number[1:][kept] = np.arange(1, np.count_nonzero(kept) + 1)
    return replace(
        mosaic,
        labels=number[mosaic.labels],
        area_px=mosaic.area_px[kept],
        sides=mosaic.sides[kept],
        centroid_px=mosaic.centroid_px[kept],
    )
