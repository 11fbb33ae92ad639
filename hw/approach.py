"""How an axis with play is brought to its place: always from below. Pure, in whatever unit the caller counts in.

Between a screw and its nut there is play: the slide stands where the nut pushed it last, so the same count is another
place after a move from above. OpenFlexure's rule: arrive from one side only, and go past by the play when the way leads
from the other.
"""

from __future__ import annotations

from typing import Final

Vector = tuple[float, float, float]
Seats = tuple[bool, bool, bool]

SEATED: Final[Seats] = (True, True, True)
UNSEATED: Final[Seats] = (False, False, False)


def legs(start: Vector, target: Vector, backlash: Vector, seated: Seats) -> tuple[Vector, ...]:
    """The straight motions to `target`, one or two. `seated`: the axes whose nut pushes from below already.

    An axis that goes down, or up by less than its play while it is not seated, first goes below its target.
    """
    x, y, z = (
        end - play if play > 0 and (end < begin or (not sits and end - begin < play)) else end
        for begin, end, play, sits in zip(start, target, backlash, seated, strict=True)
    )
    return (target,) if (x, y, z) == target else ((x, y, z), target)
