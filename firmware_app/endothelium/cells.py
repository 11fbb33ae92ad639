"""Which regions of a division are cells to be counted, and what that division is worth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.connected import lowest_reached
from firmware_app.endothelium.division import Division
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.watershed import Graph

BoolArray = npt.NDArray[np.bool_]


def believed_cells(division: Division, parameters: Parameters) -> BoolArray:
    """By label: True for whole cells of plausible size, seen clearly, in a patch of at least a few of them."""
    free = division.whole & (division.covered < parameters.covered_max)
    if not free.any():
        return free
    usual = float(np.percentile(division.trust[free], 75))
    seen = free & (division.trust > max(parameters.trust_min, parameters.trust_rel * usual))
    seen &= division.outline_seen >= parameters.outline_seen_min
    if not seen.any():
        return seen
    typical = float(np.median(division.area_px[seen]))
    seen &= division.area_px > parameters.area_min_rel * typical
    seen &= division.area_px < parameters.area_max_rel * typical
    patch = patches(division.network, seen)
    return seen & (np.bincount(patch[seen], minlength=seen.size)[patch] >= parameters.patch_cells_min)


def worth_of(division: Division, believed: BoolArray) -> float:
    """The share of the picture in believed cells, each as far as it is trusted and its borders are seen."""
    sure = division.trust[believed] * division.evidence[believed]
    return float(np.sum(division.area_px[believed] * sure)) / division.labels.size


def patches(network: Graph, members: BoolArray) -> npt.NDArray[np.int64]:
    """By label: the smallest label that can be reached over borders between members."""
    inside = members[network.low] & members[network.high]
    return lowest_reached(members.size, network.low[inside], network.high[inside])
