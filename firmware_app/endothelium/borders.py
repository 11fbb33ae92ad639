"""The border map: high on the dark lines between cells, low inside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_app.endothelium.filters import BoolImage, FloatImage, Plane
from firmware_app.endothelium.parameters import Parameters


@dataclass(frozen=True, slots=True, eq=False)
class BorderMap:
    """`fine` follows the lines (for contours and border strength), `coarse` has one bottom per cell (for markers)."""

    fine: FloatImage
    coarse: FloatImage


def border_map(contrast: FloatImage, usable: BoolImage, spacing_px: float, parameters: Parameters) -> BorderMap:
    """Ridges of darkness at the width of a cell border, plus darkness itself, in units of local contrast."""
    plane = Plane(contrast, int(spacing_px))
    ridge = plane.ridges(
        max(parameters.ridge_sigma_rel * spacing_px, 0.8),
        max(parameters.ridge_length_rel * spacing_px, 1.0),
        parameters.ridge_orientations,
    )
    ridge /= root_mean_square(ridge, usable)
    dark = -plane.gaussian(max(parameters.smooth_sigma_rel * spacing_px, 0.7))
    dark /= root_mean_square(dark, usable)
    fine = dark + np.float32(parameters.ridge_weight) * ridge
    coarse = Plane(fine, int(spacing_px)).gaussian(parameters.marker_sigma_rel * spacing_px)
    return BorderMap(fine.astype(np.float32), coarse)


def root_mean_square(image: FloatImage, where: BoolImage) -> np.float32:
    """1 where there is nothing to measure, so that it can always be divided by."""
    if not where.any():
        return np.float32(1)
    return np.float32(np.sqrt(np.mean(image[where] ** 2))) or np.float32(1)
