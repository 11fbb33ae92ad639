"""The simulated Sangaboards: how each version is built, and the `[stage]` table that fits it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hw.sim.firmware_sangaboard import Build, Memory, SangaboardFirmware
from hw.sim.firmware_sangaboard_v0 import OldSangaboard
from hw.sim.firmware_sangaboard_v1 import NewSangaboard
from hw.sim.motion import Slides, Vector
from hw.sim.settings import BUILD_INFO, SimSettings

MARK: Final = f"+{BUILD_INFO}"  # as the build metadata of a version, which every host software reads over
# Only v0.5 on drives LEDs, and v0.4 was met without endstops.
BUILDS: Final = {
    "0.4": Build(f"OpenFlexure Motor Board v0.4{MARK}"),
    "0.5": Build(f"Sangaboard Firmware v0.5.1{MARK}", "Sangaboard v0.5", ("min", "soft"), 2, illumination=True),
    "1.0": Build(f"Sangaboard Firmware v1.0.1{MARK}", "Sangaboard v0.5", ("min", "soft"), 2, illumination=True),
}
NEAREST_UM: Final = 1000.0  # how far from the switches the reach begins, as on the simulated Grbl stage
CENTRE_MM: Final = (-50.0, -20.0, -20.0)  # between the eyes: where the stage without endstops is put by hand
MARGIN_UM: Final = 1000.0


def steps_per_mm(settings: SimSettings) -> Vector:
    x, y, z = (1000.0 / um for um in settings.um_per_step)
    return (x, y, z)


def memory(settings: SimSettings) -> Memory:
    """A board whose owner has set its speed and the length of its travel, and which has never been moved."""
    maxima = [round(travel * steps) for travel, steps in zip(settings.travel_mm, steps_per_mm(settings), strict=True)]
    return Memory(delay_us=settings.min_step_delay_us, ramp_us=settings.ramp_time_us, maxima=maxima)


def power_up(version: str, settings: SimSettings, slides: Slides, stored: Memory, now_s: float) -> SangaboardFirmware:
    build = replace(BUILDS[version], retreat_steps=settings.retreat_steps, slow_delay_us=settings.slow_delay_us)
    kind = NewSangaboard if version == "1.0" else OldSangaboard
    return kind(slides, stored, build, now_s)


def config(version: str, settings: SimSettings) -> dict[str, object]:
    """The `[stage]` table for it, without its port."""
    table: dict[str, object] = {
        "kind": "sangaboard",
        "simulated": True,
        "baud": 115200,
        "um_per_step": [-um for um in settings.um_per_step],
        "min_step_delay_us": settings.min_step_delay_us,
        "ramp_time_us": settings.ramp_time_us,
        "backlash_um": list(settings.backlash_um),
        "tolerance_um": 5.0,
        "settle_s": 0.01,
    }
    if BUILDS[version].endstops:
        low = [-1000.0 * travel for travel in settings.travel_mm]
        return table | {"frame": "endstops", "low_um": low, "high_um": [-NEAREST_UM] * 3}
    reach = [
        (-1000.0 * (travel + at) + MARGIN_UM, -1000.0 * at - MARGIN_UM)
        for travel, at in zip(settings.travel_mm, start_mm(settings), strict=True)
    ]
    eyes = {"right_eye_um": [-32000.0, 0.0, 0.0], "left_eye_um": [32000.0, 0.0, 0.0]}
    return table | {"frame": "by_hand", "low_um": [a for a, _ in reach], "high_um": [b for _, b in reach]} | eyes


def start_mm(settings: SimSettings) -> Vector:
    """Where somebody has put the stage without endstops, before it was switched on."""
    if settings.start_mm is not None:
        return settings.start_mm
    x, y, z = (max(at, -travel / 2) for at, travel in zip(CENTRE_MM, settings.travel_mm, strict=True))
    return (x, y, z)
