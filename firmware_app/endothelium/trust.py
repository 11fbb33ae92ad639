"""Which cells can be believed: those in a place where the borders stand out and the cells are round.

A single cell says little, its surroundings say much: half of a cell's trust is its own, half its neighbours'.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.division import Division, per_region
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.watershed import Graph

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def trusted_cells(division: Division, trust: FloatArray, parameters: Parameters) -> BoolArray:
    """By label: True for whole cells of plausible size in a trusted patch of at least a few cells."""
    expected = (division.spacing_px / parameters.spacing_to_root_area) ** 2
    plausible = (division.area_px > parameters.area_min_rel * expected) & (
        division.area_px < parameters.area_max_rel * expected
    )
    trusted = division.whole & plausible & (trust > parameters.trust_min)
    patch = patches(division.network, trusted)
    return trusted & (np.bincount(patch[trusted], minlength=trusted.size)[patch] >= parameters.patch_cells_min)


def cell_trust(division: Division, parameters: Parameters) -> FloatArray:
    """By label: border clarity, corrected for roundness, averaged with the neighbours in proportion to the border."""
    own = division.clarity + parameters.roundness_weight * (division.roundness - parameters.roundness_typical)
    network = division.network
    length = np.maximum(per_region(network, network.length_px, own.size), 1e-9)
    around = np.bincount(network.low, network.length_px * own[network.high], own.size) + np.bincount(
        network.high, network.length_px * own[network.low], own.size
    )
    trust: FloatArray = 0.5 * own + 0.5 * around / length
    return trust


def patches(network: Graph, members: BoolArray) -> npt.NDArray[np.int64]:
    """By label: the smallest label that can be reached over borders between members."""
    inside = members[network.low] & members[network.high]
    low, high = network.low[inside], network.high[inside]
    reached = np.arange(members.size)
    while True:
        next_reached = reached.copy()
        np.minimum.at(next_reached, low, reached[high])
        np.minimum.at(next_reached, high, reached[low])
        next_reached = next_reached[next_reached]
        if np.array_equal(next_reached, reached):
            return reached
        reached = next_reached
