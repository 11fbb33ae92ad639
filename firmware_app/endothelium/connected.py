"""What hangs together over pairs of neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def lowest_reached(count: int, one: npt.NDArray[np.integer], other: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """By index 0..count-1: the lowest index that can be reached over the pairs (one, other)."""
    reached = np.arange(count)
    while True:
        lower = reached.copy()
        np.minimum.at(lower, one, reached[other])
        np.minimum.at(lower, other, reached[one])
        lower = lower[lower]
        if np.array_equal(lower, reached):
            return reached
        reached = lower
