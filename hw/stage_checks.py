"""What every stage driver asks before it does anything. Pure."""

from __future__ import annotations

from typing import Final

from firmware_app.model import Position
from hw.abc import StageLimits
from hw.errors import Refused

SIMULATOR_MARK: Final = "SPECULAR-SIM"  # in what a simulated board says of itself


def require_as_configured(identification: str, port: str, *, simulated: bool) -> None:
    """`Refused` where a simulator answers for a real stage, or the other way round."""
    if (SIMULATOR_MARK in identification) != simulated:
        what = "the simulator" if not simulated else "not the simulator"
        raise Refused(
            f"{port}: the stage there is {what}, but the configuration says simulated = {str(simulated).lower()}"
        )


def require_reachable(label: str, homed: bool, limits: StageLimits, target: Position) -> None:
    """`Refused` for a stage that is not homed and a target outside its limits, which a NaN is, too."""
    if not homed:
        raise Refused(f"{label} is not homed")
    for axis in ("x_um", "y_um", "z_um"):
        low, value, high = (getattr(each, axis) for each in (limits.low, target, limits.high))
        if not low <= value <= high:
            raise Refused(f"{label}: {axis} {value:g} is outside the limits {low:g} to {high:g}")
