"""Numbers or a refusal: the decision at the end of the analysis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.borders import border_map
from firmware_app.endothelium.checks import require_image
from firmware_app.endothelium.filters import FloatImage
from firmware_app.endothelium.morphometry import morphometry
from firmware_app.endothelium.mosaic import build_mosaic, whole_regions
from firmware_app.endothelium.normalise import normalise
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.quality import assess_quality
from firmware_app.endothelium.spacing import find_spacing
from firmware_app.endothelium.watershed import basins, merge_by_depth
from firmware_app.model import CALCULATION_FAILURE, MEASUREMENT_FAILURE, Code, Measurement, Mosaic, Refusal


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    mosaic: Mosaic | None
    clarity: float
    refusal: Refusal | None


def measure(
    pixels: npt.NDArray[np.generic],
    bits_stored: int,
    um_per_px: float | None = None,
    parameters: Parameters | None = None,
) -> Measurement:
    """Numbers or a refusal, never both, for any 2-D integer image; `ValueError` for anything else."""
    parameters = parameters or Parameters()
    image = require_image(pixels).astype(np.float32)
    if not 1 <= bits_stored <= 16:
        raise ValueError(f"bits_stored must be 1..16, not {bits_stored}")
    if um_per_px is not None and not (np.isfinite(um_per_px) and um_per_px > 0):
        raise ValueError(f"um_per_px must be positive, not {um_per_px}")
    found = segment(image, um_per_px, parameters)
    quality = assess_quality(image, bits_stored, found.clarity)
    if found.mosaic is None or found.refusal is not None:
        return Measurement(quality, refusal=found.refusal)
    numbers = morphometry(found.mosaic, um_per_px, parameters)
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


def segment(image: FloatImage, um_per_px: float | None, parameters: Parameters) -> Segmentation:
    if min(image.shape) < parameters.side_min_px:
        return refused(MEASUREMENT_FAILURE, f"the image is too small: {image.shape[1]}x{image.shape[0]} px")
    if max(image.shape) > parameters.side_max_px:
        return refused(MEASUREMENT_FAILURE, f"the image is too large: {image.shape[1]}x{image.shape[0]} px")
    shortest, longest = spacing_limits_px(um_per_px, image.shape, parameters)
    if shortest >= longest:
        return refused(MEASUREMENT_FAILURE, "no cell of a plausible size can be resolved in this image")
    first = normalise(image, min(18.0, min(image.shape) / 6), parameters.clip)
    spacing = find_spacing(first.contrast, first.usable, shortest, longest, parameters.spectral_tilt)
    if not spacing.candidates_px:
        return refused(MEASUREMENT_FAILURE, "no repeating cell pattern was found")
    period = spacing.candidates_px[0]
    flat = normalise(image, parameters.shading_sigma_rel * period, parameters.clip)
    borders = border_map(flat.contrast, period, parameters)
    labels = merge_by_depth(basins(borders.coarse), borders.coarse, parameters.basin_depth)
    keep = whole_regions(labels, flat.usable)
    area = np.bincount(labels.ravel(), minlength=keep.size)
    expected = (period / parameters.spacing_to_root_area) ** 2
    keep &= (area > parameters.area_min_rel * expected) & (area < parameters.area_max_rel * expected)
    mosaic = build_mosaic(labels, keep, parameters.side_length_min_px)
    if mosaic.n < parameters.cells_min:
        return refused(
            CALCULATION_FAILURE, f"only {mosaic.n} whole cells: at least {parameters.cells_min} are needed", 0.5
        )
    return Segmentation(mosaic, 0.8, None)
