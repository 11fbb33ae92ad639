"""Numbers or a refusal: the decision at the end of the analysis."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.checks import require_image
from firmware_app.endothelium.filters import FloatImage, halved
from firmware_app.endothelium.morphometry import morphometry
from firmware_app.endothelium.mosaic import build_mosaic
from firmware_app.endothelium.network import Weights, shipped_weights
from firmware_app.endothelium.network_input import local_contrast, usable_area
from firmware_app.endothelium.obstacles import find_obstacles
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.pose import Pose, pose_of
from firmware_app.endothelium.quality import GRADES, USUAL_SPACING_PX, assess_quality
from firmware_app.endothelium.search import Found, best_division
from firmware_app.endothelium.spacing import find_spacing
from firmware_app.model import CALCULATION_FAILURE, MEASUREMENT_FAILURE, Code, Measurement, Mosaic, Refusal

HALVED_SIDE_MIN_PX = 128
POOR_FOCUS = GRADES[-1][1]  # below it the focus alone makes a grade D


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """`clarity` 0..1: how clear the borders of the cells are; `spacing_px` of their rows, None where there are none."""

    mosaic: Mosaic | None
    clarity: float
    refusal: Refusal | None
    spacing_px: float | None = None


def measure(
    pixels: npt.NDArray[np.generic],
    bits_stored: int,
    um_per_px: float | None = None,
    parameters: Parameters | None = None,
    weights: Weights | None = None,
) -> Measurement:
    """Numbers or a refusal, never both, for any 2-D integer image; `ValueError` for anything else."""
    parameters = parameters or Parameters()
    image = require_image(pixels).astype(np.float32)
    if not 1 <= bits_stored <= 16:
        raise ValueError(f"bits_stored must be 1..16, not {bits_stored}")
    if um_per_px is not None and not (np.isfinite(um_per_px) and um_per_px > 0):
        raise ValueError(f"um_per_px must be positive, not {um_per_px}")
    found = segment(image, um_per_px, parameters, weights or shipped_weights())
    quality = assess_quality(image, bits_stored, found.clarity, spacing_px=found.spacing_px or USUAL_SPACING_PX)
    if found.mosaic is None or found.refusal is not None:
        return Measurement(quality, refusal=found.refusal)
    numbers = morphometry(found.mosaic, um_per_px, parameters)
    if quality.grade == "D":
        # Near the limit of what can be read large cells are seen sooner than small ones: on simulated eyes 80 to 100 um
        # out of focus the density comes out 1 to 22 % too low. Real pictures of this grade were right mostly.
        blurred = ", its density may be more than 20 % too low" if quality.focus < POOR_FOCUS else ""
        warning = f"a poor picture{blurred}: {', '.join(quality.reasons)}"
        numbers = replace(numbers, warnings=(*numbers.warnings, warning))
    return Measurement(quality, mosaic=found.mosaic, morphometry=numbers)


def refused(code: Code, reason: str, clarity: float = 0.0) -> Segmentation:
    return Segmentation(None, clarity, Refusal(code, reason))


def spacing_limits_px(um_per_px: float | None, shape: tuple[int, ...], parameters: Parameters) -> tuple[float, float]:
    """Between which periods cells can lie: from the density prior if there is a scale, and from the image's size."""
    shortest, longest = parameters.spacing_min_px, parameters.spacing_max_px
    if um_per_px is not None:
        factor = parameters.spacing_to_root_area * 1e3 / um_per_px
        shortest = max(shortest, factor / parameters.density_max_per_mm2**0.5)
        longest = min(longest, factor / parameters.density_min_per_mm2**0.5)
    return shortest, min(longest, min(shape) / 3)


