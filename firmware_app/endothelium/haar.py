"""Haar details of an image, octave by octave, for scores that have a few milliseconds for a frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.filters import FloatImage

SMALLEST = 4  # an octave of fewer rows or columns than this says nothing


@dataclass(frozen=True, slots=True, eq=False)
class Octave:
    """Details at a spacing of 2**(number + 1) px, float32 of half the rows and columns of `level`.

    Sums of four pixels of `level`, which is the image averaged over 2**number px: a coefficient of white noise of
    variance v in the image has the variance v * 4 / 4**number. `noise` is that of the image divided by 4**number, told
    from the diagonal band of the finest octave, in which cells leave no trace.
    """

    number: int
    level: npt.NDArray[np.generic]
    horizontal: FloatImage
    vertical: FloatImage
    noise: float


def octaves(image: npt.NDArray[np.generic], count: int) -> Iterator[Octave]:
    """At most `count` octaves of a 2-D image, the finest first."""
    level = image
    noise = 0.0
    for number in range(count):
        rows, columns = level.shape[0] // 2 * 2, level.shape[1] // 2 * 2
        if min(rows, columns) < SMALLEST:
            return
        top = level[0:rows:2, :columns].astype(np.float32)
        bottom = level[1:rows:2, :columns].astype(np.float32)
        rows_sum, rows_difference = top + bottom, bottom - top
        if number == 0:
            diagonal = rows_difference[:, 1::2] - rows_difference[:, 0::2]
            noise = float(np.vdot(diagonal, diagonal)) / diagonal.size / 4
        horizontal = rows_sum[:, 1::2] - rows_sum[:, 0::2]
        vertical = rows_difference[:, 1::2] + rows_difference[:, 0::2]
        yield Octave(number, level, horizontal, vertical, noise)
        level = (rows_sum[:, 0::2] + rows_sum[:, 1::2]) * np.float32(0.25)
        noise /= 4
