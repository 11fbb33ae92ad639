"""Voronoi cells of dots: every cell is a box cut by the bisectors to the other dots, nearest first.

Cutting half planes needs no triangulation and so none of its degenerate cases: of four dots on one circle, two opposite
ones share a corner and no side; dots on a line have strips for cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BOX = -1  # the neighbour behind a side that no dot made
_NEAREST_FIRST = 32  # an inner cell has about six neighbours; farther dots are looked at only where these leave room
_TOUCHES = 1e-9  # of the squared distance: a bisector this near to a corner touches the cell and does not cut it


@dataclass(frozen=True, slots=True, eq=False)
class VoronoiCell:
    """Convex. `corners` (k, 2) row and column, in turn; side i leads from corner i to the next, to `neighbours[i]`."""

    corners: Floats
    neighbours: Ints

    @property
    def side_lengths(self) -> Floats:
        step = np.roll(self.corners, -1, axis=0) - self.corners
        lengths: Floats = np.hypot(step[:, 0], step[:, 1])
        return lengths

    @property
    def area(self) -> float:
        following = np.roll(self.corners, -1, axis=0)
        return 0.5 * abs(float(np.sum(self.corners[:, 0] * following[:, 1] - self.corners[:, 1] * following[:, 0])))


def voronoi_cells(dots: Floats) -> list[VoronoiCell]:
    """The cell of each of `dots` (n, 2), all different, within a box three times their extent."""
    if dots.shape[0] == 0:
        return []
    low, high = dots.min(axis=0), dots.max(axis=0)
    margin = max(float((high - low).max()), 1.0)
    return [_cell_of(dots, index, low - margin, high + margin) for index in range(dots.shape[0])]


def _cell_of(dots: Floats, index: int, low: Floats, high: Floats) -> VoronoiCell:
    """Relative to its dot, a point p is nearer to another dot q where p.q > q.q / 2."""
    here = dots[index]
    away = dots - here
    squared = np.einsum("ij,ij->i", away, away)
    order = np.argsort(squared, kind="stable")
    order = order[order != index]
    corners = np.array([[low[0], low[1]], [low[0], high[1]], [high[0], high[1]], [high[0], low[1]]]) - here
    behind = np.full(4, BOX, np.int64)
    for candidates in (order[:_NEAREST_FIRST], order[_NEAREST_FIRST:]):
        while candidates.size:
            reach = 4 * float(np.einsum("ij,ij->i", corners, corners).max())  # bisectors halfway to there
            candidates = candidates[squared[candidates] < reach]
            limit = (0.5 + _TOUCHES) * squared[candidates]
            candidates = candidates[((away[candidates] @ corners.T) > limit[:, None]).any(axis=1)]
            if candidates.size:
                nearest = int(candidates[0])
                corners, behind = _cut(corners, behind, away[nearest], float(squared[nearest]), nearest)
                candidates = candidates[1:]
    return VoronoiCell(corners + here, behind)


def _cut(corners: Floats, behind: Ints, away: Floats, squared: float, neighbour: int) -> tuple[Floats, Ints]:
    """The polygon without what lies beyond the bisector, which becomes a side of its own."""
    beyond = corners @ away - 0.5 * squared
    is_lost = beyond > _TOUCHES * squared
    first_lost = int(np.flatnonzero(is_lost & ~np.roll(is_lost, 1))[0])
    corners, behind = np.roll(corners, -first_lost, axis=0), np.roll(behind, -first_lost)
    beyond = np.roll(beyond, -first_lost)
    count = int(np.count_nonzero(is_lost))  # lost are now 0 .. count - 1, kept are the others
    entering = _crossing(corners[-1], corners[0], beyond[-1], beyond[0])
    leaving = _crossing(corners[count - 1], corners[count], beyond[count - 1], beyond[count])
    return (
        np.concatenate([corners[count:], entering[None], leaving[None]]),
        np.concatenate([behind[count:], [neighbour], [behind[count - 1]]]).astype(np.int64),
    )


def _crossing(one: Floats, other: Floats, beyond_one: float, beyond_other: float) -> Floats:
    share = beyond_one / (beyond_one - beyond_other)
    crossing: Floats = one + min(max(share, 0.0), 1.0) * (other - one)
    return crossing
