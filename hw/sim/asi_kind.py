"""The simulated ASI controllers: how they are set up, and the `[stage]` table that fits them."""

from __future__ import annotations

from typing import Final

from hw.sim.firmware_asi import AsiFirmware, Dialect, Memory, factory_parameters
from hw.sim.motion import Slides
from hw.sim.settings import BUILD_INFO, SimSettings

ALARMS: Final = 10  # the highest number that `AsiFirmware.inject_alarm` knows
LIMIT_MM: Final = 110.0  # SL and SU as they leave the factory: wherever a stage wakes up, its switches come first
LIMIT_ROOM_MM: Final = 10.0


def memory(settings: SimSettings) -> Memory:
    """What its owner has stored on it."""
    parameters = factory_parameters()
    for i, letter in enumerate("XYZ"):
        parameters["S", letter] = settings.max_rate_mm_per_min[i] / 60
        parameters["AC", letter] = 1000 * parameters["S", letter] / settings.acceleration_mm_per_s2[i]
        parameters["B", letter] = 0.0
        parameters["SU", letter] = max(LIMIT_MM, settings.travel_mm[i] + LIMIT_ROOM_MM)
        parameters["SL", letter] = -parameters["SU", letter]
    return Memory(parameters)


def power_up(dialect: str, _: SimSettings, slides: Slides, stored: Memory, now_s: float) -> AsiFirmware:
    return AsiFirmware(slides, stored, dialect=Dialect(dialect), build_info=BUILD_INFO, now_s=now_s)


def config(settings: SimSettings) -> dict[str, object]:
    """The `[stage]` table for it, without its port."""
    parameters = memory(settings).parameters
    return {
        "kind": "asi",
        "simulated": True,
        "baud": 115200,
        "axes": "XYZ",
        "speed_mm_per_s": [parameters["S", letter] for letter in "XYZ"],
        "ramp_ms": [parameters["AC", letter] for letter in "XYZ"],
        "board_backlash_mm": [parameters["B", letter] for letter in "XYZ"],
        "backlash_um": list(settings.backlash_um),
        "travel_mm": list(settings.travel_mm),
        "pull_off_mm": settings.pull_off_mm,
        "tolerance_um": 5.0,
        "settle_s": 0.01,
    }
