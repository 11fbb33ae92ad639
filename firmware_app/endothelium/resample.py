"""Pictures at another size: a cubic kernel, widened when shrinking so that nothing aliases. Two matrix products."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.filters import FloatImage

_SHARPNESS = -0.5  # Catmull and Rom's member of Keys' cubic kernels (IEEE ASSP 29, 1981, equation 15)
_REACH = 2.0


def resized(image: FloatImage, shape: tuple[int, int]) -> FloatImage:
    """(rows, columns) float32 of the new shape; pixel centres are mapped so that both pictures cover the same field."""
    if image.shape == shape:
        return image
    rows = kernel_matrix(image.shape[0], shape[0])
    columns = kernel_matrix(image.shape[1], shape[1])
    return np.ascontiguousarray(rows @ image @ columns.T, dtype=np.float32)


@lru_cache(maxsize=16)
def kernel_matrix(size: int, new_size: int) -> npt.NDArray[np.float32]:
    """(new_size, size): each row holds the weights of the old pixels in one new pixel, and sums to 1."""
    step = size / new_size
    widen = max(step, 1.0)
    centre = (np.arange(new_size) + 0.5) * step - 0.5
    away = np.abs(np.arange(size)[None, :] - centre[:, None]) / widen
    near = (_SHARPNESS + 2) * away**3 - (_SHARPNESS + 3) * away**2 + 1
    far = _SHARPNESS * (away**3 - 5 * away**2 + 8 * away - 4)
    weights = np.where(away <= 1, near, np.where(away < _REACH, far, 0.0))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)
