"""The mosaic after some of its pixels changed hands: only the cells concerned are measured again.

Whatever did not touch a changed pixel keeps its numbers to the last bit, so an edit costs what it changes, and cells
whose areas come from elsewhere (polygons around dots) are not measured by their pixels unless they are edited.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.mosaic import count_sides
from firmware_app.endothelium.watershed import Labels
from firmware_app.model import Mosaic

BoolArray = npt.NDArray[np.bool_]


def renewed(mosaic: Mosaic, labels: Labels, side_length_min_px: float) -> Mosaic:
    """The cells of `labels` (rows, columns), which was made from those of `mosaic`.

    Ids may be missing in it, and follow those of the mosaic for new cells. Every cell keeps its id, except that ids
    without a cell are filled with the highest ones, so that they are 1..n again.
    """
    changed = labels != mosaic.labels
    count = max(mosaic.n, int(labels.max(initial=0)))
    if not changed.any():
        return mosaic
    own = _those(count, labels[changed], mosaic.labels[changed])
    near = _those(count, labels[_widened(changed)])
    area, sides, centroid = _measured(mosaic, labels, own, count)
    exists = area > 0
    near &= np.append(False, exists)
    if near.any():
        rows, columns = _box(near[labels])
        fresh = count_sides(labels[rows, columns], count, side_length_min_px)
        sides[near[1:]] = fresh[near[1:]]
    return _without_gaps(replace(mosaic, labels=labels, area_px=area, sides=sides, centroid_px=centroid), exists)


def _those(count: int, *ids: Labels) -> BoolArray:
    """(count + 1,) True for these ids, never for 0."""
    flags = np.zeros(count + 1, bool)
    for each in ids:
        flags[each] = True
    flags[0] = False
    return flags


def _widened(mask: BoolArray) -> BoolArray:
    """With the eight neighbours of every pixel."""
    made = mask.copy()
    made[1:] |= mask[:-1]
    made[:-1] |= mask[1:]
    tall = made.copy()
    made[:, 1:] |= tall[:, :-1]
    made[:, :-1] |= tall[:, 1:]
    return made


def _box(mask: BoolArray) -> tuple[slice, slice]:
    """Around what is True, one pixel wider, so that neighbours are in it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(int(rows[0]) - 1, 0), int(rows[-1]) + 2),
        slice(max(int(columns[0]) - 1, 0), int(columns[-1]) + 2),
    )


def _measured(
    mosaic: Mosaic, labels: Labels, own: BoolArray, count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Area, sides and centroid by id, those of the cells in `own` from their pixels."""
    area = np.zeros(count)
    sides = np.zeros(count, np.int32)
    centroid = np.zeros((count, 2))
    area[: mosaic.n], sides[: mosaic.n], centroid[: mosaic.n] = mosaic.area_px, mosaic.sides, mosaic.centroid_px
    row, column = np.nonzero(own[labels])
    cell = labels[row, column]
    pixels = np.bincount(cell, minlength=count + 1)[1:].astype(np.float64)
    sums = np.stack([np.bincount(cell, each, count + 1)[1:] for each in (row, column)], axis=1)
    of_own = own[1:]
    area[of_own] = pixels[of_own]
    sides[of_own] = 0
    centroid[of_own] = sums[of_own] / np.maximum(pixels[of_own], 1)[:, None]
    return area, sides, centroid


def _without_gaps(mosaic: Mosaic, exists: BoolArray) -> Mosaic:
    """The ids that have no cell are filled, from the lowest, with the highest that have one."""
    n = int(np.count_nonzero(exists))
    if n == exists.size:
        return mosaic
    freed, moved = np.flatnonzero(~exists[:n]), np.flatnonzero(exists[n:])[::-1] + n
    order = np.arange(n)
    order[freed] = moved
    number = np.zeros(exists.size + 1, np.int32)
    number[order + 1] = np.arange(1, n + 1)
    return replace(
        mosaic,
        labels=number[mosaic.labels],
        area_px=mosaic.area_px[order],
        sides=mosaic.sides[order],
        centroid_px=mosaic.centroid_px[order],
    )
