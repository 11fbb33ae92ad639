"""What the configuration says of a stage on a Grbl board, with the only defaults there are. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class GrblSettings:
    """The stage as the configuration describes it."""

    baud: int = 115200
    steps_per_mm: Vector = (800.0, 800.0, 800.0)
    max_rate_mm_per_min: Vector = (3000.0, 3000.0, 1200.0)
    acceleration_mm_per_s2: Vector = (200.0, 200.0, 100.0)
    travel_mm: Vector = (100.0, 40.0, 40.0)
    hard_limits: bool = True  # the only limit on the patient's side that does not depend on counting steps
    tolerance_um: float = 5.0
    settle_s: float = 0.05
    backlash_um: Vector = (0.0, 0.0, 0.0)  # the play of each axis: it is always come to from below
