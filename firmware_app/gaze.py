"""The fixation targets of an instrument of this class, and where a patient looks who is shown one. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gaze:
    """Where the patient was asked to look: a fixation target and its direction from the camera's axis in degrees.

    As in `Position`: horizontal is positive towards the patient's own left, vertical upwards.
    """

    target: str  # one of FIXATION_TARGETS
    horizontal_deg: float
    vertical_deg: float


_DIAGONAL = 0.5**0.5
# The centre and eight around it, clockwise as the patient sees them; each a direction (left, up) of length 1.
FIXATION_TARGETS: dict[str, tuple[float, float]] = {
    "centre": (0.0, 0.0),
    "up": (0.0, 1.0),
    "up-right": (-_DIAGONAL, _DIAGONAL),
    "right": (-1.0, 0.0),
    "down-right": (-_DIAGONAL, -_DIAGONAL),
    "down": (0.0, -1.0),
    "down-left": (_DIAGONAL, -_DIAGONAL),
    "left": (1.0, 0.0),
    "up-left": (_DIAGONAL, _DIAGONAL),
}


def gaze_at(target: str, eccentricity_deg: float) -> Gaze:
    """The direction of a target so far from the centre; `KeyError` for a name that is none."""
    left, up = FIXATION_TARGETS[target]
    return Gaze(target, round(left * eccentricity_deg, 2), round(up * eccentricity_deg, 2))
