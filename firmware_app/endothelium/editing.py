"""Edits of a mosaic by hand. Pure: a mosaic and an edit -> another mosaic and the edit that leads back.

Ids stay as far as they can: a cell that is not edited keeps its id, except that the id of a cell that is gone is given
to the cell with the highest one. Of merged cells the lowest id stays, of a split cell the larger part keeps it, and a
new cell is n + 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.edits import Add, Edit, Merge, MoveBorder, Point, Remove, Restore, SetRegion, Split
from firmware_app.endothelium.mosaic import untouched_by_edge
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.polygons import (
    Floats,
    Mask,
    beside,
    components,
    largest_part,
    polygon_mask,
    require_points,
)
from firmware_app.endothelium.renewal import renewed
from firmware_app.endothelium.restoring import difference, restored
from firmware_app.endothelium.watershed import Labels
from firmware_app.model import Mosaic

Box = tuple[slice, slice]

CELL_MIN_PX = 12  # a disc 4 px wide; nothing smaller is a cell at any scale that is measured
INSIDE_MIN = 0.75  # of a cell in the region, so that it counts (TVST postprocessing of Vigueras-Guillen)
HOLE_REACH_PX = 200  # a hole is looked for that far around a point: more than twice the largest cell


class ImpossibleEdit(ValueError):
    """This mosaic cannot be edited so; the text says which cell or point is wrong."""


def apply(mosaic: Mosaic, edit: Edit, parameters: Parameters | None = None) -> tuple[Mosaic, Restore]:
    """The edited mosaic and its inverse, which leads back to exactly the first one. Raises `ImpossibleEdit`."""
    side_length_min_px = (parameters or Parameters()).side_length_min_px
    try:
        edited = _edited(mosaic, edit, side_length_min_px)
    except ImpossibleEdit:
        raise
    except ValueError as error:
        raise ImpossibleEdit(str(error)) from error
    return edited, difference(edited, mosaic)


def _edited(mosaic: Mosaic, edit: Edit, side_length_min_px: float) -> Mosaic:
    match edit:
        case Remove():
            labels = _given(mosaic, _known(mosaic, edit.cells), 0)
        case Merge():
            labels = _merged(mosaic, edit.cells)
        case Split():
            labels = _split(mosaic, edit)
        case MoveBorder():
            labels = _border_moved(mosaic, edit)
        case Add():
            return _added(mosaic, edit, side_length_min_px)
        case SetRegion():
            return _region_set(mosaic, edit, side_length_min_px)
        case Restore():
            return restored(mosaic, edit)
    return renewed(mosaic, labels, side_length_min_px)


def _known(mosaic: Mosaic, cells: Sequence[int], at_least: int = 1) -> tuple[int, ...]:
    """The cells in order of their ids, each once."""
    for cell in cells:
        if not 1 <= cell <= mosaic.n:
            raise ImpossibleEdit(f"there is no cell {cell}: the mosaic has {mosaic.n}")
    if len(set(cells)) < at_least:
        raise ImpossibleEdit(f"at least {at_least} different cells must be named")
    return tuple(sorted(set(cells)))


def _given(mosaic: Mosaic, cells: Sequence[int], owner: int) -> Labels:
    """The label image with the pixels of these cells given to another one, or to nobody (0)."""
    number = np.arange(mosaic.n + 1, dtype=np.int32)
    number[list(cells)] = owner
    return number[mosaic.labels]


def _merged(mosaic: Mosaic, cells: Sequence[int]) -> Labels:
    """All of them must hang together over borders that they share."""
    known = _known(mosaic, cells, at_least=2)
    box = _box(mosaic, known)
    part = components(np.isin(mosaic.labels[box], known))
    in_parts = [set(part[mosaic.labels[box] == cell].tolist()) for cell in known]
    joined = set(in_parts[0])
    for cell, parts in zip(known[1:], in_parts[1:], strict=True):
        if not joined & parts:
            raise ImpossibleEdit(f"cell {cell} does not touch cell {known[0]}, nor through the other cells named")
    return _given(mosaic, known[1:], known[0])


def _box(mosaic: Mosaic, cells: Sequence[int]) -> Box:
    """The rows and columns that hold these cells."""
    flags = np.zeros(mosaic.n + 1, bool)
    flags[list(cells)] = True
    there = flags[mosaic.labels]
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _split(mosaic: Mosaic, edit: Split) -> Labels:
    (cell,) = _known(mosaic, (edit.cell,))
    box = _box(mosaic, (cell,))
    one, other = _divided(mosaic, (cell,), box, edit.line, f"the line through cell {cell}")
    labels = mosaic.labels.copy()
    labels[box][other if np.count_nonzero(one) >= np.count_nonzero(other) else one] = mosaic.n + 1
    return labels


def _border_moved(mosaic: Mosaic, edit: MoveBorder) -> Labels:
    """Each of the two keeps the side on which it had more of its pixels."""
    pair = first, second = _known(mosaic, (edit.first, edit.second), at_least=2)
    _merged(mosaic, pair)  # they must have a border
    box = _box(mosaic, pair)
    what = f"the border between cells {first} and {second}"
    one, other = _divided(mosaic, pair, box, edit.line, what)
    before = mosaic.labels[box]
    straight = np.count_nonzero(one & (before == first)) + np.count_nonzero(other & (before == second))
    crossed = np.count_nonzero(one & (before == second)) + np.count_nonzero(other & (before == first))
    labels = mosaic.labels.copy()
    labels[box][one] = first if straight >= crossed else second
    labels[box][other] = second if straight >= crossed else first
    return labels


def _divided(mosaic: Mosaic, cells: Sequence[int], box: Box, line: Sequence[Point], what: str) -> tuple[Mask, Mask]:
    """The pixels of these cells on either side of the line, each side in one piece.

    Where the line leaves the cells and comes back it cuts off more than two pieces: each side keeps its largest, the
    others go to the side that they touch.
    """
    points = require_points(line, mosaic.labels.shape, 2, what)
    inside = np.isin(mosaic.labels[box], cells)
    side = beside(points - np.array([box[0].start, box[1].start]), inside.shape)
    one = largest_part(inside & side)
    other = largest_part(inside & ~one)
    one = inside & ~other
    for part in (one, other):
        if np.count_nonzero(part) < CELL_MIN_PX:
            raise ImpossibleEdit(f"{what} leaves {np.count_nonzero(part)} px on one side: a cell has {CELL_MIN_PX}")
    return one, other


def _added(mosaic: Mosaic, edit: Add, side_length_min_px: float) -> Mosaic:
    """Where somebody sees a cell, a cell can be told: it becomes part of the region, and is no gutta."""
    if edit.outline:
        box, new = _inside_outline(mosaic.labels, edit)
    elif edit.seed is not None:
        box, new = _hole_around(mosaic.labels, edit.seed)
    else:
        raise ImpossibleEdit("a new cell needs an outline, or a point in the hole that it fills")
    count = int(np.count_nonzero(new))
    if count < CELL_MIN_PX:
        raise ImpossibleEdit(
            f"the new cell would have {count} px that no other cell has: at least {CELL_MIN_PX} are needed"
        )
    labels = mosaic.labels.copy()
    labels[box][new] = mosaic.n + 1
    if not untouched_by_edge(labels)[mosaic.n + 1]:
        raise ImpossibleEdit("the new cell would be cut by the image's edge: such cells do not count")
    made = renewed(mosaic, labels, side_length_min_px)
    taken = labels == mosaic.n + 1
    region = None if mosaic.region is None else mosaic.region | taken
    return replace(made, region=region, guttae=None if mosaic.guttae is None else mosaic.guttae & ~taken)


def _inside_outline(labels: Labels, edit: Add) -> tuple[Box, Mask]:
    """What nobody has of the outline: what can be reached from the seed, without one the largest part."""
    outline = require_points(edit.outline, labels.shape, 3, "the outline")
    low = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
    high = np.ceil(outline.max(axis=0)).astype(int) + 1
    box = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
    room = polygon_mask(outline - low, labels[box].shape) & (labels[box] == 0)
    return box, largest_part(room) if edit.seed is None else _reached(room, labels, box, edit.seed)


def _hole_around(labels: Labels, seed: Point) -> tuple[Box, Mask]:
    """What nobody has around the seed; it must end within reach."""
    row, column = _pixel(seed, labels)
    box = (
        slice(max(row - HOLE_REACH_PX, 0), row + HOLE_REACH_PX + 1),
        slice(max(column - HOLE_REACH_PX, 0), column + HOLE_REACH_PX + 1),
    )
    hole = _reached(labels[box] == 0, labels, box, seed)
    if not untouched_by_edge(hole.astype(np.int32))[1]:
        raise ImpossibleEdit(
            f"the hole at row {row}, column {column} is not closed by cells all round: give the cell's outline"
        )
    return box, hole


def _reached(room: Mask, labels: Labels, box: Box, seed: Point) -> Mask:
    """What of `room`, which lies in `box`, hangs together with the pixel of the seed."""
    row, column = _pixel(seed, labels)
    at = row - box[0].start, column - box[1].start
    in_box = 0 <= at[0] < room.shape[0] and 0 <= at[1] < room.shape[1]
    if not in_box or not room[at]:
        raise ImpossibleEdit(f"the point at row {row}, column {column} belongs to a cell already or is not inside")
    part = components(room)
    reached: Mask = part == part[at]
    return reached


def _pixel(point: Point, labels: Labels) -> tuple[int, int]:
    rows, columns = labels.shape
    (at,) = require_points([point], labels.shape, 1, "the point")
    return min(round(float(at[0])), rows - 1), min(round(float(at[1])), columns - 1)


def _region_set(mosaic: Mosaic, edit: SetRegion, side_length_min_px: float) -> Mosaic:
    """Region and guttae are what of them lies inside; guttae stay what they are."""
    outline = require_points(edit.outline, mosaic.labels.shape, 3, "the region")
    inside = polygon_mask(outline, mosaic.labels.shape)
    if not inside.any():
        raise ImpossibleEdit("the region holds no pixel")
    held = cells_inside(mosaic.labels, mosaic.n, inside)
    labels = _given(mosaic, (np.flatnonzero(~held) + 1).tolist(), 0)
    made = renewed(mosaic, labels, side_length_min_px)
    if mosaic.guttae is None:
        return replace(made, region=inside)
    return replace(made, region=inside & ~mosaic.guttae, guttae=inside & mosaic.guttae)


def cells_inside(labels: Labels, n: int, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(n,) True for the cells 1..n of which at least 75 % of the pixels are `inside` (rows, columns)."""
    pixels: Floats = np.bincount(labels.ravel(), minlength=n + 1)[1:].astype(np.float64)
    within = np.bincount(labels[inside], minlength=n + 1)[1:]
    held: npt.NDArray[np.bool_] = within >= INSIDE_MIN * pixels
    return held
