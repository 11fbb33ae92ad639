"""The cornea as rays see it: how deep the endothelium seems to lie, and where a gaze puts the cornea.

Lamp and lens look at the apex from both sides, each at `HALF_ANGLE_DEG` to its normal. A ray that would cross the axis
`apparent` um behind the apex in air is refracted at the front surface and crosses it `thickness` um behind the apex.
So the stage travels the apparent depth, not the thickness, between the epithelium's and the endothelium's sharpness:

    flat, paraxial       apparent = thickness / n                              n = 1.376, Gullstrand's cornea
    flat, oblique        apparent = thickness x tan(inside) / tan(outside)     sin(inside) = sin(outside) / n
    curved, oblique      the ray is traced; the front curves away from the ray, which adds some 2 %

A thickness of 540 um is then an apparent depth of about 360 um.
"""

from __future__ import annotations

import math
from functools import lru_cache

HALF_ANGLE_DEG = 35.0
CORNEAL_INDEX = 1.376
FRONT_RADIUS_UM = 7800.0
BACK_RADIUS_UM = 6500.0  # 1 mm beside the apex the endothelium lies 77 um deeper
ROTATION_TO_CENTRE_UM = 5700.0  # from the point about which an eye turns to the centre of its cornea's curvature


def thickness_behind(apparent_um: float, front_radius_um: float = FRONT_RADIUS_UM) -> float:
    """Where a ray that aims `apparent_um` behind the apex really crosses the axis, in um."""
    outside = math.radians(HALF_ANGLE_DEG)
    # The ray is y = (z - apparent) tan(outside); the sphere y^2 + (z - R)^2 = R^2 is met at the smaller z.
    slope = math.tan(outside)
    a = 1 + slope**2
    b = -2 * (slope**2 * apparent_um + front_radius_um)
    c = (slope * apparent_um) ** 2
    z_um = (-b - math.sqrt(b * b - 4 * a * c)) / (2 * a)
    y_um = (apparent_um - z_um) * slope
    normal = math.asin(y_um / front_radius_um)
    inside = math.asin(math.sin(outside - normal) / CORNEAL_INDEX)
    return z_um + y_um / math.tan(inside + normal)


@lru_cache(maxsize=256)
def apparent_depth(thickness_um: float, front_radius_um: float = FRONT_RADIUS_UM) -> float:
    """The stage's way between the two reflexes, um, for a cornea of up to 2 mm: `thickness_behind` turned round."""
    if not 0 < thickness_um <= 2000:
        raise ValueError(f"no cornea is {thickness_um:g} um thick")
    low, high = 0.0, thickness_um
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if thickness_behind(middle, front_radius_um) < thickness_um else (low, middle)
    return (low + high) / 2


def gaze_shift(x_deg: float, y_deg: float) -> tuple[float, float, float]:
    """How far the reflex of an eye moves that looks so far to the right and up in the picture, um as (x, y, z).

    The instrument sees the reflex where the cornea faces it, in line with the centre of its curvature.
    """
    x, y = math.sin(math.radians(x_deg)), math.sin(math.radians(y_deg))
    back = math.sqrt(max(0.0, 1 - x * x - y * y)) - 1
    return ROTATION_TO_CENTRE_UM * x, ROTATION_TO_CENTRE_UM * y, -ROTATION_TO_CENTRE_UM * back


def gaze_offset(x_deg: float, y_deg: float) -> tuple[float, float]:
    """Which part of the cornea then faces the instrument, um from the apex: looking up shows its lower part."""
    return -FRONT_RADIUS_UM * math.radians(x_deg), -FRONT_RADIUS_UM * math.radians(y_deg)
