"""Where every capture lies, from what the pairs say: least squares over all pairs that agree with each other.

One wrong pair would bend the whole picture, and in a loop of pairs nobody can see from the residuals alone which one it
is. So the captures are first hung on each other along the surest pairs (a maximum spanning tree), once with all pairs
and once without each single one; the tree with which most pairs agree decides which ones are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.registration import Shift

Pair = tuple[int, int]
Places = npt.NDArray[np.float64]

# Pairs that disagree by more than this are not both right: eyes turn and pictures are a little distorted, and what
# cells can bear is a fraction of their diameter of 20 px and more.
TOLERANCE_PX = 5.0


@dataclass(frozen=True, slots=True)
class Placement:
    """`places` maps a capture to its upper left pixel (row, column) in px, the lowest row and column of all being 0.

    Only the largest group of captures that hang together is placed. `rejected` are pairs within it that contradict
    the others; `error_px` is the root mean square of what the pairs used disagree by.
    """

    places: Mapping[int, tuple[float, float]]
    rejected: tuple[Pair, ...]
    error_px: float


def place(count: int, shifts: Mapping[Pair, Shift]) -> Placement:
    """The captures 0..count-1 placed by the shifts between pairs (first, second): second in the frame of first."""
    group = largest_group(count, list(shifts))
    inside = {pair: shift for pair, shift in shifts.items() if pair[0] in group}
    agreeing = consensus(group, inside)
    solved = least_squares(group, {pair: inside[pair] for pair in agreeing})
    solved -= solved.min(axis=0)
    index = {capture: number for number, capture in enumerate(group)}
    residuals = [
        np.subtract(solved[index[b]] - solved[index[a]], (inside[a, b].rows_px, inside[a, b].columns_px))
        for a, b in agreeing
    ]
    error = float(np.sqrt(np.mean(np.sum(np.square(residuals), axis=1)))) if residuals else 0.0
    places = {capture: (float(solved[number, 0]), float(solved[number, 1])) for capture, number in index.items()}
    return Placement(places, tuple(sorted(set(inside) - set(agreeing))), error)


def largest_group(count: int, pairs: list[Pair]) -> list[int]:
    """The captures that hang together over pairs; of equally large groups the one with the first capture."""
    group_of = list(range(count))
    for a, b in pairs:
        old, new = max(group_of[a], group_of[b]), min(group_of[a], group_of[b])
        group_of = [new if each == old else each for each in group_of]
    largest = max(sorted(set(group_of)), key=group_of.count)
    return [capture for capture in range(count) if group_of[capture] == largest]


def consensus(group: list[int], shifts: Mapping[Pair, Shift]) -> list[Pair]:
    """The pairs that agree with one another, as many as possible and then the surest; they join the whole group."""
    best: list[Pair] = []
    best_weight = (0, 0.0)
    for left_out in (None, *sorted(shifts)):
        considered = {pair: shift for pair, shift in shifts.items() if pair != left_out}
        tree = spanning_tree(group, considered)
        if tree is None:
            continue
        agreeing = [pair for pair in sorted(shifts) if off_by(tree, pair, shifts[pair]) <= TOLERANCE_PX]
        weight = (len(agreeing), sum(shifts[pair].sigmas for pair in agreeing))
        if weight > best_weight:
            best, best_weight = agreeing, weight
    return best


def spanning_tree(group: list[int], shifts: Mapping[Pair, Shift]) -> dict[int, tuple[float, float]] | None:
    """The place of each capture along the surest pairs that join them all (Prim); None if they do not."""
    places = {group[0]: (0.0, 0.0)}
    while len(places) < len(group):
        edges = [pair for pair in sorted(shifts) if (pair[0] in places) != (pair[1] in places)]
        if not edges:
            return None
        a, b = max(edges, key=lambda pair: shifts[pair].sigmas)
        shift = shifts[a, b]
        if a in places:
            places[b] = (places[a][0] + shift.rows_px, places[a][1] + shift.columns_px)
        else:
            places[a] = (places[b][0] - shift.rows_px, places[b][1] - shift.columns_px)
    return places


def off_by(places: Mapping[int, tuple[float, float]], pair: Pair, shift: Shift) -> float:
    """By how many px the pair's shift differs from the places."""
    (row_a, column_a), (row_b, column_b) = places[pair[0]], places[pair[1]]
    return float(np.hypot(row_b - row_a - shift.rows_px, column_b - column_a - shift.columns_px))


def least_squares(group: list[int], shifts: Mapping[Pair, Shift]) -> Places:
    """(captures, 2) rows and columns; a pair counts by its sigmas, the first capture lies at the origin."""
    index = {capture: number for number, capture in enumerate(group)}
    pairs = sorted(shifts)
    equations = np.zeros((len(pairs) + 1, len(group)))
    wanted = np.zeros((len(pairs) + 1, 2))
    for number, (a, b) in enumerate(pairs):
        weight = shifts[a, b].sigmas
        equations[number, index[a]], equations[number, index[b]] = -weight, weight
        wanted[number] = weight * shifts[a, b].rows_px, weight * shifts[a, b].columns_px
    equations[-1, 0] = 1.0
    return np.asarray(np.linalg.lstsq(equations, wanted, rcond=None)[0], np.float64)
