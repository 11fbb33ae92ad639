"""Take the light out of the image: what is left is local contrast, and a mask of where there is any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_app.endothelium.filters import BoolImage, FloatImage, Plane, box_mean

BLACK_SHARE = 0.03  # of the range of grey values


@dataclass(frozen=True, slots=True, eq=False)
class Normalised:
    """`contrast` has local mean 0 and local SD about 1 inside `usable`, and is clipped; 0 outside."""

    contrast: FloatImage
    usable: BoolImage


def normalise(image: FloatImage, sigma_px: float, clip: float) -> Normalised:
    """Divide out shading wider than `sigma_px`. Gain and offset of the input drop out exactly."""
    usable = usable_area(image, max(2, round(sigma_px / 2)))
    weight: FloatImage = usable.astype(np.float32)
    if not usable.any():
        return Normalised(np.zeros_like(image), usable)
    margin = int(3 * sigma_px) + 1
    level = np.float32(image[usable].mean())
    density: FloatImage = np.maximum(Plane(weight, margin).gaussian(sigma_px), np.float32(1e-3))
    mean: FloatImage = Plane((image - level) * weight, margin).gaussian(sigma_px) / density + level
    detail: FloatImage = (image - mean) * weight
    variance = Plane(detail * detail, margin).gaussian(sigma_px) / density
    deviation = np.sqrt(np.maximum(variance, 0.0))
    # a floor, so that noise in dull places is not blown up to the contrast of cells
    floor = 0.25 * float(np.median(deviation[usable]))
    if floor <= 0:
        return Normalised(np.zeros_like(image), np.zeros_like(usable))
    contrast = np.clip(detail / (deviation + floor) * 1.25, -clip, clip)
    return Normalised(np.where(usable, contrast, 0.0).astype(np.float32), usable)


def usable_area(image: FloatImage, radius_px: int) -> BoolImage:
    """Where the picture has texture at all: not the black frame, not the clipped flash band."""
    low, high = float(image.min()), float(image.max())
    if high <= low:
        return np.zeros(image.shape, bool)
    # JPEG rings a little around a black frame, hence the margin
    clipped = (image <= low + BLACK_SHARE * (high - low)) | (image >= high)
    return box_mean(clipped.astype(np.float32), radius_px) < 0.5
