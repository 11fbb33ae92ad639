"""Where to look for the focus, as pure decisions: the caller moves the stage and scores a frame at each answer.

Contrast autofocus in three passes, coarse to fine. A specular image keeps a usable contrast slope only within some
250 um of the endothelium, so the coarse step is 100 um: at least four positions see it from anywhere in the range.
The last pass ends in a parabola through the best three scores, which places the plane between two steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COARSE_STEP_UM = 100.0
PASSES = ((100.0, 25.0), (20.0, 10.0))  # (half range, step) around the best so far

# The focused mosaic's sharpness against the scene without it. Below this the curve has no peak, only noise.
LEAST_PEAK_RATIO = 1.6


@dataclass(frozen=True, slots=True)
class FocusPoint:
    z_um: float
    sharpness: float


def coarse_positions(centre_um: float, range_um: float) -> list[float]:
    """From one end of the range to the other in even steps, both ends included."""
    steps = max(2, round(2 * range_um / COARSE_STEP_UM))
    return [centre_um - range_um + 2 * range_um * k / steps for k in range(steps + 1)]


def fine_positions(centre_um: float, half_range_um: float, step_um: float) -> list[float]:
    steps = round(2 * half_range_um / step_um)
    return [centre_um - half_range_um + step_um * k for k in range(steps + 1)]


def best(points: Sequence[FocusPoint]) -> FocusPoint:
    return max(points, key=lambda point: point.sharpness)


def has_peak(points: Sequence[FocusPoint]) -> bool:
    """Whether the best score stands out of the scene: against the lower quartile of the coarse pass."""
    scores = sorted(point.sharpness for point in points)
    floor = scores[len(scores) // 4]
    return scores[-1] > LEAST_PEAK_RATIO * floor and scores[-1] > 0.0


def refine(points: Sequence[FocusPoint]) -> float:
    """The z of the parabola through the best point and its two neighbours; the best z at an end of the range."""
    ordered = sorted(points, key=lambda point: point.z_um)
    k = max(range(len(ordered)), key=lambda index: ordered[index].sharpness)
    if k in (0, len(ordered) - 1):
        return ordered[k].z_um
    left, mid, right = ordered[k - 1], ordered[k], ordered[k + 1]
    curvature = left.sharpness - 2 * mid.sharpness + right.sharpness
    if curvature >= 0.0:
        return mid.z_um
    step_um = (right.z_um - left.z_um) / 2
    shift = 0.5 * (left.sharpness - right.sharpness) / curvature
    return mid.z_um + step_um * min(1.0, max(-1.0, shift))
