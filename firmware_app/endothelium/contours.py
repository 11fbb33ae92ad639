"""Draw the borders where they are: the division was found on a smoothed map, whose lines cut corners.

Each region keeps only its core and grows again on a sharper map. Short sides decide how many neighbours a cell has,
and smoothing swallows them (measured on 12 simulated eyes: HEX error 3.1 points before, 2.1 after).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firmware_app.endothelium.borders import border_map
from firmware_app.endothelium.filters import FloatImage, box_mean
from firmware_app.endothelium.normalise import normalise
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.watershed import Labels, basins, flood


def redraw(image: FloatImage, labels: Labels, spacing_px: float, parameters: Parameters) -> Labels:
    """The same regions 1..n with their borders moved onto the sharpest lines nearby."""
    flat = normalise(image, parameters.shading_sigma_rel * spacing_px, parameters.clip)
    sharp = replace(
        parameters,
        smooth_sigma_rel=parameters.contour_smooth_sigma_rel,
        ridge_sigma_rel=parameters.contour_ridge_sigma_rel,
        ridge_length_rel=parameters.contour_ridge_length_rel,
        ridge_weight=parameters.contour_ridge_weight,
    )
    height = border_map(flat.contrast, flat.usable, spacing_px, sharp).fine
    return flood(basins(height), height, cores(labels, max(1, round(parameters.core_margin_rel * spacing_px))))


def cores(labels: Labels, margin_px: int) -> Labels:
    """Every region without the pixels near its border; a region too thin for that keeps all but the border itself."""
    border = np.zeros(labels.shape, bool)
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    border[:, 1:] |= labels[:, :-1] != labels[:, 1:]
    border[:-1] |= labels[:-1] != labels[1:]
    border[1:] |= labels[:-1] != labels[1:]
    deep = box_mean(border.astype(np.float32), margin_px) == 0
    has_core = np.bincount(labels[deep], minlength=int(labels.max()) + 1) > 0
    kept = np.where(has_core[labels], deep, ~border)
    survives = np.bincount(labels[kept], minlength=has_core.size) > 0
    return np.where(kept | ~survives[labels], labels, 0).astype(np.int32)
