"""What an ASI controller must be set to for this instrument, and what follows from it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from firmware_app.model import Position
from hw.abc import StageLimits
from hw.asi.codec import UNITS_PER_MM
from hw.asi.described import AsiSettings as AsiSettings
from hw.asi.described import Vector as Vector
from hw.errors import Refused

# 9600 is what an MS-2000 leaves the factory with; its DIP switches choose, a Tiger has 115200 only.
BAUDS: Final = (9600, 19200, 28800, 115200)
# The controller rounds a speed or a ramp to what its servo loop can count: S X=5.745 is told as 5.745920.
RELATIVE_TOLERANCE: Final = 0.01
# Printed with three decimals or more.
MM_TOLERANCE: Final = 0.0006
LIMITS_ADVICE: Final = "they follow its count: after a stuck motor, switch the controller off and on and home it again"
# A limit of the firmware stops an axis as a switch does; so far beyond the home switch it cannot have been that.
BEYOND_SWITCH_MM: Final = 0.1
SEARCH_FACTOR: Final = 1.1  # homing goes this much further than the travel before it gives up


def require_sound(settings: AsiSettings, label: str) -> None:
    """`Refused` where the settings contradict themselves."""
    problems = []
    if settings.baud not in BAUDS:
        problems.append(f"baud {settings.baud} is none of {', '.join(map(str, BAUDS))}")
    if len(set(settings.axes)) != 3 or not all("A" <= letter <= "Z" for letter in settings.axes):
        problems.append(f"axes {settings.axes!r} are not three different letters")
    for ours_um, boards_mm, name in zip(settings.backlash_um, settings.board_backlash_mm, "xyz", strict=True):
        if ours_um < 0 or boards_mm < 0:
            problems.append(f"the backlash of {name} is negative")
        if ours_um and boards_mm:
            problems.append(f"the backlash of {name} would be taken up twice, by the controller and by the driver")
    if min(*settings.speed_mm_per_s, *settings.ramp_ms, *settings.travel_mm, settings.pull_off_mm) <= 0:
        problems.append("speed, ramp, travel and pull-off must be above 0")
    if problems:
        raise Refused(f"{label}: {'; '.join(problems)}")


def expected_settings(settings: AsiSettings) -> dict[tuple[str, str], tuple[float, str]]:
    """(command, axis letter) -> what it must say, in words: everything that is compared axis by axis."""
    expected = {}
    for i, letter in enumerate(settings.axes):
        expected["UM", letter] = (UNITS_PER_MM, "units per mm")
        expected["S", letter] = (settings.speed_mm_per_s[i], "speed in mm/s")
        expected["AC", letter] = (settings.ramp_ms[i], "ramp in ms")
        expected["B", letter] = (settings.board_backlash_mm[i], "anti-backlash in mm")
    return expected


def require_settings(device: Mapping[tuple[str, str], float], settings: AsiSettings, label: str) -> None:
    """`Refused` with every difference at once. Nothing on the controller is ever changed by us."""
    differences = [
        f"{command} {letter}={device[command, letter]:g} ({name}), expected {value:g}"
        for (command, letter), (value, name) in expected_settings(settings).items()
        if not math.isclose(device[command, letter], value, rel_tol=RELATIVE_TOLERANCE, abs_tol=MM_TOLERANCE)
    ]
    for letter, travel_mm in zip(settings.axes, settings.travel_mm, strict=True):
        room_mm = device["SU", letter] - device["SL", letter]
        if room_mm < travel_mm:
            differences.append(
                f"SL {letter} to SU {letter} leaves {room_mm:g} mm (firmware limits), expected {travel_mm:g}"
            )
    if differences:
        raise Refused(f"{label} is not set up as configured: {'; '.join(differences)}")


def require_limits_outside(
    limits: StageLimits, firmware_mm: Mapping[tuple[str, str], float], settings: AsiSettings, label: str
) -> None:
    """`Refused` where the firmware limits cut our reach short, or lie where homing thinks it found a switch.

    They follow the coordinates, so only after homing do they mean anything.
    """
    low, high = as_vector(limits.low), as_vector(limits.high)
    short = []
    for i, (letter, end) in enumerate(zip(settings.axes, settings.home_ends, strict=True)):
        low_mm, high_mm = (low[i] - settings.backlash_um[i]) / 1000, high[i] / 1000
        if end == "high":
            high_mm = BEYOND_SWITCH_MM
        else:
            low_mm = -BEYOND_SWITCH_MM
        if firmware_mm["SL", letter] > low_mm + MM_TOLERANCE or firmware_mm["SU", letter] < high_mm - MM_TOLERANCE:
            have = f"SL {firmware_mm['SL', letter]:g} to SU {firmware_mm['SU', letter]:g} mm"
            short.append(f"{letter}: {have}, needed {low_mm:g} to {high_mm:g}")
    if short:
        raise Refused(
            f"{label}: the controller's limits cut the configured travel short: {'; '.join(short)}; {LIMITS_ADVICE}"
        )


def homed_um(settings: AsiSettings, axis: int) -> float:
    """Where homing leaves an axis: off its switch, and at the low end also high enough to be reached from below."""
    pull_off_um = settings.pull_off_mm * 1000
    return -pull_off_um if settings.home_ends[axis] == "high" else pull_off_um + settings.backlash_um[axis]


def reachable_box(settings: AsiSettings) -> StageLimits:
    """0 is at the home switch of each axis; the pull-off, and at the low end the way to come from below, are left."""
    low, high = [], []
    for axis, end in enumerate(settings.home_ends):
        rest_um, travel_um = homed_um(settings, axis), settings.travel_mm[axis] * 1000
        low.append(rest_um if end == "low" else -travel_um + settings.backlash_um[axis])
        high.append(travel_um if end == "low" else rest_um)
    return StageLimits(Position(*low), Position(*high))


def motion_seconds(settings: AsiSettings, start_um: Vector, end_um: Vector) -> float:
    """How long the slowest axis takes: a trapezoid of speed, or a triangle when it is short.

    A move names all three axes, and the controller takes up the play of each of them, also of one that is there.
    """
    longest_s = 0.0
    is_move = start_um != end_um
    for i, (start, end) in enumerate(zip(start_um, end_um, strict=True)):
        distance_mm = abs(end - start) / 1000
        speed, ramp_s = settings.speed_mm_per_s[i], settings.ramp_ms[i] / 1000
        if distance_mm >= speed * ramp_s:
            seconds = distance_mm / speed + ramp_s
        else:
            seconds = 2 * math.sqrt(distance_mm * ramp_s / speed)
        if is_move and (backlash_mm := settings.board_backlash_mm[i]):
            seconds += 2 * (2 * math.sqrt(backlash_mm * ramp_s / speed))  # past the target and back
        longest_s = max(longest_s, seconds)
    return longest_s


def search_um(settings: AsiSettings, axis: int) -> float:
    """How far homing goes to find the switch of one axis, with its sign."""
    sign = 1 if settings.home_ends[axis] == "high" else -1
    return sign * (settings.travel_mm[axis] * SEARCH_FACTOR + settings.pull_off_mm) * 1000


def as_vector(position: Position) -> Vector:
    return (position.x_um, position.y_um, position.z_um)
