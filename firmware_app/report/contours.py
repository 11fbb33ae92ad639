"""Lines between the regions of a label image, at any size, without the stairs of its pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Labels = npt.NDArray[np.int32]
Strength = npt.NDArray[np.float32]

# As much as takes the stairs away and keeps a three-fold corner where it is.
SMOOTH_SIGMA_PX = 0.8
# How far from a border, in sigmas, the shares of both sides still tell the distance.
REACH_SIGMAS = 1.2
LOGISTIC = 1.702  # of the logistic curve that is nearest to the normal distribution
# Two regions of one class must be farther apart than the smoothing reaches.
APART_PX = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (1, 2), (2, 1), (1, -2), (2, -1))


def contour_mask(labels: Labels) -> npt.NDArray[np.bool_]:
    """One side of every border between two cells or a cell and the outside: lines of one pixel."""
    mask = np.zeros(labels.shape, dtype=bool)
    mask[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    mask[:-1, :] |= labels[:-1, :] != labels[1:, :]
    return mask


def contour_lines(labels: Labels, size: tuple[int, int], width_px: float) -> Strength:
    """How much of each pixel of a picture of `size` (width, height) a line of `width_px` covers, 0..1.

    The regions are smoothed as areas, each against all others, so that both sides of a line give way alike. Few classes
    suffice, as on a map: regions of one class never meet.
    """
    classes = map_classes(labels)
    scale = size[0] / labels.shape[1]
    reach_px = width_px / 2 + 0.5
    sigma_px = max(SMOOTH_SIGMA_PX, reach_px / scale / REACH_SIGMAS)
    most = np.zeros(size[::-1], np.float32)
    next_most = np.zeros(size[::-1], np.float32)
    for number in range(int(classes.max(initial=0)) + 1):
        area = Image.fromarray(np.where(classes == number, 255, 0).astype(np.uint8))
        smooth = area.filter(ImageFilter.GaussianBlur(sigma_px)).resize(size, Image.Resampling.BICUBIC)
        share = np.asarray(smooth, np.float32)
        next_most = np.maximum(next_most, np.minimum(most, share))
        most = np.maximum(most, share)
    # across a border the share is the normal distribution of the distance, whose inverse is nearly this logarithm
    difference = np.minimum((most - next_most) / np.maximum(most + next_most, 1), 0.999)
    distance_px = scale * sigma_px / LOGISTIC * np.log((1 + difference) / (1 - difference))
    strength: Strength = np.clip(reach_px - distance_px, 0, 1).astype(np.float32)
    return strength


def mask_outline(mask: npt.NDArray[np.bool_], size: tuple[int, int], width_px: float) -> Strength:
    """The border of a mask; where it follows the edge of the picture there is none."""
    return contour_lines(mask.astype(np.int32), size, width_px)


def map_classes(labels: Labels) -> Labels:
    """A class for each region, so that no two near each other have the same; the outside keeps 0 for itself."""
    near: dict[int, set[int]] = {}
    for first, second in _near_pairs(labels):
        near.setdefault(first, set()).add(second)
        near.setdefault(second, set()).add(first)
    classes = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    for label in range(1, classes.size):
        taken = {int(classes[other]) for other in near.get(label, ())}
        classes[label] = next(number for number in range(1, len(taken) + 3) if number not in taken)
    return classes[labels]


def _near_pairs(labels: Labels) -> list[list[int]]:
    size = int(labels.max(initial=0)) + 1
    rows, columns = labels.shape
    keys = []
    for down, across in APART_PX:
        here = labels[: rows - down, max(-across, 0) : columns - max(across, 0)]
        there = labels[down:, max(across, 0) : columns + min(across, 0)]
        differ = (here != there) & (here > 0) & (there > 0)
        keys.append(here[differ].astype(np.int64) * size + there[differ])
    unique = np.unique(np.concatenate(keys))
    pairs: list[list[int]] = np.stack([unique // size, unique % size], axis=1).tolist()
    return pairs
