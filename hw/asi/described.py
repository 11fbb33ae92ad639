"""What the configuration says of a stage on an ASI controller, with the only defaults. It imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Vector = tuple[float, float, float]
End = Literal["low", "high"]


@dataclass(frozen=True, slots=True)
class AsiSettings:
    """The stage as the configuration describes it. Vectors are x, y, z."""

    baud: int = 115200
    axes: str = "XYZ"  # the controller's letters for them
    speed_mm_per_s: Vector = (5.0, 5.0, 1.0)  # S
    ramp_ms: Vector = (100.0, 100.0, 100.0)  # AC: from rest to full speed
    board_backlash_mm: Vector = (0.0, 0.0, 0.0)  # B: the controller's own anti-backlash move
    backlash_um: Vector = (0.0, 0.0, 0.0)  # ours, for axes where the controller has none
    travel_mm: Vector = (100.0, 40.0, 40.0)
    home_ends: tuple[End, End, End] = ("high", "high", "high")  # where the controller's own HOME goes, too
    pull_off_mm: float = 1.0
    tolerance_um: float = 5.0
    settle_s: float = 0.05
