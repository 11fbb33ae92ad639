"""Pictures of calibration targets whose scale is known: supersampled, turned, lit unevenly, noisy, dirty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.graticule import Pattern

SUBPIXELS = 3


@dataclass(frozen=True)
class RenderedTarget:
    """`at_um` is where the camera looks; pixels are `um_per_px` wide and `1 + anisotropy` times as high."""

    pattern: Pattern = "grid"
    pitch_um: float = 25.0
    um_per_px: float = 0.85
    anisotropy: float = 0.0
    turn_deg: float = 0.0
    shape: tuple[int, int] = (480, 640)
    noise: float = 6.0  # grey values
    uneven: bool = True
    dirt: int = 0  # dark blots
    dark_share: float = 0.25  # of the pitch: width of a line, half the diameter of a dot
    tilt_deg: float = 0.0  # about an axis of its own, seen from far away

    def picture(self, at_um: tuple[float, float] = (0.0, 0.0), seed: int = 0) -> npt.NDArray[np.uint8]:
        rng = np.random.default_rng(seed)
        rows, columns = self.shape
        y, x = (
            ((np.arange(side * SUBPIXELS) + 0.5) / SUBPIXELS - side / 2) * pitch
            for side, pitch in ((rows, self.um_per_px * (1 + self.anisotropy)), (columns, self.um_per_px))
        )
        turn = np.deg2rad(self.turn_deg)
        u = (np.cos(turn) * x[None, :] + np.sin(turn) * y[:, None] + at_um[0]) / self.pitch_um
        v = (-np.sin(turn) * x[None, :] + np.cos(turn) * y[:, None] + at_um[1]) / self.pitch_um
        u = u / np.cos(np.deg2rad(self.tilt_deg))
        bright = self._bright(u % 1 - 0.5, v % 1 - 0.5).astype(float)
        seen = bright.reshape(rows, SUBPIXELS, columns, SUBPIXELS).mean((1, 3))
        seen = self._light() * (0.35 + 0.65 * seen)
        for _ in range(self.dirt):
            row, column = rng.integers(0, rows), rng.integers(0, columns)
            seen[max(row - 15, 0) : row + 15, max(column - 15, 0) : column + 15] *= 0.2
        return np.clip(seen + self.noise * rng.standard_normal(self.shape), 0, 255).astype(np.uint8)

    def _bright(self, u: npt.NDArray[np.float64], v: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        if self.pattern == "dots":
            return np.asarray(u**2 + v**2 > self.dark_share**2)
        across = np.abs(u) > self.dark_share / 2
        return np.asarray(across if self.pattern == "lines" else across & (np.abs(v) > self.dark_share / 2))

    def _light(self) -> npt.NDArray[np.float64] | float:
        if not self.uneven:
            return 160.0
        y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in self.shape), indexing="ij")
        return np.asarray(200 * (0.35 + 0.65 * np.exp(-((x - 0.5) ** 2 + (y + 0.4) ** 2))))
