"""From a label image to the cells that count, and their neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.filters import BoolImage
from firmware_app.endothelium.watershed import Graph, Labels, graph
from firmware_app.model import Mosaic


def untouched_by_edge(labels: Labels) -> npt.NDArray[np.bool_]:
    """By label (index 0 unused): True where the region has no pixel at the image's edge."""
    untouched = np.ones(int(labels.max(initial=0)) + 1, bool)
    untouched[0] = False
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        untouched[edge] = False
    return untouched


def whole_regions(
    labels: Labels, usable: BoolImage, closed_at_edge: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.bool_]:
    """By label (index 0 unused): True where the region is cut neither by the image's edge nor by unusable pixels.

    A region at the edge is cut unless it is `closed_at_edge` (by label): its border can be seen to run along the edge.
    """
    whole = untouched_by_edge(labels) if closed_at_edge is None else closed_at_edge.copy()
    whole[0] = False
    whole[labels[~usable]] = False
    return whole


def build_mosaic(
    labels: Labels,
    keep: npt.NDArray[np.bool_],
    side_length_min_px: float,
    *,
    network: Graph | None = None,
    region: BoolImage | None = None,
    guttae: BoolImage | None = None,
) -> Mosaic:
    """The kept regions, renumbered 1..n, with area, centroid and number of sides (0: ring not complete).

    `labels` (rows, columns) int32; `keep` by label, index 0 False; a label without a pixel is no region. Where `labels`
    leave nothing out, their graph, if there is one, gives the sides at once. At the image's edge no ring is complete.
    """
    keep = keep & (np.bincount(labels.ravel(), minlength=keep.size) > 0)
    number = np.cumsum(keep).astype(np.int32) * keep.astype(np.int32)
    cells: Labels = number[labels].astype(np.int32)
    n = int(number.max(initial=0))
    flat = cells.ravel()
    area = np.bincount(flat, minlength=n + 1)[1:].astype(np.float64)
    rows = np.bincount(flat, np.repeat(np.arange(cells.shape[0]), cells.shape[1]), minlength=n + 1)[1:]
    columns = np.bincount(flat, np.tile(np.arange(cells.shape[1]), cells.shape[0]), minlength=n + 1)[1:]
    centroid = np.stack([rows, columns], axis=1) / area[:, None]
    if network is None:
        sides = count_sides(cells, n, side_length_min_px)
    else:
        sides = sides_of(network, number, side_length_min_px)
        sides[~untouched_by_edge(cells)[1:]] = 0
    return Mosaic(cells, area, sides, centroid, region, guttae)


def sides_of(network: Graph, number: npt.NDArray[np.int32], side_length_min_px: float) -> npt.NDArray[np.int32]:
    """As `count_sides`, from the graph of a division of the whole image; `number` by label, 0 for what is not kept."""
    long_enough = network.length_px >= side_length_min_px
    low, high = number[network.low[long_enough]], number[network.high[long_enough]]
    count = int(number.max(initial=0)) + 1
    sides = np.bincount(low, minlength=count) + np.bincount(high, minlength=count)
    sides[low[high == 0]] = 0
    sides[high[low == 0]] = 0
    return sides[1:].astype(np.int32)


def count_sides(cells: Labels, n: int, side_length_min_px: float) -> npt.NDArray[np.int32]:
    """Neighbours with at least that much shared border, for cells that are surrounded by cells; 0 for the others."""
    network = graph(cells, np.zeros(cells.shape, np.float32))
    long_enough = network.length_px >= side_length_min_px
    sides = np.bincount(network.low[long_enough], minlength=n + 1) + np.bincount(
        network.high[long_enough], minlength=n + 1
    )
    open_ring = np.zeros(n + 1, bool)
    padded = np.pad(cells, 1)
    middle = padded[1:-1, 1:-1]
    for other in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        open_ring[middle[other == 0]] = True
    sides[open_ring] = 0
    return sides[1:].astype(np.int32)
