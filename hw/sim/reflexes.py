"""Where the light of each layer falls in the picture: bands along the rows, at a height that tells their depth.

The lamp draws a slit on the cornea from below, at HALF_ANGLE_DEG to its normal; the lens looks from above at the same
angle. A layer that lies d um nearer to the instrument than the plane of sharpness is lit d tan(angle) lower, and is
seen another d tan(angle) lower:

    height of a layer's band in the picture = -2 tan(angle) x d        1.40 um a um

The slit is long along the rows and SLIT_HALF_WIDTH_UM to either side across them. So the front of the cornea, an
apparent depth of some 360 um nearer than the endothelium, has its band 500 um lower: out of the picture when the
endothelium is sharp, beside it when the stage stands 180 um farther back. Between the two the stroma scatters.

The alignment lamp shines along the axis. Its reflex lies half a radius behind the cornea, far out of focus, and is seen
as a wide halo around the point that faces the instrument.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hw.sim.cornea import HALF_ANGLE_DEG

Profile = npt.NDArray[np.floating]

BAND_SHIFT_PER_DEFOCUS = 2 * math.tan(math.radians(HALF_ANGLE_DEG))
SLIT_HALF_WIDTH_UM = 180.0
SLIT_EDGE_UM = 5.0  # sigma of the slit's image in focus
EDGE_PER_DEFOCUS = 0.06  # by how much it grows with |dz|: as the lens, see hw.sim.optics
DIMMING_DEFOCUS_UM = 220.0

REFLEX_RADIUS_UM = 420.0  # where a reflex has fallen to 1/e: 0.3 % are left 1 mm beside the apex
STROMA_RADIUS_UM = 1000.0  # it scatters and needs no mirror
HALO_RADIUS_UM = 1500.0

# Of full scale at 8 ms. A real epithelium reflects a hundred times as much as an endothelium, and overexposes the
# sensor; here it is twice as bright, as behind a filter, so that both can be measured in one frame.
REFLEX_LEVEL, EPITHELIUM_LEVEL, STROMA_LEVEL, HALO_LEVEL = 0.72, 1.4, 0.05, 0.03


def bell(distance_um: Profile, radius_um: float) -> Profile:
    profile: Profile = np.exp(-((distance_um / radius_um) ** 2))
    return profile


def band_height(defocus_um: float) -> float:
    """um upwards from the middle of the picture, of a layer for which the stage is `defocus_um` too close."""
    return -BAND_SHIFT_PER_DEFOCUS * defocus_um


def band(y_um: Profile, defocus_um: float) -> Profile:
    """0..1: the slit on a layer, its edges as sharp as the layer, dimmer the farther from focus."""
    blur_um = math.hypot(SLIT_EDGE_UM, EDGE_PER_DEFOCUS * defocus_um)
    offset = y_um - band_height(defocus_um)
    lit = _step((offset + SLIT_HALF_WIDTH_UM) / blur_um) * _step((SLIT_HALF_WIDTH_UM - offset) / blur_um)
    return lit / (1.0 + (defocus_um / DIMMING_DEFOCUS_UM) ** 2)


def stroma(y_um: Profile, defocus_um: float, apparent_um: float) -> Profile:
    """0..1: the layers between the two reflexes, each lit by the slit at its own height."""
    top, bottom = band_height(defocus_um), band_height(defocus_um + apparent_um)
    overlap = np.minimum(y_um + SLIT_HALF_WIDTH_UM, top) - np.maximum(y_um - SLIT_HALF_WIDTH_UM, bottom)
    lit: Profile = np.clip(overlap, 0.0, None) / (2 * SLIT_HALF_WIDTH_UM)
    return lit


def _step(u: Profile) -> Profile:
    """The normal distribution to 1 %: 0 far below 0, 1 far above."""
    step: Profile = 1.0 / (1.0 + np.exp(-1.702 * np.clip(u, -30.0, 30.0)))
    return step
