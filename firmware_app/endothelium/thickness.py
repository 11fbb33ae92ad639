"""Central corneal thickness from the apparent depth between the reflexes of its two surfaces.

A stage does not travel the thickness t between them but the apparent depth s: the rays that look at the endothelium are
refracted by the front surface. For an instrument that looks at `half_angle_deg` to the normal of a flat cornea

    t = s tan(a) / tan(a'),   sin(a') = sin(a) / n,   n = 1.376

and a real one curves away from the ray, which makes t some 2 % smaller: `thickness_of` traces the ray through a sphere
of 7.8 mm, the mean of adult corneas. Radii of 7.2 to 8.4 mm change t by less than 1 um.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from firmware_app.model import CornealThickness

CORNEAL_INDEX = 1.376  # Gullstrand's schematic eye
FRONT_RADIUS_UM = 7800.0
RADIUS_SPREAD_UM = 300.0  # a standard deviation among adults
ANGLE_ERROR_DEG = 0.1  # to which the instrument is adjusted
EDGE_ERROR_UM = 0.8  # in the picture, of the distance between two edges

# Student's 97.5 % for 2 .. 8 readings; a single one has no spread of its own.
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}
SINGLE_SPREAD_UM = 3.0


def thickness_of(apparent_um: float, half_angle_deg: float, front_radius_um: float = FRONT_RADIUS_UM) -> float:
    """The thickness, um, behind an apparent depth of 0 to 1500 um; `ValueError` for others."""
    if not 0 < apparent_um <= 1500:
        raise ValueError(f"an apparent depth of {apparent_um:g} um is no cornea's")
    outside = math.radians(half_angle_deg)
    # In the triangle of the centre of curvature, the aim on the axis and the point of the surface that the ray meets,
    # the sine rule gives the angle of incidence, and again, with the refracted ray, where it crosses the axis.
    to_aim_um = front_radius_um - apparent_um
    incidence = math.asin(to_aim_um / front_radius_um * math.sin(outside))
    refraction = math.asin(math.sin(incidence) / CORNEAL_INDEX)
    inside = refraction + (outside - incidence)
    return front_radius_um - front_radius_um * math.sin(refraction) / math.sin(inside)


def thickness_from(apparent_um: Sequence[float], half_angle_deg: float, shift_per_um: float) -> CornealThickness:
    """The mean of at least one reading, with what 95 % of repetitions on the same cornea would lie within.

    The spread of the readings, the place of an edge, the adjustment of the angle and the unknown curvature add up as
    independent errors do.
    """
    if not apparent_um:
        raise ValueError("a thickness without a reading")
    mean = fmean(apparent_um)
    value = thickness_of(mean, half_angle_deg)
    per_um = value / mean
    count = len(apparent_um)
    if count > 1:
        chance = STUDENT.get(count, 2.3) * stdev(apparent_um) / math.sqrt(count) * per_um
    else:
        chance = 2 * SINGLE_SPREAD_UM
    curvature = thickness_of(mean, half_angle_deg, FRONT_RADIUS_UM + RADIUS_SPREAD_UM) - value
    turned = half_angle_deg + ANGLE_ERROR_DEG
    # The angle enters twice: a picture's shift is taken for a depth, and a depth for a thickness.
    angle = thickness_of(mean * math.tan(math.radians(half_angle_deg)) / math.tan(math.radians(turned)), turned) - value
    edge = EDGE_ERROR_UM / shift_per_um * per_um
    uncertainty = math.hypot(chance, 2 * curvature, 2 * angle, 2 * edge)
    return CornealThickness(round(value, 1), round(uncertainty, 1), count)
