"""Mosaics and dots with known truth, made once: simulated corneas seen through a window, and regular tilings."""

from __future__ import annotations

from functools import cache

import numpy as np

from firmware_app.endothelium.mosaic import build_mosaic, whole_regions
from firmware_app.model import Mosaic, Quality
from hw.sim.mosaic import EndotheliumTruth, MosaicModel, Window
from hw.sim.mosaic import build_mosaic as simulated

UM_PER_PX = 0.85
SIDE_MIN_PX = 0.6
QUALITY = Quality("A", 0.9, 0.8, 0.9)


@cache
def cornea(seed: int = 6) -> MosaicModel:
    return simulated(seed)


def window(rows: int, columns: int) -> Window:
    return Window(0.0, 0.0, rows, columns, UM_PER_PX)


@cache
def seen(rows: int = 480, columns: int = 640, seed: int = 6) -> Mosaic:
    """The whole cells of a simulated cornea in a picture of this size. Not to be written to."""
    labels = cornea(seed).label_raster(window(rows, columns))
    return build_mosaic(labels, whole_regions(labels, np.ones(labels.shape, bool)), SIDE_MIN_PX)


@cache
def picture(rows: int, columns: int, seed: int = 6) -> np.ndarray:
    """An even picture of a simulated cornea, borders dark: nothing that an analysis could find hard. uint8."""
    depth_um = cornea(seed).border_distance_um(window(rows, columns))
    return (60 + 130 * (1 - np.exp(-depth_um / 1.5))).astype(np.uint8)


def dots_of(seed: int, rows: int = 480, columns: int = 640) -> tuple[np.ndarray, EndotheliumTruth]:
    """Row and column of the centroids of the whole cells in a picture, and the truth of these cells."""
    model, seen_through = cornea(seed), window(rows, columns)
    centroids = model.centroids_um[model.whole_cells(seen_through)] % np.array(model.size_um)
    return centroids[:, ::-1] / UM_PER_PX - 0.5, model.truth_in(seen_through)


def hexagonal(rows: int, columns: int, pitch: float) -> np.ndarray:
    """Dots of a regular hexagonal tiling with this distance between neighbours, every second row shifted."""
    row, column = np.mgrid[:rows, :columns].astype(float)
    dots = np.stack([row * pitch * np.sqrt(3) / 2, (column + (row % 2) / 2) * pitch], axis=-1)
    return dots.reshape(-1, 2) + pitch


def square(rows: int, columns: int, pitch: float) -> np.ndarray:
    return (np.stack(np.mgrid[:rows, :columns], axis=-1).reshape(-1, 2) + 1.0) * pitch


def same(one: Mosaic, other: Mosaic) -> bool:
    """To the last bit."""
    masks = all(
        (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in ((one.region, other.region), (one.guttae, other.guttae))
    )
    return masks and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in ("labels", "area_px", "sides", "centroid_px")
    )
