"""What calibrating an instrument says of its camera and of its stage: values that travel and are kept. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Calibration:
    """The scale of a camera as it was measured on a target; percentages are of the scale.

    `uncertainty_percent` is that of 95 %, the target's own included. `anisotropy_percent` is how much longer a pixel is
    along the columns' direction than along the rows', None where the target could not tell. `drift_percent` is the
    difference from the calibration before, None for the first.
    """

    measured_at: str  # ISO 8601 with offset
    um_per_px: float
    uncertainty_percent: float
    target: str  # what was looked at, in words: "grid of 50 um"
    operator: str
    camera: str  # who answered on the port
    rows: int
    columns: int
    simulated: bool
    rotation_deg: float
    anisotropy_percent: float | None = None
    drift_percent: float | None = None


@dataclass(frozen=True, slots=True)
class StageCheck:
    """How far the stage really went for each um that it was told to, seen by the camera on a target of known pitch.

    `x_ratio` and `y_ratio` are 1 where the steps per mm are right; `angle_deg` is how far the camera's rows are turned
    from the stage's x, `distance_um` the longest move that was looked at, `uncertainty_percent` that of the ratios.
    """

    measured_at: str  # ISO 8601 with offset
    x_ratio: float
    y_ratio: float
    uncertainty_percent: float
    angle_deg: float
    distance_um: float
    target: str
    operator: str
    stage: str  # who answered on the port
    simulated: bool
