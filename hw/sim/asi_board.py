"""The simulated instrument's stage with an ASI controller on it: how it leaves the factory, and the settings for it."""

from __future__ import annotations

from hw.sim.firmware_asi import AsiFirmware, Dialect, Memory, factory_parameters
from hw.sim.motion import Slides
from hw.sim.settings import BUILD_INFO, SimSettings

LIMIT_ROOM_MM = 10.0  # the firmware limits lie so far beyond the switches that wherever it wakes up it can find them
TOLERANCE_UM = 5.0
SETTLE_S = 0.01


def asi_memory(settings: SimSettings) -> Memory:
    """What its owner has stored on it."""
    parameters = factory_parameters()
    for i, letter in enumerate("XYZ"):
        parameters["S", letter] = settings.max_rate_mm_per_min[i] / 60
        parameters["AC", letter] = 1000 * parameters["S", letter] / settings.acceleration_mm_per_s2[i]
        parameters["B", letter] = 0.0
        parameters["SU", letter] = max(110.0, settings.travel_mm[i] + LIMIT_ROOM_MM)
        parameters["SL", letter] = -parameters["SU", letter]
    return Memory(parameters)


def asi_firmware(slides: Slides, memory: Memory, settings: SimSettings, now_s: float) -> AsiFirmware:
    dialect = Dialect(settings.controller)
    return AsiFirmware(slides, memory, dialect=dialect, build_info=BUILD_INFO, now_s=now_s)


def asi_stage_config(settings: SimSettings) -> dict[str, object]:
    """The `[stage]` table for a simulated stage of these settings, without its port."""
    parameters = asi_memory(settings).parameters
    return {
        "driver": "asi",
        "simulated": True,
        "baud": 115200,
        "axes": "XYZ",
        "speed_mm_per_s": [parameters["S", letter] for letter in "XYZ"],
        "ramp_ms": [parameters["AC", letter] for letter in "XYZ"],
        "board_backlash_mm": [parameters["B", letter] for letter in "XYZ"],
        "travel_mm": list(settings.travel_mm),
        "pull_off_mm": settings.pull_off_mm,
        "tolerance_um": TOLERANCE_UM,
        "settle_s": SETTLE_S,
    }
