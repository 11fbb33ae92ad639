"""Guttae: drops of Descemet's membrane that lift the endothelium and reflect past the lens: dark, bright-rimmed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]

SMALLEST_UM, LARGEST_UM = 12.0, 45.0  # radius: from half a cell to a few cells
DARKNESS = 0.75


def covered_by_guttae(
    rng: np.random.Generator, shape: tuple[int, int], um_per_px: float, percent: float
) -> npt.NDArray[np.float32]:
    """(rows, columns), periodic: 0 outside, up to 1 in the middle of a drop, over about `percent` of the area."""
    cover = np.zeros(shape, np.float32)
    while 100 * float(np.mean(cover > 0.5)) < percent:
        radius_px = rng.uniform(SMALLEST_UM, LARGEST_UM) / um_per_px
        row, column = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        down, across = (
            np.minimum(np.abs(np.arange(size) - at), size - np.abs(np.arange(size) - at))
            for size, at in ((shape[0], row), (shape[1], column))
        )
        squared = (down[:, None] ** 2 + across[None, :] ** 2) / radius_px**2
        np.maximum(cover, np.exp(-0.69 * squared**3), out=cover, casting="same_kind")
    return cover


def with_guttae(surface: Image, cover: Image) -> Image:
    rim = 4 * cover * (1 - cover)
    shown: Image = surface * (1 - np.float32(DARKNESS) * cover) + np.float32(0.15) * rim
    return shown
