"""Where the reflexes of a cornea fall in the picture of a specular microscope, and what that says of its place.

The lamp draws a slit on the cornea from below, the lens looks from above, both at `half_angle_deg` to the normal of the
cornea. A mirror that lies d um too near is hit d tan(angle) below the middle and is seen another d tan(angle) lower:

    height of its band in the picture = -2 tan(angle) d                                                  (1)

Two mirrors are seen, the front of the cornea and its endothelium, each as a band as wide as the slit. With (1) one edge
of one band is the stage's error of depth, with its sign, in one frame; the distance of the two bands is the apparent
depth between the two, whatever the eye does meanwhile.

Both reflexes are bright only where the cornea faces the instrument, falling to 1/e `reflex_radius_um` beside it. The
lamp that shines along the axis is reflected by the front of the cornea too: its image lies half a radius of
curvature behind it, is far out of focus, and leaves a halo that falls to 1/e at `halo_radius_um`.

In the picture x is to the right and y is up, from its middle, as the stage's axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ROWS_MIN, COLUMNS_MIN = 64, 64


@dataclass(frozen=True, slots=True)
class ReflexGeometry:
    """How lamp, lens and camera are built. Levels are shares of full scale at the configured exposure."""

    um_per_px: float
    half_angle_deg: float = 35.0
    slit_width_um: float = 360.0
    reflex_radius_um: float = 420.0
    halo_radius_um: float = 1500.0
    halo_level: float = 0.03  # in its middle
    black_level: float = 0.02
    vignetting: float = 0.15  # of the light at the upper and lower edge of the picture

    def __post_init__(self) -> None:
        lengths = (self.um_per_px, self.slit_width_um, self.reflex_radius_um, self.halo_radius_um, self.halo_level)
        if not (all(0 < length < math.inf for length in lengths) and 5 <= self.half_angle_deg <= 60):
            raise ValueError(f"no such instrument: {self}")

    @property
    def shift_per_um(self) -> float:
        """um in the picture for 1 um of depth: 2 tan(angle)."""
        return 2 * math.tan(math.radians(self.half_angle_deg))

    def defocus_of_edge(self, y_um: float, *, upper: bool) -> float:
        """By how much the stage is too close to the layer whose band has its upper or lower edge at this height."""
        half = self.slit_width_um / 2
        return -(y_um - half if upper else y_um + half) / self.shift_per_um
