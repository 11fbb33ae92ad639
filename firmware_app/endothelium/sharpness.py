"""How sharp a frame is, for the autofocus and for choosing from a burst."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.checks import require_image

_LEVELS = 5
_FINEST = 1


def sharpness(pixels: npt.NDArray[np.generic]) -> float:
    """Detail energy between 2 and 32 px relative to the mean brightness; noise is estimated and taken off.

    Haar details of a pyramid: the diagonal band of the finest level measures the noise (cells are wider than that),
    whose variance falls by four at each coarser level.
    """
    image = require_image(pixels)
    level = image
    mean = float(level.mean())
    if mean <= 0:
        return 0.0
    total = 0.0
    noise = 0.0
    for number in range(_LEVELS):
        rows, columns = level.shape[0] // 2 * 2, level.shape[1] // 2 * 2
        if min(rows, columns) < 4:
            break
        top = level[0:rows:2, :columns].astype(np.float32)
        bottom = level[1:rows:2, :columns].astype(np.float32)
        rows_sum, rows_difference = top + bottom, bottom - top
        horizontal = rows_sum[:, 1::2] - rows_sum[:, 0::2]
        vertical = rows_difference[:, 1::2] + rows_difference[:, 0::2]
        if number == 0:
            diagonal = rows_difference[:, 1::2] - rows_difference[:, 0::2]
            noise = float(np.vdot(diagonal, diagonal)) / diagonal.size / 4
        if number >= _FINEST:
            energy = float(np.vdot(horizontal, horizontal) + np.vdot(vertical, vertical)) / horizontal.size / 8
            total += max(energy - noise, 0.0)
        level = (rows_sum[:, 0::2] + rows_sum[:, 1::2]) * np.float32(0.25)
        noise /= 4
    return float(np.sqrt(total)) / mean
