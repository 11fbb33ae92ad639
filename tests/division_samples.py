"""Divisions of pictures into regions, made by hand: nothing about them has to be found by a network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from mosaic_samples import cornea, window

from firmware_app.endothelium.division import Division
from firmware_app.endothelium.mosaic import whole_regions
from firmware_app.endothelium.watershed import Labels, graph

SIDE_PX = 20


def division_of(labels: Labels) -> Division:
    """All of these regions seen and trusted, no guttae; those that the picture's edge does not cut are whole."""
    count = int(labels.max()) + 1
    nothing = np.zeros(labels.shape, bool)
    return Division(
        spacing_px=float(SIDE_PX),
        labels=labels,
        region=~nothing,
        guttae=nothing,
        network=graph(labels, np.zeros(labels.shape, np.float32)),
        whole=whole_regions(labels, ~nothing),
        area_px=np.bincount(labels.ravel()).astype(np.float64),
        trust=np.ones(count),
        covered=np.zeros(count),
        evidence=np.ones(count),
        outline_seen=np.ones(count),
    )


def squares(rows: int, columns: int) -> Labels:
    """Numbered 1, 2, 3 ... along the rows."""
    numbers = 1 + np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    return numbers.repeat(SIDE_PX, axis=0).repeat(SIDE_PX, axis=1)


def bricks(rows: int, columns: int) -> Labels:
    """Every second course shifted by half a brick, the ends joined to bricks of the other end: six neighbours each."""
    labels = squares(rows, columns)
    for row in range(1, rows, 2):
        course = slice(row * SIDE_PX, (row + 1) * SIDE_PX)
        labels[course] = np.roll(labels[course], SIDE_PX // 2, axis=1)
    return labels


def cells(rows_px: int, columns_px: int) -> Labels:
    """The true cells of a simulated cornea."""
    raster: npt.NDArray[np.integer] = cornea().label_raster(window(rows_px, columns_px))
    _, labels = np.unique(raster, return_inverse=True)
    return (1 + labels.reshape(raster.shape)).astype(np.int32)
