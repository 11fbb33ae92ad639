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
    root = bottoms(height)
    is_bottom = np.zeros(height.size, bool)
    is_bottom[root] = True
    number = np.cumsum(is_bottom, dtype=np.int32)
    labels: Labels = number[root].reshape(height.shape)
    return labels


def redrawn(labels: Labels, height: FloatImage) -> Labels:
    """The same regions with their borders along the ridges of another `height`: each pixel gets the label of the place
    to which it runs down there."""
    return labels.ravel()[bottoms(height)].reshape(labels.shape)


def bottoms(height: FloatImage) -> npt.NDArray[np.int64]:
    """By flat index of a pixel: the flat index of the pixel at the bottom to which it runs down."""
    key = ordered(height)
    lowest = key.copy()
    for dr, dc in _NEIGHBOURS:
        here, there = pairs(height.shape, dr, dc)
        np.minimum(lowest[here], key[there], out=lowest[here])
    root: npt.NDArray[np.int64] = (lowest & 0xFFFFFFFF).ravel()
    while True:
        jumped = root[root]
        if np.array_equal(jumped, root):
            return root
        root = jumped


def ordered(height: FloatImage) -> npt.NDArray[np.int64]:
    """Each pixel's height and index in one integer: lower pixels have smaller ones, among equals the smaller index."""
    bits = np.ascontiguousarray(height + np.float32(0), np.float32).view(np.int32).astype(np.int64)
    # the bits of floats rise with them above zero and fall below: turned round there, they are in order throughout
    rising = np.where(bits < 0, -0x80000000 - bits, bits)
    key: npt.NDArray[np.int64] = (rising << 32) + np.arange(height.size, dtype=np.int64).reshape(height.shape)
    return key


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


def graph(labels: Labels, height: FloatImage, seen: FloatImage | None = None) -> Graph:
    """The region adjacency graph over the 8-neighbourhood; label 0 is nobody.

    Passes are those of `height`; the mean along a border is of `seen`, where another picture is to be asked for that.
    """
    count = int(labels.max(initial=0)) + 1
    keys, passes, means = [], [], []
    for dr, dc in _FORWARD:
        here, there = pairs(labels.shape, dr, dc)
        this, other = labels[here], labels[there]
        differ = np.flatnonzero(this != other)
        a, b = this.ravel()[differ].astype(np.int64), other.ravel()[differ].astype(np.int64)
        known = (a > 0) & (b > 0)
        if not known.all():
            a, b, differ = a[known], b[known], differ[known]
        keys.append(np.minimum(a, b) * count + np.maximum(a, b))
        higher = np.maximum(height[here].ravel()[differ], height[there].ravel()[differ])
        passes.append(higher)
        means.append(higher if seen is None else np.maximum(seen[here].ravel()[differ], seen[there].ravel()[differ]))
    key, value, mean = np.concatenate(keys), np.concatenate(passes), np.concatenate(means)
    # a straight border of n pixels is crossed by n straight and 2n diagonal pairs
    return _gathered(key, count, value, mean, np.full(key.size, 1 / 3))


def _gathered(
    key: npt.NDArray[np.int64],
    count: int,
    passes: npt.NDArray[np.float32],
    means: npt.NDArray[np.float32],
    lengths: npt.NDArray[np.floating],
) -> Graph:
    """One border for all entries of the same key, low * count + high."""
    if key.size == 0:
        nothing = np.zeros(0, np.float32)
        return Graph(np.zeros(0, np.int32), np.zeros(0, np.int32), nothing, nothing, nothing)
    order = np.argsort(key)
    key, length = key[order], lengths[order].astype(np.float64)
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    total = np.add.reduceat(length, first)
    unique = key[first]
    return Graph(
        low=(unique // count).astype(np.int32),
        high=(unique % count).astype(np.int32),
        pass_height=np.minimum.reduceat(passes[order], first),
        mean_height=(np.add.reduceat(means[order] * length, first) / total).astype(np.float32),
        length_px=total.astype(np.float32),
    )


def merge_by_depth(
    labels: Labels,
    height: FloatImage,
    depth: float,
    seen: FloatImage | None = None,
    cut: npt.NDArray[np.bool_] | None = None,
) -> tuple[Labels, Graph]:
    """Join, from the lowest pass up, every two basins where the shallower one is less than `depth` deep.

    The regions that are left, 1..n, and their graph (`seen` as in `graph`). Basins that are `cut` (by label) have their
    bottom outside the picture: they count as deep as the deepest.
    """
    count = int(labels.max(initial=0)) + 1
    bottom = np.full(count, np.inf, np.float32)
    np.minimum.at(bottom, labels.ravel(), height.ravel())
    if cut is not None:
        bottom[cut] = bottom.min()
    network = graph(labels, height, seen)
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
    number = renumbered(parent)
    return number[labels], contracted(network, number)


def contracted(network: Graph, number: npt.NDArray[np.int32]) -> Graph:
    """The graph of the regions that are left when each label becomes `number[label]`."""
    a, b = number[network.low].astype(np.int64), number[network.high].astype(np.int64)
    differ = a != b
    a, b = a[differ], b[differ]
    count = int(number.max(initial=0)) + 1
    key = np.minimum(a, b) * count + np.maximum(a, b)
    return _gathered(key, count, network.pass_height[differ], network.mean_height[differ], network.length_px[differ])


def find(parent: list[int], item: int) -> int:
    """The root of `item`, halving the path on the way."""
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = parent[item]
    return item


def renumbered(parent: list[int]) -> npt.NDArray[np.int32]:
    """By label: the number 1..n of its root, without gaps; 0 stays 0."""
    roots = np.array([find(parent, i) for i in range(len(parent))], np.int64)
    used = np.zeros(len(parent), bool)
    used[roots[1:]] = True
    used[0] = False
    number = np.cumsum(used).astype(np.int32) * used.astype(np.int32)
    return number[roots].astype(np.int32)
