"""Central corneal thickness from the apparent depth between the reflexes of its two surfaces.

A stage does not travel the thickness t between them but the apparent depth s: the rays that look at the endothelium are
refracted by the front surface. For an instrument that looks at `half_angle_deg` to the normal of a flat cornea

    t = s tan(a) / tan(a'),   sin(a') = sin(a) / n,   n = 1.376

and a real one curves away from the ray, which makes t some 2 % smaller: `thickness_of` traces the ray through a sphere
of 7.8 mm, the mean of adult corneas. Radii of 7.2 to 8.4 mm change t by less than 1 um.

s is measured in two ways that share nothing but the angle of refraction. Both layers in one picture: what is read is a
distance in the picture, by its scale, the slit's width and the angle between lamp and lens; the eye may move. Two
positions: the same edge of either layer's reflex is brought to the same place of the picture, and what is read is the
stage's way, by its scale; the eye moves meanwhile, which going to and fro averages out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from firmware_app.model import CornealThickness, ThicknessWay

CORNEAL_INDEX = 1.376  # Gullstrand's schematic eye
FRONT_RADIUS_UM = 7800.0
RADIUS_SPREAD_UM = 300.0  # a standard deviation among adults
ANGLE_ERROR_DEG = 0.1  # to which the instrument is adjusted
EDGE_ERROR_UM = 0.8  # in the picture, of the distance between two edges
STAGE_SCALE_ERROR = 0.005  # of its way in depth, which no target checks: a lead screw's pitch

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


@dataclass(frozen=True, slots=True)
class Visit:
    """When, and where the stage has this layer's edge in the middle of the picture."""

    time_s: float
    z_um: float


def apparent_depths(backs: Sequence[Visit], fronts: Sequence[Visit]) -> list[float]:
    """The stage's way to the endothelium, um, for each visit to the front of the cornea.

    Between two visits to the endothelium its place is taken to have changed evenly, which most of an eye's slow
    movement does. `ValueError` without a visit to the endothelium.
    """
    if not backs:
        raise ValueError("no visit to the endothelium")
    return [_at(backs, front.time_s) - front.z_um for front in fronts]


def _at(visits: Sequence[Visit], time_s: float) -> float:
    before = max((each for each in visits if each.time_s <= time_s), key=lambda each: each.time_s, default=None)
    after = min((each for each in visits if each.time_s > time_s), key=lambda each: each.time_s, default=None)
    if before is None or after is None:
        return (before or after or visits[0]).z_um
    share = (time_s - before.time_s) / (after.time_s - before.time_s)
    return before.z_um + share * (after.z_um - before.z_um)


def thickness_from(apparent_um: Sequence[float], half_angle_deg: float, shift_per_um: float) -> CornealThickness:
    """From pictures of both layers: the mean of at least one, with what 95 % of repetitions would lie within.

    The spread of the readings, the place of an edge, the adjustment of the angle and the unknown curvature add up as
    independent errors do. `ValueError` without a reading, or where the mean is no cornea's.
    """
    turned = half_angle_deg + ANGLE_ERROR_DEG
    # The angle enters twice: a picture's shift is taken for a depth, and a depth for a thickness.
    scale = math.tan(math.radians(half_angle_deg)) / math.tan(math.radians(turned)) - 1
    return _thickness(apparent_um, half_angle_deg, shift_per_um, scale, 0.0, ThicknessWay.ONE_PICTURE)


def thickness_by_stage(apparent_um: Sequence[float], half_angle_deg: float, shift_per_um: float) -> CornealThickness:
    """From the stage's way between the layers, as `thickness_from`; its spread is the eye's movement in depth."""
    return _thickness(apparent_um, half_angle_deg, shift_per_um, 0.0, STAGE_SCALE_ERROR, ThicknessWay.TWO_POSITIONS)


def _thickness(
    apparent_um: Sequence[float],
    half_angle_deg: float,
    shift_per_um: float,
    scale_by_angle: float,
    scale_error: float,
    way: ThicknessWay,
) -> CornealThickness:
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
    angle = thickness_of(mean * (1 + scale_by_angle), half_angle_deg + ANGLE_ERROR_DEG) - value
    edge = EDGE_ERROR_UM / shift_per_um * per_um
    uncertainty = math.hypot(chance, 2 * curvature, 2 * angle, 2 * edge, 2 * scale_error * value)
    return CornealThickness(round(value, 1), round(uncertainty, 1), count, way)


def cross_checked(thickness: CornealThickness, other: CornealThickness) -> tuple[CornealThickness, str]:
    """The first one, and what is to be told of both: empty where they differ by no more than both may be wrong by.

    Where they differ by more, nobody knows which is right: the difference is then part of the uncertainty.
    """
    difference = other.thickness_um - thickness.thickness_um
    allowed = math.hypot(thickness.uncertainty_um, other.uncertainty_um)
    if abs(difference) <= allowed:
        return thickness, ""
    words = (
        f"the thickness by {thickness.way} is {thickness.thickness_um:.0f} um, by {other.way} {other.thickness_um:.0f} "
        f"um: they may differ by {allowed:.0f}; check [reflex] and the calibrations of camera and stage"
    )
    return replace(thickness, uncertainty_um=round(max(thickness.uncertainty_um, abs(difference)), 1)), words
