"""From one eye to the other, past the nose: back from the face, over, and up to the eye again.

The bridge of the nose stands in front of the corneas between which the instrument goes to and fro; a straight line
from eye to eye at working distance leads through it.
"""

from __future__ import annotations

from math import hypot

from firmware_app.model import Position
from hw.abc import Stage, StageLimits

# Half of a cornea's 12 mm: whoever goes no farther sideways stays in front of the eye that he is at.
BESIDE_UM = 6000.0


def way(here: Position, target: Position, retract_um: float, limits: StageLimits) -> tuple[Position, ...]:
    """The places to go to, one after another, the last is `target`; z is greater nearer to the face, all in um.

    A way that leaves the eye in front goes at least `retract_um` behind the nearer end before it goes sideways, as far
    as the stage reaches. A stage that stands beyond its limits, on a switch, comes back into them on the way.
    """
    if retract_um <= 0 or hypot(target.x_um - here.x_um, target.y_um - here.y_um) <= BESIDE_UM:
        return (target,)
    inside = _inside(here, limits)
    behind_um = max(min(inside.z_um, target.z_um - retract_um), limits.low.z_um)
    places = (
        Position(inside.x_um, inside.y_um, behind_um),
        Position(target.x_um, target.y_um, behind_um),
        target,
    )
    return tuple(place for before, place in zip((here, *places), places, strict=False) if place != before)


def _inside(place: Position, limits: StageLimits) -> Position:
    low, high = limits.low, limits.high
    return Position(
        min(max(place.x_um, low.x_um), high.x_um),
        min(max(place.y_um, low.y_um), high.y_um),
        min(max(place.z_um, low.z_um), high.z_um),
    )


async def go_over(stage: Stage, target: Position, retract_um: float) -> Position:
    """Go there and return where the stage is. Raises as `Stage.move_to`."""
    reached = await stage.position()
    for place in way(reached, target, retract_um, stage.limits):
        reached = await stage.move_to(place)
    return reached
