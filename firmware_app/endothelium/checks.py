"""What counts as an image: the one place that says no to a wrong array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def require_image(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The array itself if it is a non-empty 2-D array of integers; `ValueError` naming what is wrong otherwise."""
    if not isinstance(pixels, np.ndarray):
        raise ValueError(f"pixels must be a numpy array, not {type(pixels).__name__}")
    if pixels.ndim != 2:
        raise ValueError(f"pixels must be 2-D (rows, columns), not of shape {pixels.shape}")
    if pixels.dtype.kind not in "ui":
        raise ValueError(f"pixels must be integers, not {pixels.dtype}")
    if pixels.size == 0:
        raise ValueError(f"pixels must not be empty, shape is {pixels.shape}")
    return pixels
