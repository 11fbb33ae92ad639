"""How a stage on a Sangaboard is built, whether the board agrees, and what follows from it. Pure.

The board knows steps and the time between them, nothing else: no um, no travel, no soft limits. Those are the host's.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from firmware_app.model import Position
from hw.abc import StageLimits
from hw.approach import Vector
from hw.errors import Refused
from hw.sangaboard.codec import MAX_STEPS, Steps
from hw.sangaboard.described import SangaboardSettings as SangaboardSettings

AXES: Final = "xyz"
FIRMWARES: Final = ((0, 4), (0, 5), (1, 0))
# A board that blocks is stopped by sending it no further slice of the way. 20 ms of the 100 are for the line.
SLICE_S: Final = 0.08
# The two ramps of a slice take as long as one ramp time more than its steps; some of the slice must be left for them.
LONGEST_RAMP_S: Final = SLICE_S / 2


def require_sound(settings: SangaboardSettings) -> None:
    """`Refused` with everything that cannot be so, by key."""
    problems = [
        f"{key} of {axis} {problem}"
        for key, check in (("um_per_step", _scale_problem), ("low_um, high_um", _reach_problem))
        for index, axis in enumerate(AXES)
        if (problem := check(settings, index))
    ]
    if not all(math.isfinite(value) and value >= 0 for value in settings.backlash_um):
        problems.append(f"backlash_um {settings.backlash_um} must not be negative")
    if settings.min_step_delay_us <= 0 or settings.ramp_time_us < 0:
        problems.append("min_step_delay_us must be positive and ramp_time_us not negative")
    if problems:
        raise Refused(f"the stage's settings cannot be: {'; '.join(problems)}")


def _scale_problem(settings: SangaboardSettings, index: int) -> str:
    value = settings.um_per_step[index]
    if not math.isfinite(value) or value == 0:
        return f"is {value}"
    return "" if abs(value) / 2 <= settings.tolerance_um else f"is {value:g}: half a step exceeds tolerance_um"


def _reach_problem(settings: SangaboardSettings, index: int) -> str:
    low, high, scale = settings.low_um[index], settings.high_um[index], settings.um_per_step[index]
    play = settings.backlash_um[index]
    if not low + play < high:
        return f"{low:g} to {high:g} leave no room"
    if scale == 0 or max(abs(low), abs(high)) / abs(scale) > MAX_STEPS:
        return f"{low:g} to {high:g} are more steps than the board can count"
    if settings.frame == "by_hand":
        room = f" and the backlash of {play:g} below it" if play else ""
        return "" if low + play <= 0 <= high else f"{low:g} to {high:g} do not hold the origin{room}"
    nearest = high if scale < 0 else low
    return "" if round(nearest / scale) > 0 else f"{low:g} to {high:g} reach into the min switch at 0"


def require_board(problems: list[str], label: str) -> None:
    """`Refused` with every difference at once. Nothing on the board is ever changed by us."""
    if problems:
        raise Refused(f"{label} is not set up as configured: {'; '.join(problems)}")


def timing_problems(settings: SangaboardSettings, delay_us: int, ramp_us: int, *, blocking: bool) -> list[str]:
    """What the board's speed differs in, and a ramp that would make it miss its time to stop."""
    problems = [
        f"{name} is {value} us, expected {expected}"
        for name, value, expected in (
            ("min_step_delay", delay_us, settings.min_step_delay_us),
            ("ramp_time", ramp_us, settings.ramp_time_us),
        )
        if value != expected
    ]
    if blocking and ramp_us > LONGEST_RAMP_S * 1e6:
        problems.append(
            f"ramp_time is {ramp_us} us: firmware that cannot stop takes at most {LONGEST_RAMP_S * 1e6:.0f}, "
            "because its moves go out in slices"
        )
    if blocking and delay_us > SLICE_S * 1e6:
        problems.append(f"min_step_delay is {delay_us} us: one step alone takes longer than a stop may")
    return problems


def endstop_problems(settings: SangaboardSettings, endstops: frozenset[str], maxima: Steps | None) -> list[str]:
    """What stands in the way of a frame made by endstops, or of moving at all."""
    if settings.frame == "endstops" and "min" not in endstops:
        there = f"only {' '.join(sorted(endstops))}" if endstops else "none"
        return [f"endstops of the kind min are needed for its frame, the board has {there} (home_max sets no count)"]
    if "soft" not in endstops or "max" in endstops or maxima is None:
        return []
    farthest = reach_steps(settings)[1]
    # A blank memory says -1, and then the board refuses every step upwards without a word.
    return [
        f"max of {axis} is {have} steps, at least {need} are needed (set it once with `max x y z`)"
        for axis, have, need in zip(AXES, maxima, farthest, strict=True)
        if have < need
    ]


def reach_steps(settings: SangaboardSettings) -> tuple[Steps, Steps]:
    """The lowest and the highest count that a move may lead to."""
    ends = [
        sorted((round(low / scale), round(high / scale)))
        for low, high, scale in zip(settings.low_um, settings.high_um, settings.um_per_step, strict=True)
    ]
    return (ends[0][0], ends[1][0], ends[2][0]), (ends[0][1], ends[1][1], ends[2][1])


def reachable_box(settings: SangaboardSettings) -> StageLimits:
    """Every place in it can be come to from below, so the play is left free at the lower end."""
    low = (low + play for low, play in zip(settings.low_um, settings.backlash_um, strict=True))
    return StageLimits(Position(*low), Position(*settings.high_um))


def origin_steps(settings: SangaboardSettings) -> Steps:
    """Where `home` leaves the stage: at the limit next to the min switches, or at the origin set by hand.

    Where counts and um rise together that limit is the lower one, with the play left free below it.
    """
    if settings.frame == "by_hand":
        return (0, 0, 0)
    box = reachable_box(settings)
    lows, highs = (to_steps(settings, (end.x_um, end.y_um, end.z_um)) for end in (box.low, box.high))
    x, y, z = (min(ends) for ends in zip(lows, highs, strict=True))
    return (x, y, z)


def to_steps(settings: SangaboardSettings, place: Vector) -> Steps:
    x, y, z = (round(um / scale) for um, scale in zip(place, settings.um_per_step, strict=True))
    return (x, y, z)


def to_um(settings: SangaboardSettings, count: Steps) -> Vector:
    x, y, z = (steps * scale for steps, scale in zip(count, settings.um_per_step, strict=True))
    return (x, y, z)


def motion_seconds(settings: SangaboardSettings, distance: Steps) -> float:
    """At most: the axis with the most steps makes one each `min_step_delay`, and the ramps cost one ramp time."""
    longest = max(map(abs, distance))
    return (longest * settings.min_step_delay_us + settings.ramp_time_us) / 1e6 if longest else 0.0


def slices(settings: SangaboardSettings, distance: Steps) -> list[Steps]:
    """`distance` cut into moves of `SLICE_S` at most, all in the same straight line."""
    room_s = SLICE_S - settings.ramp_time_us / 1e6
    each = max(1, int(room_s * 1e6 / settings.min_step_delay_us))
    count = math.ceil(max(map(abs, distance)) / each)
    ends = [tuple(round(steps * part / count) for steps in distance) for part in range(count + 1)]
    cut = []
    for begin, end in pairwise(ends):
        x, y, z = (b - a for a, b in zip(begin, end, strict=True))
        cut.append((x, y, z))
    return cut
