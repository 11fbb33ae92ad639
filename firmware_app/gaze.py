"""The fixation targets of an instrument of this class, and where a patient looks who is shown one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FixationPoint(StrEnum):
    """Where the patient looks while a picture is taken, as the patient sees it on the instrument."""

    CENTRE = "centre"
    UP = "up"
    UP_RIGHT = "up-right"
    RIGHT = "right"
    DOWN_RIGHT = "down-right"
    DOWN = "down"
    DOWN_LEFT = "down-left"
    LEFT = "left"
    UP_LEFT = "up-left"


@dataclass(frozen=True, slots=True)
class Gaze:
    """Where the patient was asked to look: a fixation target and its direction from the camera's axis in degrees.

    As in `Position`: horizontal is positive towards the patient's own left, vertical upwards.
    """

    target: FixationPoint
    horizontal_deg: float
    vertical_deg: float


_DIAGONAL = 0.5**0.5
# The centre and eight around it, clockwise as the patient sees them; each a direction (left, up) of length 1.
FIXATION_TARGETS: dict[str, tuple[float, float]] = {
    FixationPoint.CENTRE: (0.0, 0.0),
    FixationPoint.UP: (0.0, 1.0),
    FixationPoint.UP_RIGHT: (-_DIAGONAL, _DIAGONAL),
    FixationPoint.RIGHT: (-1.0, 0.0),
    FixationPoint.DOWN_RIGHT: (-_DIAGONAL, -_DIAGONAL),
    FixationPoint.DOWN: (0.0, -1.0),
    FixationPoint.DOWN_LEFT: (_DIAGONAL, -_DIAGONAL),
    FixationPoint.LEFT: (1.0, 0.0),
    FixationPoint.UP_LEFT: (_DIAGONAL, _DIAGONAL),
}


def gaze_at(target: str, eccentricity_deg: float) -> Gaze:
    """The direction of a target so far from the centre; `KeyError` for a name that is none."""
    left, up = FIXATION_TARGETS[target]
    return Gaze(FixationPoint(target), round(left * eccentricity_deg, 2), round(up * eccentricity_deg, 2))
