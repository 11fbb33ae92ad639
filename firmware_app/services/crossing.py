"""From one eye to the other, past the nose: back from the face, over, and up to the eye again.

The bridge of the nose stands in front of the corneas between which the instrument goes to and fro; a straight line
from eye to eye at working distance leads through it.
"""

from __future__ import annotations

from math import hypot

from firmware_app.model import Position
from hw.abc import Stage

# Half of a cornea's 12 mm: whoever goes no farther sideways stays in front of the eye that he is at.
BESIDE_UM = 6000.0


def way(here: Position, target: Position, retract_um: float, low_z_um: float) -> tuple[Position, ...]:
    """The places to go to, one after another, the last is `target`; z is greater nearer to the face, all in um.

    A way that leaves the eye in front goes at least `retract_um` behind the nearer end before it goes sideways, as far
    as the stage reaches (`low_z_um`).
    """
    if retract_um <= 0 or hypot(target.x_um - here.x_um, target.y_um - here.y_um) <= BESIDE_UM:
        return (target,)
    behind_um = max(min(here.z_um, target.z_um - retract_um), low_z_um)
    places = (
        Position(here.x_um, here.y_um, behind_um),
        Position(target.x_um, target.y_um, behind_um),
        target,
    )
    return tuple(place for before, place in zip((here, *places), places, strict=False) if place != before)


async def go_over(stage: Stage, target: Position, retract_um: float) -> Position:
    """Go there and return where the stage is. Raises as `Stage.move_to`."""
    reached = await stage.position()
    for place in way(reached, target, retract_um, stage.limits.low.z_um):
        reached = await stage.move_to(place)
    return reached
