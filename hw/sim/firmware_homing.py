"""The homing cycle of Grbl 1.1h: seek, pull off, locate slowly, pull off; first Z, then X and Y side by side."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final

from hw.sim.firmware_settings import Settings
from hw.sim.motion import STILL, Motion, Profile, Slides, Vector

CYCLES: Final = ((2,), (0, 1))
SEARCH_SCALE: Final = 1.5  # HOMING_AXIS_SEARCH_SCALAR
LOCATE_SCALE: Final = 5.0  # HOMING_AXIS_LOCATE_SCALAR
PULL_OFF_FAILED: Final = 8
NO_SWITCH: Final = 9


def homing_cycle(slides: Slides, settings: Settings, clock: Callable[[], float]) -> Generator[float, None, int]:
    """Yields when it wants to be woken; returns 0, or the alarm it ends with. Frame and position are set on success."""
    travel, pull_off = settings.axes(130), settings[27]
    seek, locate = settings[25] / 60, settings[24] / 60
    for axes in CYCLES:
        passes = (
            (True, seek, SEARCH_SCALE * max(travel[axis] for axis in axes)),
            (False, seek, pull_off),
            (True, locate, LOCATE_SCALE * pull_off),
            (False, seek, pull_off),
        )
        for approach, speed, search_mm in passes:
            slides.start(*(_motion(slides, settings, axis, approach, speed, search_mm, clock()) for axis in axes))
            yield from _wait(slides.end_s, clock)
            slides.halt(clock())
            yield from _wait(clock() + settings[26] / 1000, clock)
            pressed = {"XYZ".index(letter) for letter in slides.pressed(clock())}
            if approach and not pressed.issuperset(axes):
                return NO_SWITCH
            if not approach and not pressed.isdisjoint(axes):
                return PULL_OFF_FAILED
    signs = [_sign(settings, axis) for axis in range(3)]
    x, y, z = (-pull_off if sign > 0 else pull_off - reach for sign, reach in zip(signs, travel, strict=True))
    slides.redefine((x, y, z))
    return 0


def _sign(settings: Settings, axis: int) -> int:
    return -1 if int(settings[23]) >> axis & 1 else 1


def _motion(
    slides: Slides, settings: Settings, axis: int, approach: bool, speed: float, search_mm: float, now_s: float
) -> Motion:
    sign = _sign(settings, axis) * (1 if approach else -1)
    direction: list[float] = list(STILL)
    direction[axis] = sign
    unit: Vector = (direction[0], direction[1], direction[2])
    profile = Profile(search_mm, min(speed, settings.axes(110)[axis] / 60), settings.axes(120)[axis])
    cut_s = float("inf")
    if approach and (distance := slides.distance_to_switch(axis, sign)) <= search_mm:
        cut_s = now_s + profile.time_at(distance)
    return Motion(now_s, slides.machine_mm(now_s), unit, profile, cut_s)


def _wait(until_s: float, clock: Callable[[], float]) -> Generator[float, None, None]:
    while clock() < until_s:
        yield until_s
