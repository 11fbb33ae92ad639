"""What a Grbl board must be set to for this instrument, and what follows from it. Pure."""

from __future__ import annotations

import math
from typing import Final

from firmware_app.model import Position
from hw.abc import StageLimits
from hw.errors import Refused
from hw.grbl.codec import Vector
from hw.grbl.described import GrblSettings as GrblSettings

AXES: Final = "xyz"
STATUS_REPORT: Final = 10
PULL_OFF: Final = 27
HOMING_DIRECTION: Final = 23
MAX_RATE: Final = 110
ACCELERATION: Final = 120
TRAVEL: Final = 130
MACHINE_POSITION_BIT: Final = 1
LATE_S: Final = 2.0  # how much later than planned a motion may end: a slow line, a busy host
# How Grbl prints them: three decimals.
SETTING_TOLERANCE: Final = 0.0006


def require_settings(device: dict[int, float], settings: GrblSettings, label: str) -> None:
    """`Refused` with every difference at once. Nothing on the board is ever changed by us."""
    expected: dict[int, tuple[float, str]] = {
        13: (0, "report in inches"),
        20: (1, "soft limits"),
        21: (int(settings.hard_limits), "hard limits"),
        22: (1, "homing"),
    }
    for first, vector, name in (
        (100, settings.steps_per_mm, "steps/mm"),
        (110, settings.max_rate_mm_per_min, "maximum rate in mm/min"),
        (120, settings.acceleration_mm_per_s2, "acceleration in mm/s2"),
        (TRAVEL, settings.travel_mm, "travel in mm"),
    ):
        expected |= {first + i: (value, f"{AXES[i]} {name}") for i, value in enumerate(vector)}
    differences = [
        f"${number}={device[number]:g} ({name}), expected {value:g}"
        if number in device
        else f"${number} ({name}) missing"
        for number, (value, name) in expected.items()
        if number not in device or not abs(device[number] - value) <= SETTING_TOLERANCE
    ]
    if not int(device.get(STATUS_REPORT, 0)) & MACHINE_POSITION_BIT:
        differences.append(f"${STATUS_REPORT}={device.get(STATUS_REPORT, 0):g} (status report), expected 1 or 3")
    differences += [
        f"${number}={device.get(number, 0):g} (homing), expected a positive value"
        for number in (24, 25, PULL_OFF)
        if not device.get(number, 0) > 0
    ]
    if differences:
        raise Refused(f"{label} is not set up as configured: {'; '.join(differences)}")


def reachable_box(device: dict[int, float], backlash_um: Vector = (0.0, 0.0, 0.0)) -> StageLimits:
    """Grbl's machine space is [-travel, 0]; the end with the home switch is left alone by the pull-off.

    The play is left free at the lower end, so that every place inside can be come to from below.
    """
    pull_off_um = device[PULL_OFF] * 1000
    low, high = [], []
    for axis in range(3):
        inverted = int(device.get(HOMING_DIRECTION, 0)) >> axis & 1
        low.append(-device[TRAVEL + axis] * 1000 + (pull_off_um if inverted else 0.0) + backlash_um[axis])
        high.append(0.0 if inverted else -pull_off_um)
    return StageLimits(Position(*low), Position(*high))


def top_speed(settings: GrblSettings, start_mm: Vector, end_mm: Vector) -> float:
    """The fastest feed along this line, in mm/min."""
    return _along(settings.max_rate_mm_per_min, start_mm, end_mm)


def motion_seconds(settings: GrblSettings, start_mm: Vector, end_mm: Vector) -> float:
    """How long the motion takes at `top_speed`: a trapezoid of speed, or a triangle when it is short."""
    length_mm = math.dist(start_mm, end_mm)
    if length_mm == 0:
        return 0.0
    speed = top_speed(settings, start_mm, end_mm) / 60
    acceleration = _along(settings.acceleration_mm_per_s2, start_mm, end_mm)
    if length_mm * acceleration <= speed**2:
        return 2 * math.sqrt(length_mm / acceleration)
    return length_mm / speed + speed / acceleration


def homing_due_seconds(device: dict[int, float]) -> float:
    """What homing takes at most where all is well: each axis in turn through its whole travel, with its ramps."""
    seek, search_s, cycle_s = _homing_parts(device)
    slowest = min(device.get(ACCELERATION + axis, math.inf) for axis in range(3))
    return LATE_S + search_s + 3 * (cycle_s + 6 * seek / slowest)


def homing_seconds(device: dict[int, float]) -> float:
    """After which nothing can come any more: twice the way that Grbl itself searches, with its pauses and ramps."""
    _, search_s, cycle_s = _homing_parts(device)
    return 10.0 + 2 * (1.5 * search_s + 2 * cycle_s)


def _homing_parts(device: dict[int, float]) -> tuple[float, float, float]:
    """mm/s of the search; s that it takes through the travel of all axes; s of one axis's pull-offs and pauses.

    No axis homes faster than its $110 to $112 allows, whatever $24 and $25 say.
    """
    slowest = min(device.get(MAX_RATE + axis, math.inf) for axis in range(3))
    seek, locate, pull_off = min(device[25], slowest) / 60, min(device[24], slowest) / 60, device[PULL_OFF]
    reach = sum(device[TRAVEL + axis] for axis in range(3))
    cycle_s = 2 * pull_off / seek + 5 * pull_off / locate + 4 * device.get(26, 250.0) / 1000
    return seek, reach / seek, cycle_s


def _along(per_axis: Vector, start_mm: Vector, end_mm: Vector) -> float:
    """The largest value along the line that exceeds no axis's own."""
    length_mm = math.dist(start_mm, end_mm)
    shares = [abs(b - a) / length_mm if length_mm else 0.0 for a, b in zip(start_mm, end_mm, strict=True)]
    return min((value / share for value, share in zip(per_axis, shares, strict=True) if share), default=min(per_axis))
