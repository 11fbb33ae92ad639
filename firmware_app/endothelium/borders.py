"""The border map: high on the dark lines between cells, low inside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_app.endothelium.filters import FloatImage, Plane
from firmware_app.endothelium.parameters import Parameters


@dataclass(frozen=True, slots=True, eq=False)
class BorderMap:
    """`fine` follows the lines (for contours and border strength), `coarse` has one bottom per cell (for markers)."""

    fine: FloatImage
    coarse: FloatImage


def border_map(contrast: FloatImage, spacing_px: float, parameters: Parameters) -> BorderMap:
    """Ridges of darkness at the width of a cell border, plus darkness itself, in units of local contrast."""
    plane = Plane(contrast, int(spacing_px))
    ridge = plane.ridges(
        max(parameters.ridge_sigma_rel * spacing_px, 0.8),
        max(parameters.ridge_length_rel * spacing_px, 1.0),
        parameters.ridge_orientations,
    )
    scale = float(np.sqrt(np.mean(ridge**2))) or 1.0
    ridge /= np.float32(scale)
    dark = -plane.gaussian(max(parameters.smooth_sigma_rel * spacing_px, 0.7))
    scale = float(np.sqrt(np.mean(dark**2))) or 1.0
    dark /= np.float32(scale)
    fine = dark + np.float32(parameters.ridge_weight) * ridge
    coarse = Plane(fine, int(spacing_px)).gaussian(parameters.marker_sigma_rel * spacing_px)
    return BorderMap(fine.astype(np.float32), coarse)
