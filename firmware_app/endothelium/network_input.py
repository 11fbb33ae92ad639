"""What the network sees of a picture: local contrast at two lengths, in which gain, offset and shading drop out."""

from __future__ import annotations

import numpy as np

from firmware_app.endothelium.filters import BoolImage, FloatImage, box_mean, boxes_mean

NEAR_RADII_PX = (13, 13)  # box filters in a row: about a Gaussian of 0.55 and 2.6 cells
FAR_RADII_PX = (63, 63)
CLIP = 3.0
FLOOR_REL = 0.25
USABLE_RADIUS_PX = 5
BLACK_SHARE = 0.03  # of the range of grey values


def network_input(image: FloatImage) -> tuple[FloatImage, BoolImage]:
    """(2, rows, columns) float32 within -1..1 and the usable area, of a picture whose rows of cells are 20 px apart.

    A picture without any usable area gives zeros.
    """
    usable = usable_area(image, USABLE_RADIUS_PX)
    planes = np.zeros((2, *image.shape), np.float32)
    if usable.any():
        for plane, radii in zip(planes, (NEAR_RADII_PX, FAR_RADII_PX), strict=True):
            plane[:] = local_contrast(image, usable, radii)
    return planes, usable


def local_contrast(image: FloatImage, usable: BoolImage, radii_px: tuple[int, ...]) -> FloatImage:
    """Deviation from the local mean over the local SD, both over the usable area alone, 0 outside it."""
    level = np.float32(image[usable].mean())
    if usable.all():
        detail: FloatImage = image - level
        detail -= boxes_mean(detail, radii_px)
        deviation: FloatImage = np.sqrt(np.maximum(boxes_mean(detail * detail, radii_px), 0))
    else:
        weight: FloatImage = usable.astype(np.float32)
        density = np.maximum(boxes_mean(weight, radii_px), np.float32(1e-3))
        flat: FloatImage = (image - level) * weight
        detail = np.asarray((flat - boxes_mean(flat, radii_px) / density) * weight, np.float32)
        deviation = np.asarray(np.sqrt(np.maximum(boxes_mean(detail * detail, radii_px) / density, 0)), np.float32)
    # a floor, so that noise in dull places is not blown up to the contrast of cells
    floor = np.float32(FLOOR_REL * float(np.median(deviation[usable])))
    if floor <= 0:
        return np.zeros_like(image)
    return np.asarray(np.clip(detail / (deviation + floor), -CLIP, CLIP) / np.float32(CLIP), np.float32)


def usable_area(image: FloatImage, radius_px: int) -> BoolImage:
    """Where the picture has texture at all: not the black frame, not the clipped flash band."""
    low, high = float(image.min()), float(image.max())
    if high <= low:
        return np.zeros(image.shape, bool)
    # JPEG rings a little around a black frame, hence the margin
    clipped = (image <= low + BLACK_SHARE * (high - low)) | (image >= high)
    return box_mean(clipped.astype(np.float32), radius_px) < 0.5
