"""From light to a grey picture as it comes out of a file: noise, sampling, grey levels, JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter

from deploy.training.tissue import Image

FULL_SCALE = 255.0
BORDER_SCALE_REL = 0.055  # the width at which a border competes with noise, as a share of the spacing


def develop(
    rng: np.random.Generator, light: Image, structure: Image, clutter: Image, spacing_px: float
) -> tuple[Image, Image]:
    """The picture (0..255), and how strongly everything but the structure varies at the scale of the borders.

    `light`, `structure` and `clutter` are parts of full scale; clipped light shows no structure, which counts as noise.
    """
    side = light.shape[0]
    factor = 1.0 if rng.random() < 0.4 else float(np.exp(rng.uniform(np.log(0.45), np.log(1.6))))
    native = max(round(side * factor), 64)
    shown = resized(sheared_lines(rng, light, spacing_px), native)
    electrons = float(np.exp(rng.uniform(np.log(150), np.log(20000))))
    read = float(np.exp(rng.uniform(np.log(0.0008), np.log(0.012))))
    if rng.random() < 0.08:
        electrons, read = 1e6, 1e-4
    deviation = np.sqrt(np.maximum(shown, 0) / electrons + read**2)
    noise = deviation * rng.standard_normal(shown.shape)
    if rng.random() < 0.3:  # noise of a picture that was filtered or resampled before
        noise = gaussian_filter(noise, rng.uniform(0.3, 1.1)) * 2
    if rng.random() < 0.25:  # speckle
        noise = noise + rng.uniform(0.02, 0.12) * shown * gaussian_filter(rng.standard_normal(shown.shape), 0.5) * 1.8
    ceiling = rng.choice([1.0, 1.0, 0.85])
    grey = np.clip(shown + noise + rng.uniform(0, 0.06), 0, ceiling) * FULL_SCALE
    grey = jpeg(rng, np.rint(grey))
    out = resized(grey.astype(np.float32), side)
    scale = BORDER_SCALE_REL * spacing_px
    unwanted = resized(noise.astype(np.float32), side) + clutter
    window = 0.7 * spacing_px
    fine = gaussian_filter(unwanted, scale) - gaussian_filter(unwanted, 5 * scale)
    power = gaussian_filter(fine**2, window) + (0.3 / FULL_SCALE) ** 2
    clipped = gaussian_filter(((light > ceiling) | (light < 0.004)).astype(np.float32), 0.25 * spacing_px)
    power += (4 * clipped) ** 2 * (gaussian_filter(structure**2, window) + 1e-6)
    return out, np.sqrt(power).astype(np.float32)


def sheared_lines(rng: np.random.Generator, light: Image, spacing_px: float) -> Image:
    """A scan whose lines do not quite lie above each other: half frames of a moving eye, or a trembling line clock."""
    if rng.random() > 0.15:
        return light
    side = light.shape[0]
    if rng.random() < 0.5:
        shift = np.where(np.arange(side) // int(rng.integers(1, 3)) % 2, 1, -1) * rng.uniform(0.01, 0.06) * spacing_px
    else:
        shift = gaussian_filter(rng.standard_normal(side), rng.uniform(0.3, 1.5))
        shift *= rng.uniform(0.01, 0.05) * spacing_px / shift.std()
    columns = np.clip(np.arange(side)[None, :] + shift[:, None], 0, side - 1)
    left = np.minimum(columns.astype(int), side - 2)
    share = columns - left
    lines = light if rng.random() < 0.5 else light.T
    moved = np.take_along_axis(lines, left, 1) * (1 - share) + np.take_along_axis(lines, left + 1, 1) * share
    out = moved if lines is light else moved.T
    return np.ascontiguousarray(out, np.float32)


def resized(image: Image, side: int) -> Image:
    if image.shape[0] == side:
        return image
    return np.asarray(Picture.fromarray(image.astype(np.float32)).resize((side, side), Picture.Resampling.BICUBIC))


def jpeg(rng: np.random.Generator, grey: Image) -> Image:
    if rng.random() > 0.4:
        return grey
    stream = io.BytesIO()
    Picture.fromarray(grey.astype(np.uint8)).save(stream, "JPEG", quality=int(rng.integers(40, 96)))
    return np.asarray(Picture.open(stream), np.float32)
