"""How the simulated instrument is built, and the `[stage]` table that fits it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hw.sim.firmware_settings import Settings
from hw.sim.motion import STILL, Vector

BUILD_INFO: Final = "SPECULAR-SIM"


@dataclass(frozen=True, slots=True)
class SimSettings:
    """Faster than a small real stage: homing from anywhere takes at most 2.5 s, from eye to eye 0.8 s."""

    seed: int = 1
    link_dir: Path | None = (
        None  # where the links `stage` and `camera` go; they survive a replug, a pty's name does not
    )
    camera: bool = True
    restless: bool = False  # a patient who blinks, looks about and has a poor tear film
    guttae_percent: float = 0.0  # of the endothelium's area
    steps_per_mm: Vector = (800.0, 800.0, 800.0)
    max_rate_mm_per_min: Vector = (6000.0, 6000.0, 4800.0)
    acceleration_mm_per_s2: Vector = (1000.0, 1000.0, 500.0)
    travel_mm: Vector = (100.0, 40.0, 40.0)
    seek_mm_per_min: float = 6000.0
    locate_mm_per_min: float = 600.0
    pull_off_mm: float = 1.0
    debounce_ms: float = 10.0
    start_mm: Vector | None = None  # where the stage stands at power-up; None: anywhere, by the seed
    mist: bool = False  # whether the Grbl board has a mist output besides spindle and flood
    stage: str = "grbl"  # one of `stage_kinds.KINDS`
    play_mm: Vector = STILL  # between screw and nut of each axis
    backlash_um: Vector = STILL  # what the configuration says of it
    # A Sangaboard drives coarser and slower stages than this; here nobody wants to wait for them.
    um_per_step: Vector = (5.0, 5.0, 1.25)
    min_step_delay_us: int = 100
    ramp_time_us: int = 0
    retreat_steps: int = 200
    slow_delay_us: int = 400

    def grbl(self) -> Settings:
        """What the board's owner has stored on it."""
        vectors = {
            100: self.steps_per_mm,
            110: self.max_rate_mm_per_min,
            120: self.acceleration_mm_per_s2,
            130: self.travel_mm,
        }
        changed: dict[int, float] = {10: 3, 20: 1, 21: 1, 22: 1, 24: self.locate_mm_per_min, 25: self.seek_mm_per_min}
        changed |= {26: self.debounce_ms, 27: self.pull_off_mm}
        return Settings(
            changed | {first + axis: vector[axis] for first, vector in vectors.items() for axis in range(3)}
        )

    def power_up_mm(self) -> Vector:
        if self.start_mm is not None:
            return self.start_mm
        chance = random.Random(self.seed)
        x, y, z = (-chance.uniform(0.02, 0.98) * travel for travel in self.travel_mm)
        return (x, y, z)


def grbl_config(settings: SimSettings) -> dict[str, object]:
    """The `[stage]` table for a simulated Grbl stage, without its port."""
    table: dict[str, object] = {
        "kind": "grbl",
        "simulated": True,
        "baud": 115200,
        "steps_per_mm": list(settings.steps_per_mm),
        "max_rate_mm_per_min": list(settings.max_rate_mm_per_min),
        "acceleration_mm_per_s2": list(settings.acceleration_mm_per_s2),
        "travel_mm": list(settings.travel_mm),
        "tolerance_um": 5.0,
        "settle_s": 0.01,
    }
    return table | ({"backlash_um": list(settings.backlash_um)} if any(settings.backlash_um) else {})
