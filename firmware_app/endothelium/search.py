"""At which scale the picture shows cells: the spectrum names candidates, the network says which of them is right.

The network reads cells of two thirds to one and a half times the size it was asked to look for, so a candidate need not
be exact: the cells found tell the true spacing, and a second look at that scale settles it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from firmware_app.endothelium.cells import BoolArray, believed_cells, worth_of
from firmware_app.endothelium.division import Division, divide
from firmware_app.endothelium.filters import FloatImage
from firmware_app.endothelium.network import Weights
from firmware_app.endothelium.parameters import Parameters

SETTLE_CELLS_MIN = 5


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    division: Division
    believed: BoolArray
    worth: float


def best_division(
    image: FloatImage,
    candidates_px: tuple[float, ...],
    limits_px: tuple[float, float],
    weights: Weights,
    parameters: Parameters,
) -> Found:
    """The division that is worth most of those that the candidates lead to. At least one candidate."""
    return best_look(
        lambda spacing_px: look_at(image, spacing_px, weights, parameters), candidates_px, limits_px, parameters
    )


def best_look(
    look: Callable[[float], Found],
    candidates_px: tuple[float, ...],
    limits_px: tuple[float, float],
    parameters: Parameters,
) -> Found:
    """What `look` finds at a spacing, where the search from the candidates leads it and it is worth most."""
    best: Found | None = None
    looked_at: list[float] = []
    for candidate_px in candidates_px:
        spacing_px: float | None = candidate_px
        apart = parameters.network_reach
        while spacing_px is not None and len(looked_at) < parameters.looks_max:
            if any(ratio(spacing_px, other_px) < apart for other_px in looked_at):
                break
            looked_at.append(spacing_px)
            found = look(spacing_px)
            if best is None or found.worth > best.worth:
                best = found
            told_px = spacing_of(found, limits_px, parameters)
            if told_px is not None and ratio(told_px, spacing_px) < parameters.spacing_tolerance:
                break
            # What another look saw at about this scale, from a worse guess, does not stand in the way of a good one.
            spacing_px, apart = told_px, parameters.spacing_same
        if best is not None and best.worth >= parameters.convincing:
            break
    assert best is not None
    return best


def ratio(one_px: float, other_px: float) -> float:
    """Of two spacings, at least 1."""
    return max(one_px / other_px, other_px / one_px)


def look_at(image: FloatImage, spacing_px: float, weights: Weights, parameters: Parameters) -> Found:
    division = divide(image, spacing_px, weights, parameters)
    believed = believed_cells(division, parameters)
    return Found(division, believed, worth_of(division, believed))


def spacing_of(found: Found, limits_px: tuple[float, float], parameters: Parameters) -> float | None:
    """The spacing of the cells that were found, within the limits; None where there are too few to tell.

    Each pixel has a say for the size of its cell, so that splinters of cells seen at the wrong scale, many but small,
    have little; 1.1 is by how much this mean lies above the plain one at a CV of 30 %.
    """
    area = found.division.area_px[found.believed]
    if area.size < SETTLE_CELLS_MIN:
        return None
    typical = float(np.sum(area**2) / np.sum(area)) / 1.1
    return float(np.clip(parameters.spacing_to_root_area * typical**0.5, *limits_px))
