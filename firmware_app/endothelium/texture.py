"""How much detail a picture has, where, how fine and in which direction: what blur and motion change. Pure and fast.

Everything is told tile by tile and then taken over the tiles that show detail, each with the same weight: one edge of a
flash band has more energy than a hundred cells. Offset and gain drop out of `fineness` and `coherence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.haar import Octave

TILE_PX = 32
FINE, COARSE = 1, 3  # octaves: details 4 and 16 px apart
DETAIL_OVER_NOISE = 1.0  # of a tile's noise energy, whose own scatter over 128 coefficients is an eighth
DETAIL_MIN = 0.02  # relative to the tile's brightness

Tiles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Texture:
    """By tile of 32 px: `mean` in grey values, `energy` (octaves, rows, columns) without noise, `detailed` bool.

    `tensor` (octaves, 3, rows, columns) holds the energy across columns, across rows, and their product.
    """

    mean: Tiles
    energy: Tiles
    tensor: Tiles
    detailed: npt.NDArray[np.bool_]

    @property
    def detailed_share(self) -> float:
        return float(np.mean(self.detailed)) if self.detailed.size else 0.0

    def fineness(self, shift_octaves: float = 0.0) -> float:
        """Amplitude of details 4 px apart over that of details 16 px apart, or of as many octaves coarser ones.

        Blur takes the fine ones first. 0 where there is no detail.
        """
        if not self.detailed.any():
            return 0.0
        logs = np.log(np.maximum(np.median(self.energy[:, self.detailed], axis=1), 1e-12))
        numbers = np.arange(logs.size)
        fine, coarse = (np.interp(octave + shift_octaves, numbers, logs) for octave in (FINE, COARSE))
        return float(np.exp((fine - coarse) / 2))

    def coherence(self) -> float:
        """0 where details run in all directions alike, 1 where all run in one: the structure tensor's of two octaves.

        A mosaic has below 0.1; a smear over 10 px takes it to 0.35, over a cell to 0.8.
        """
        if not self.detailed.any():
            return 0.0
        found = []
        for octave in (FINE, FINE + 1):
            energy = self.energy[octave]
            chosen = self.detailed & (energy > 0)
            if not chosen.any():
                return 0.0
            across, along, both = self.tensor[octave][:, chosen] / energy[chosen]
            found.append(float(np.hypot(np.mean(across - along), 2 * np.mean(both))))
        return min(min(found), 1.0)


def texture(details: Sequence[Octave]) -> Texture | None:
    """From the octaves of an image, as many as tiles of 32 px allow; None where it has no whole tile."""
    usable = [each for each in details if TILE_PX >> (each.number + 1)]
    if len(usable) <= COARSE:
        return None
    rows, columns = (size * 2 // TILE_PX for size in usable[0].horizontal.shape)
    if not (rows and columns):
        return None
    tensors = [_tensor(each, rows, columns) for each in usable]
    noise = np.array([each.noise for each in usable])
    energy = np.array([tensor[0] + tensor[1] for tensor in tensors])
    mean = _tiled(usable[2].level, rows, columns, TILE_PX >> 2)
    wanted = energy[FINE] + energy[FINE + 1]
    detailed = (wanted > DETAIL_OVER_NOISE * noise[FINE]) & (wanted > (DETAIL_MIN * mean) ** 2)
    return Texture(mean, energy, np.array(tensors), detailed)


def _tensor(octave: Octave, rows: int, columns: int) -> Tiles:
    size = TILE_PX >> (octave.number + 1)
    across = _tiled(octave.horizontal * octave.horizontal, rows, columns, size) / 4 - octave.noise
    along = _tiled(octave.vertical * octave.vertical, rows, columns, size) / 4 - octave.noise
    both = _tiled(octave.horizontal * octave.vertical, rows, columns, size) / 4
    return np.array([across, along, both])


def _tiled(values: npt.NDArray[np.generic], rows: int, columns: int, size: int) -> Tiles:
    """The mean over each tile of `size` values a side; what is left at the right and at the bottom is not looked at."""
    whole = values[: rows * size, : columns * size].reshape(rows, size, columns, size)
    return np.asarray(whole.mean(axis=(1, 3), dtype=np.float32), np.float64)
