"""Outlines drawn by a person, on a grid of pixels. A pixel's centre is at its row and column."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.watershed import pairs

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Points = Sequence[tuple[float, float]]  # row, column

POINTS_MAX = 1000
_ARC_STEPS = 8


def require_points(points: Points, shape: tuple[int, ...], at_least: int, what: str) -> Floats:
    """(n, 2) float64 of at least so many different points on the image; ValueError naming what is wrong otherwise.

    A point that repeats the one before it is left out.
    """
    if len(points) > POINTS_MAX:
        raise ValueError(f"{what} has {len(points)} points: at most {POINTS_MAX} are taken")
    made = np.array([tuple(point) for point in points], np.float64).reshape(len(points), 2)
    outside = ~((made >= -0.5) & (made <= np.array(shape) - 0.5)).all(axis=1)  # also what is no number
    if outside.any():
        row, column = made[int(np.flatnonzero(outside)[0])]
        raise ValueError(
            f"{what}: row {row:g}, column {column:g} is not on the image of {shape[0]} rows and {shape[1]} columns"
        )
    moves = np.ones(len(made), bool)
    moves[1:] = (made[1:] != made[:-1]).any(axis=1)
    if np.count_nonzero(moves) < at_least:
        raise ValueError(f"{what} needs at least {at_least} different points, not {np.count_nonzero(moves)}")
    return made[moves]


def polygon_mask(outline: Floats, shape: tuple[int, ...]) -> Mask:
    """(rows, columns) True for pixel centres inside `outline` (k, 2), which may leave the image: even-odd rule.

    Half open: a pixel centre exactly on a border belongs to one of the two polygons that share it.
    """
    turns = np.zeros((shape[0], shape[1] + 1), np.uint8)  # only odd or even matters, so it may overflow
    for (row, column), (next_row, next_column) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        low, high = sorted((row, next_row))
        crossed = np.arange(max(math.ceil(low), 0), min(math.ceil(high), shape[0]))
        if crossed.size:
            share = (crossed - row) / (next_row - row)  # 0 to 1, also where the two rows are next to equal
            at = column + share * (next_column - column)
            np.add.at(turns, (crossed, np.clip(np.ceil(at), 0, shape[1]).astype(np.int64)), 1)
    inside: Mask = (np.cumsum(turns[:, :-1], axis=1, dtype=np.uint8) & 1).astype(bool)
    return inside


def beside(line: Floats, shape: tuple[int, ...]) -> Mask:
    """(rows, columns) True on one side of `line` (k, 2), which is prolonged straight at both ends."""
    far = 4.0 * (sum(shape) + float(np.abs(line).max()))
    start = line[0] - far * _direction(line[0], line[1])
    end = line[-1] + far * _direction(line[-2], line[-1])
    middle = line.mean(axis=0)
    first, last = (math.atan2(*(point - middle)) for point in (end, start))
    turn = (last - first) % (2 * math.pi)
    angles = first + turn * np.linspace(0, 1, _ARC_STEPS)
    arc = middle + 2 * far * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return polygon_mask(np.concatenate([start[None], line, end[None], arc]), shape)


def _direction(start: Floats, end: Floats) -> Floats:
    step: Floats = end - start
    return step / math.hypot(float(step[0]), float(step[1]))


def components(mask: Mask) -> npt.NDArray[np.int64]:
    """(rows, columns) 0 outside the mask, 1..n for its parts that touch along a side of a pixel."""
    size = mask.size
    root = np.where(mask, np.arange(size).reshape(mask.shape), size)
    while True:
        lowest = root.copy()
        for step in ((0, 1), (1, 0)):
            here, there = pairs(mask.shape, *step)
            np.minimum(lowest[here], root[there], out=lowest[here])
            np.minimum(lowest[there], root[here], out=lowest[there])
        lowest[~mask] = size
        lowest = np.append(lowest.ravel(), size)[lowest]
        if np.array_equal(lowest, root):
            break
        root = lowest
    number = np.zeros(size + 1, np.int64)
    roots = np.unique(root[mask])
    number[roots] = np.arange(1, roots.size + 1)
    return number[root]


def largest_part(mask: Mask) -> Mask:
    """The largest of its parts; of equals the first in reading order. An empty mask has none."""
    part = components(mask)
    counts = np.bincount(part.ravel())
    if counts.size < 2:
        return mask
    kept: Mask = part == 1 + int(np.argmax(counts[1:]))
    return kept
