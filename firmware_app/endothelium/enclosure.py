"""Which dots are surrounded by others: the triangles around each dot, without those that bridge gaps or dents.

Three dots whose Voronoi cells meet in a corner are a triangle, and that corner is its circumcentre. Two kinds are no
part of the tissue:

- those with a side of more than 2.2 times the median distance of neighbours: they bridge a gap or join two groups;
- those at the outline whose corner lies beyond the outline: a flat triangle across a dent, whose corner may be far
  outside. Taking one away moves the outline, so this is repeated until nothing is left to take.

A corner belongs to every cell that meets there, four of them on a square lattice, and goes with all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.connected import lowest_reached
from firmware_app.endothelium.voronoi import BOX, Floats, Ints, VoronoiCell

BoolArray = npt.NDArray[np.bool_]

GAP_TO_MEDIAN = 2.2
_BEYOND = 1e-6  # of the median distance; on a right angle the corner lies on the outline


@dataclass(frozen=True, slots=True, eq=False)
class Enclosure:
    """By dot: whether triangles surround it, the part of its cell within them, the angle (radians) that they fill at
    the dot, and the lowest index of the dots that hang together with it over triangles."""

    is_surrounded: BoolArray
    area_px: Floats
    angle: Floats
    group: Ints


@dataclass(frozen=True, slots=True, eq=False)
class _Corners:
    """The corners of all cells, one after the other. A corner lies between the sides to `before` and to `after`; the
    side to `after` leads to the corner `following`. `spot` is the same number for corners that are one place."""

    owner: Ints
    before: Ints
    after: Ints
    following: Ints
    position: Floats
    spot: Ints


def enclose(dots: Floats, cells: list[VoronoiCell]) -> Enclosure:
    """`cells` are the Voronoi cells of `dots` (n, 2), in their order; n may be 0."""
    n = dots.shape[0]
    if n < 3:
        return Enclosure(np.zeros(n, bool), np.zeros(n), np.zeros(n), np.arange(n))
    corners = _corners(cells)
    here = dots[corners.owner]
    one, other = dots[corners.before] - here, dots[corners.after] - here
    is_real = (corners.before != BOX) & (corners.after != BOX)
    sides = np.stack([_length(one), _length(other), _length(one - other)])
    median = float(np.median(_length(other)[corners.after != BOX]))
    at = corners.position - here
    # Of four and more dots on one circle each sees two others: what they bridge together is the circle.
    is_shared = np.bincount(corners.spot)[corners.spot] > 3
    bridged = np.maximum(sides.max(axis=0), np.where(is_shared, 2 * _length(at), 0.0))
    is_lost = ~is_real | (bridged > GAP_TO_MEDIAN * median)
    is_lost = _without_dents(dots, corners, is_lost, _BEYOND * median)
    # The quadrilateral of dot, middle of one side, corner, middle of the other; signed, as the corner may lie beyond.
    turn = _cross(one, other)
    area = np.where(is_lost, 0.0, np.sign(turn) * 0.25 * (_cross(one, at) + _cross(at, other)))
    angle = np.where(is_lost, 0.0, np.abs(np.arctan2(turn, np.sum(one * other, axis=1))))
    owner, kept = corners.owner, ~is_lost
    return Enclosure(
        is_surrounded=np.bincount(owner, is_lost, n) == 0,
        area_px=np.bincount(owner, area, n).astype(np.float64),
        angle=np.bincount(owner, angle, n).astype(np.float64),
        group=lowest_reached(n, np.tile(owner[kept], 2), np.concatenate([corners.before[kept], corners.after[kept]])),
    )


def _corners(cells: list[VoronoiCell]) -> _Corners:
    counts = np.array([len(cell.neighbours) for cell in cells])
    owner = np.repeat(np.arange(len(cells)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.arange(owner.size) - first
    following = first + (place + 1) % counts[owner]
    preceding = first + (place - 1) % counts[owner]
    after = np.concatenate([cell.neighbours for cell in cells])
    side_of = {(int(a), int(b)): index for index, (a, b) in enumerate(zip(owner, after, strict=True)) if b != BOX}
    # Seen from the neighbour, a side runs the other way: it begins where ours ends.
    twins = [(mine, side_of[b, a]) for (a, b), mine in side_of.items() if (b, a) in side_of]
    mine, theirs = np.array(twins, np.int64).reshape(-1, 2).T
    return _Corners(
        owner=owner,
        before=after[preceding],
        after=after,
        following=following,
        position=np.concatenate([cell.corners for cell in cells]),
        spot=lowest_reached(owner.size, mine, following[theirs]),
    )


def _without_dents(dots: Floats, corners: _Corners, is_lost: BoolArray, beyond_px: float) -> BoolArray:
    """Lost as well is a corner from which the way to a lost one, along their side, leads back to the side's dots."""
    is_side = corners.after != BOX
    middle = 0.5 * (dots[corners.owner] + dots[corners.after])
    ends = np.stack([corners.position, corners.position[corners.following]])
    way = ends[1] - ends[0]
    way /= np.maximum(_length(way), np.finfo(float).tiny)[:, None]
    begin, end = (np.sum((each - middle) * way, axis=1) for each in ends)
    begins_beyond, ends_beyond = is_side & (begin > beyond_px), is_side & (end < -beyond_px)
    while True:
        of_spot = np.zeros(is_lost.size, bool)
        of_spot[corners.spot[is_lost]] = True
        is_lost = of_spot[corners.spot]
        following_lost = is_lost[corners.following]
        found = ~is_lost & following_lost & begins_beyond
        found[corners.following[is_lost & ~following_lost & ends_beyond]] = True
        if not found.any():
            return is_lost
        is_lost = is_lost | found


def _length(vectors: Floats) -> Floats:
    lengths: Floats = np.hypot(vectors[:, 0], vectors[:, 1])
    return lengths


def _cross(one: Floats, other: Floats) -> Floats:
    product: Floats = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    return product
