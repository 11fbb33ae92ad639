"""Watershed by pointer jumping: every pixel points to its lowest neighbour, and pointers are doubled until they rest.

Ties are broken by the pixel's index, which makes the order total, so there are no cycles and no flat zones without
a way down. A plateau may then fall into several basins; they meet at a saddle no higher than their bottoms, and
`merge_by_depth` joins every pair of basins whose saddle is not at least `depth` above the shallower bottom.
No loop runs over pixels: only over the doublings and over the saddles of the basin graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.filters import FloatImage

Labels = npt.NDArray[np.int32]
_NEIGHBOURS = tuple((dr, dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1) if (dr, dc) != (0, 0))
_FORWARD = ((0, 1), (1, -1), (1, 0), (1, 1))


def _slices(shift: int, size: int) -> tuple[slice, slice]:
    return slice(max(0, -shift), size - max(0, shift)), slice(max(0, shift), size - max(0, -shift))


def pairs(shape: tuple[int, ...], dr: int, dc: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The index of every pixel that has a neighbour at (dr, dc), and the index of those neighbours."""
    here_rows, there_rows = _slices(dr, shape[0])
    here_columns, there_columns = _slices(dc, shape[1])
    return (here_rows, here_columns), (there_rows, there_columns)


def basins(height: FloatImage) -> Labels:
    """Label the catchment basin of every pixel, 1..n in the order of their bottoms' indices."""
    index = np.arange(height.size, dtype=np.int32).reshape(height.shape)
    target = index.copy()
    lowest = height.copy()
    for dr, dc in _NEIGHBOURS:
        here, there = pairs(height.shape, dr, dc)
        candidate = height[there]
        # among equals the smaller index wins
        better = (candidate < lowest[here]) | ((candidate == lowest[here]) & (index[there] < target[here]))
        np.copyto(lowest[here], candidate, where=better)
        np.copyto(target[here], index[there], where=better)
    root = target.ravel()
    while True:
        jumped = root[root]
        if np.array_equal(jumped, root):
            break
        root = jumped
    is_bottom = np.zeros(height.size, bool)
    is_bottom[root] = True
    number = np.cumsum(is_bottom, dtype=np.int32)
    return number[root].reshape(height.shape)


@dataclass(frozen=True, slots=True)
class Graph:
    """Who touches whom: pairs of labels (low < high) with the lowest pass, the mean height and length of their border.

    `length_px` counts pixel pairs across the border in the four forward directions, halved: about the Euclidean length.
    """

    low: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]
    pass_height: npt.NDArray[np.float32]
    mean_height: npt.NDArray[np.float32]
    length_px: npt.NDArray[np.float32]


def graph(labels: Labels, height: FloatImage) -> Graph:
    """The region adjacency graph over the 8-neighbourhood; label 0 is nobody."""
    count = int(labels.max(initial=0)) + 1
    keys, values = [], []
    for dr, dc in _FORWARD:
        here, there = pairs(labels.shape, dr, dc)
        a, b = labels[here], labels[there]
        differ = (a != b) & (a > 0) & (b > 0)
        a, b = a[differ].astype(np.int64), b[differ].astype(np.int64)
        keys.append(np.minimum(a, b) * count + np.maximum(a, b))
        values.append(np.maximum(height[here][differ], height[there][differ]))
    key, value = np.concatenate(keys), np.concatenate(values)
    if key.size == 0:
        nothing = np.zeros(0, np.float32)
        return Graph(np.zeros(0, np.int32), np.zeros(0, np.int32), nothing, nothing, nothing)
    order = np.argsort(key)
    key, value = key[order], value[order]
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    number = np.diff(np.r_[first, key.size])
    sums = np.add.reduceat(value.astype(np.float64), first)
    unique = key[first]
    return Graph(
        low=(unique // count).astype(np.int32),
        high=(unique % count).astype(np.int32),
        pass_height=np.minimum.reduceat(value, first),
        mean_height=(sums / number).astype(np.float32),
        # a straight border of n pixels is crossed by n straight and 2n diagonal pairs
        length_px=(number / 3.0).astype(np.float32),
    )


def merge_by_depth(labels: Labels, height: FloatImage, depth: float) -> Labels:
    """Join, from the lowest pass up, every two basins where the shallower one is less than `depth` deep."""
    count = int(labels.max(initial=0)) + 1
    bottom = np.full(count, np.inf, np.float32)
    np.minimum.at(bottom, labels.ravel(), height.ravel())
    network = graph(labels, height)
    parent = list(range(count))
    floor: list[float] = bottom.tolist()
    order = np.argsort(network.pass_height, kind="stable")
    for a, b, level in zip(
        network.low[order].tolist(), network.high[order].tolist(), network.pass_height[order].tolist(), strict=True
    ):
        root_a, root_b = find(parent, a), find(parent, b)
        if root_a != root_b and level - max(floor[root_a], floor[root_b]) <= depth:
            deep, shallow = (root_a, root_b) if floor[root_a] <= floor[root_b] else (root_b, root_a)
            parent[shallow] = deep
    return relabel(labels, parent)


def flood(labels: Labels, height: FloatImage, markers: Labels) -> Labels:
    """Grow the markers over the basins `labels` of `height`, lowest pass first (a minimum spanning forest).

    A basin that holds pixels of several markers goes to the one with the most pixels in it.
    """
    count = int(labels.max(initial=0)) + 1
    owners = int(markers.max(initial=0)) + 1
    marked = markers.ravel() > 0
    key, votes = np.unique(
        labels.ravel()[marked].astype(np.int64) * owners + markers.ravel()[marked], return_counts=True
    )
    owner = np.zeros(count, np.int64)
    order = np.argsort(votes, kind="stable")
    owner[(key[order] // owners)] = key[order] % owners
    network = graph(labels, height)
    parent = list(range(count))
    holds: list[int] = owner.tolist()
    order = np.argsort(network.pass_height, kind="stable")
    for a, b in zip(network.low[order].tolist(), network.high[order].tolist(), strict=True):
        root_a, root_b = find(parent, a), find(parent, b)
        if root_a != root_b and not (holds[root_a] and holds[root_b]):
            parent[root_b] = root_a
            holds[root_a] = holds[root_a] or holds[root_b]
    final = np.array([holds[find(parent, i)] for i in range(count)], np.int32)
    return final[labels]


def find(parent: list[int], item: int) -> int:
    """The root of `item`, halving the path on the way."""
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = parent[item]
    return item


def relabel(labels: Labels, parent: list[int]) -> Labels:
    """Replace each label by its root's, renumbered 1..n without gaps; 0 stays 0."""
    roots = np.array([find(parent, i) for i in range(len(parent))], np.int64)
    used = np.zeros(len(parent), bool)
    used[roots[1:]] = True
    used[0] = False
    number = np.cumsum(used).astype(np.int32) * used.astype(np.int32)
    return number[roots][labels].astype(np.int32)
