"""A simulated eye whose mosaic is wider than a frame, so that captures beside each other show different cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from firmware_app.model import Position
from hw.sim import optics
from hw.sim.eye import Motion, SimulatedEye
from hw.sim.mosaic import Window, build_mosaic

UM_PER_PX = optics.UM_PER_PX
SIZE_UM = (1088.0, 714.0)  # 1280 x 840 px
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    pixels: Pixels
    window: Window

    def offset_px(self, other: Shot) -> tuple[float, float]:
        """Where the other one truly lies in this one, as (row, column)."""
        rows, columns = other.window.top_um - self.window.top_um, other.window.left_um - self.window.left_um
        return rows / UM_PER_PX, columns / UM_PER_PX


@lru_cache(maxsize=2)
def wide_eye(seed: int) -> SimulatedEye:
    rng = np.random.default_rng([seed, 5])
    mosaic = build_mosaic(seed, size_um=SIZE_UM)
    spectrum = optics.reflectance_spectrum(mosaic, rng)
    return SimulatedEye(Position(0.0, 0.0, 0.0), 540.0, mosaic, Motion(seed), spectrum, 0.2)


def shoot(
    seed: int, x_um: float, y_um: float, number: int = 0, *, bits: int = 8, gain: float = 1.0, defocus_um: float = 0.0
) -> Shot:
    """The capture with that number in a series: the eye moves between any two, and each has its own noise."""
    eye = wide_eye(seed)
    view = eye.view(Position(x_um, y_um, defocus_um), 1.0 + 1.3 * number, optics.NOMINAL_EXPOSURE_US)
    light = optics.signal(optics.scene(eye.spectrum, view), view, eye.thickness_um, eye.tilt)
    pixels = optics.expose(light, bits, optics.NOMINAL_EXPOSURE_US, gain, np.random.default_rng([seed, number]))
    return Shot(pixels, view.window)
