"""What the configuration says of a stage on a Sangaboard, with the only defaults there are. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Vector = tuple[float, float, float]
Frame = Literal["endstops", "by_hand"]


@dataclass(frozen=True, slots=True)
class SangaboardSettings:
    """The stage as the configuration describes it.

    `um_per_step` is negative where the board counts up while the axis goes down. `low_um` and `high_um` are the reach,
    in um from the origin. `frame` says what the origin is: with "endstops" the min switches, towards which counts
    fall; with "by_hand" the place where a person has put the stage before the first `home`.
    """

    baud: int = 115200
    um_per_step: Vector = (1.0, 1.0, 0.5)
    min_step_delay_us: int = 1000
    ramp_time_us: int = 0
    frame: Frame = "by_hand"
    low_um: Vector = (-40000.0, -10000.0, -10000.0)
    high_um: Vector = (40000.0, 10000.0, 10000.0)
    backlash_um: Vector = (0.0, 0.0, 0.0)
    tolerance_um: float = 5.0
    settle_s: float = 0.05