def segment(image: FloatImage, um_per_px: float | None, parameters: Parameters, weights: Weights) -> Segmentation:
    size = f"{image.shape[1]}x{image.shape[0]} px"
    if min(image.shape) < parameters.side_min_px:
        return refused(
            MEASUREMENT_FAILURE, f"the image is too small: {size}, at least {parameters.side_min_px} px a side"
        )
    if max(image.shape) > parameters.side_max_px:
        return refused(
            MEASUREMENT_FAILURE, f"the image is too large: {size}, at most {parameters.side_max_px} px a side"
        )
    limits = spacing_limits_px(um_per_px, image.shape, parameters)
    if limits[0] >= limits[1]:
        return refused(MEASUREMENT_FAILURE, "no cell of a plausible size could be resolved at this scale")
    pose = pose_of(image)
    posed = pose.taken(image)
    candidates = candidates_px(posed, limits, parameters)
    if candidates is None:
        return refused(MEASUREMENT_FAILURE, "the image has no structure: it is blank, black or overexposed")
    if not candidates:
        return refused(MEASUREMENT_FAILURE, "no repeating cell pattern was found: not an endothelium, or out of focus")
    found = best_division(posed, candidates, limits, weights, parameters)
    return decide(posed, found, pose, parameters)


def candidates_px(
    image: FloatImage, limits_px: tuple[float, float], parameters: Parameters
) -> tuple[float, ...] | None:
    """Spacings that the spectrum speaks for, likeliest first; None where the picture has no structure at all.

    The shortest spacing has four pixels on a picture of half the size, which is enough and four times as fast.
    """
    step = 2 if min(image.shape) >= HALVED_SIDE_MIN_PX else 1
    small = halved(image) if step == 2 else image
    radius = min(parameters.first_shading_radius_px // step, min(small.shape) // 6)
    usable = usable_area(small, radius // 2)
    if not usable.any():
        return None
    contrast = local_contrast(small, usable, (radius, radius))
    limits = (limits_px[0] / step, limits_px[1] / step)
    spacing = find_spacing(contrast, usable, limits, parameters.spectral_tilt, parameters.spacing_candidates)
    return tuple(step * period for period in spacing.candidates_px)


def decide(image: FloatImage, found: Found, pose: Pose, parameters: Parameters) -> Segmentation:
    """Numbers only from enough cells that look like a mosaic; otherwise say what was missing."""
    division, believed = found.division, found.believed
    count = int(np.count_nonzero(believed))
    clarity = float(np.mean(division.evidence[believed] * division.trust[believed])) if count else 0.0
    covered = float(division.area_px[believed].sum()) / image.size
    if count < parameters.cells_min:
        told = find_obstacles(image, division.region, division.guttae).told() or "the picture shows no more of them"
        code = MEASUREMENT_FAILURE if count < parameters.cells_min / 3 else CALCULATION_FAILURE
        reason = f"only {count} whole cells with clear borders, at least {parameters.cells_min} are needed: {told}"
        return refused(code, reason if count else f"no cell with clear borders: {told}", clarity)
    if covered < parameters.trusted_share_min:
        told = find_obstacles(image, division.region, division.guttae).told() or "the rest shows none that are whole"
        reason = f"cells can be told in only {100 * covered:.0f} % of the picture: {told}"
        return refused(MEASUREMENT_FAILURE, reason, clarity)
    mosaic = build_mosaic(
        pose.undone(division.labels),
        believed,
        parameters.side_length_min_px,
        network=division.network,
        region=pose.undone(division.region),
        guttae=pose.undone(division.guttae),
    )
    ringed = mosaic.sides[mosaic.sides > 0]
    usual = int(np.count_nonzero((ringed >= 5) & (ringed <= 7)))
    if ringed.size >= parameters.ringed_cells_min and usual < parameters.five_to_seven_min * ringed.size:
        return refused(
            MEASUREMENT_FAILURE,
            "the pattern is not a cell mosaic: "
            f"only {100 * usual / ringed.size:.0f} % of its cells have five to seven neighbours",
            clarity,
        )
    spread = float(mosaic.area_px.std() / mosaic.area_px.mean())
    if spread < parameters.spread_min:
        return refused(
            MEASUREMENT_FAILURE,
            f"the pattern is too regular to be tissue: its cells differ by only {100 * spread:.0f} % in area",
            clarity,
        )
    # of the cells themselves: the scale of the last look may lie a third off
    spacing_px = parameters.spacing_to_root_area * float(mosaic.area_px.mean()) ** 0.5
    return Segmentation(mosaic, clarity, None, spacing_px)
