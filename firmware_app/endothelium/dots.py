"""Centre and flex-centre methods: cells from the dots that somebody set on their centres.

A cell is what lies nearer to its dot than to any other (its Voronoi cell). A dot with triangles of neighbours all the
way round is an inner one; what bridges gaps or dents of the outline is no triangle (`enclosure`).

- centre: only inner dots count; the outermost ones serve as their neighbours (Cornea 2017, 28834820).
- flex-centre: the outermost dots count as well. The literature does not say how the open side of their cells is
  closed. Here the part of the Voronoi cell that lies in the dot's triangles is taken as typical of the whole: its area,
  times 360 degrees over the angle that these triangles fill at the dot. On a regular tiling that is exact. Such a cell
  has no complete ring, so it counts for CD and CV and not for HEX.

On the centres of all whole cells of 10 simulated pictures (CV 22 to 38 %) CD came out 0.1 +- 0.3 % too low by centre
and right within 0.2 % by flex-centre; with the triangles across dents it was 3.3 % too low. Both underestimate CV,
there by 13 points, because borders halfway between centres even out the areas (pubmed 17591876).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.enclosure import enclose
from firmware_app.endothelium.methods import decide_by_count
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.voronoi import Floats, Ints, VoronoiCell, voronoi_cells
from firmware_app.model import Measurement, Method, Mosaic, Quality

DOTS_MAX = 5000  # a picture of 2048 px a side full of cells of 28 px
SAME_CELL_PX = 1.0  # two dots nearer than this were set on one cell
_SHOWN_RADIUS = 1.1  # an outermost cell is drawn to that many radii of a disc of its area


def measure_dots(
    dots: npt.NDArray[np.float64],
    shape: tuple[int, int],
    quality: Quality,
    um_per_px: float | None = None,
    method: Method = Method.CENTRE,
    parameters: Parameters | None = None,
) -> Measurement:
    """Numbers and mosaic of `dots` (n, 2), row and column in px, set on an image of `shape` (rows, columns).

    `quality` is that of the image, which nobody judges here. The areas are those of the polygons, not of the pixels of
    the label image. ValueError for what are not dots on this image; fewer than 30 counted cells are a refusal.
    """
    parameters = parameters or Parameters()
    if method not in (Method.CENTRE, Method.FLEX_CENTRE):
        raise ValueError(f"dots are counted by the centre or the flex-centre method, not by {method}")
    distinct = without_repeats(require_dots(dots, shape))
    mosaic, groups = dots_mosaic(distinct, shape, method is Method.FLEX_CENTRE, parameters)
    decided = decide_by_count(
        mosaic, quality, um_per_px, method, parameters, what=f"cells of {distinct.shape[0]} dots that count"
    )
    warnings = []
    if distinct.shape[0] < dots.shape[0]:
        warnings.append(f"{dots.shape[0] - distinct.shape[0]} dots lie on another one and were left out")
    if groups > 1:
        warnings.append(f"the dots form {groups} separate groups")
    if decided.morphometry is None:
        return decided
    numbers = replace(decided.morphometry, warnings=(*decided.morphometry.warnings, *warnings))
    return replace(decided, morphometry=numbers)


def require_dots(dots: npt.NDArray[np.float64], shape: tuple[int, int]) -> Floats:
    """The dots as float64, if they are dots on such an image; ValueError naming what is wrong, by the dot's number."""
    if dots.ndim != 2 or dots.shape[1:] != (2,):
        raise ValueError(f"dots must be (n, 2), row and column, not of shape {dots.shape}")
    if dots.shape[0] > DOTS_MAX:
        raise ValueError(f"{dots.shape[0]} dots: at most {DOTS_MAX} can be counted")
    made: Floats = dots.astype(np.float64)
    outside = ~((made >= -0.5) & (made <= np.array(shape) - 0.5)).all(axis=1)  # also what is no number
    if outside.any():
        number = int(np.flatnonzero(outside)[0])
        row, column = made[number]
        raise ValueError(
            f"dot {number + 1} at row {row:g}, column {column:g} is not on the image of {shape[0]} rows and "
            f"{shape[1]} columns"
        )
    return made


def without_repeats(dots: Floats) -> Floats:
    """Of dots nearer to each other than a pixel only the first."""
    kept: list[int] = []
    by_row = np.argsort(dots[:, 0], kind="stable")
    rows = dots[by_row, 0]
    dropped = np.zeros(dots.shape[0], bool)
    for index in range(dots.shape[0]):
        if dropped[index]:
            continue
        kept.append(index)
        first, last = np.searchsorted(rows, dots[index, 0] + np.array([-SAME_CELL_PX, SAME_CELL_PX]))
        near = by_row[first : last + 1]
        near = near[np.hypot(*(dots[near] - dots[index]).T) < SAME_CELL_PX]
        dropped[near] = True
    return dots[kept]


def dots_mosaic(
    dots: Floats, shape: tuple[int, int], with_outermost: bool, parameters: Parameters
) -> tuple[Mosaic, int]:
    """The cells that count, in the order of their dots, which are their centroids; and how many groups they form."""
    cells = voronoi_cells(dots)
    around = enclose(dots, cells)
    counts = around.is_surrounded | (around.area_px > 0) if with_outermost else around.is_surrounded
    counted = np.flatnonzero(counts)
    ringed = around.is_surrounded[counted]
    area = np.array([cells[index].area for index in counted.tolist()], np.float64)
    area[~ringed] = (around.area_px * 2 * math.pi / np.maximum(around.angle, 1e-9))[counted][~ringed]
    lengths = [cells[index].side_lengths for index in counted.tolist()]
    sides = np.array([np.count_nonzero(each >= parameters.side_length_min_px) for each in lengths], np.int32)
    reach = np.where(ringed, math.inf, _SHOWN_RADIUS * np.sqrt(area / math.pi))
    labels = _painted(dots, cells, shape, counted, reach)
    mosaic = Mosaic(labels, area, np.where(ringed, sides, 0).astype(np.int32), dots[counted])
    return mosaic, int(np.unique(around.group[counted]).size)


def _painted(
    dots: Floats, cells: list[VoronoiCell], shape: tuple[int, int], counted: Ints, reach: Floats
) -> npt.NDArray[np.int32]:
    """(rows, columns): each pixel has the number of its nearest dot, if that dot counts and is within its reach.

    Every cell paints its bounding box by distance, which leaves no seam where two polygons round differently.
    """
    nearest = np.full(shape, -1, np.int64)
    distance = np.full(shape, np.inf)
    for index, cell in enumerate(cells):
        low = np.clip(np.floor(cell.corners.min(axis=0)).astype(int), 0, shape)
        high = np.clip(np.ceil(cell.corners.max(axis=0)).astype(int) + 1, 0, shape)
        box = (slice(low[0], high[0]), slice(low[1], high[1]))
        row, column = np.arange(low[0], high[0])[:, None], np.arange(low[1], high[1])[None, :]
        away = (row - dots[index, 0]) ** 2 + (column - dots[index, 1]) ** 2
        nearer = away < distance[box]
        distance[box][nearer] = away[nearer]
        nearest[box][nearer] = index
    number = np.zeros(len(cells) + 1, np.int32)
    number[counted] = np.arange(1, len(counted) + 1)
    limit = np.full(len(cells) + 1, np.inf)
    limit[counted] = reach**2
    labels: npt.NDArray[np.int32] = np.where(distance <= limit[nearest], number[nearest], 0).astype(np.int32)
    return labels
