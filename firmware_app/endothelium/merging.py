"""Join the pieces of over-divided cells: a region graph, and the odds that two neighbours are one cell.

The watershed is run at a scale that nearly always finds every border and also invents some. An invented border is
weak, long for the pieces it divides (a halved disc shares 1.6 times the root of a half's area, two neighbouring
hexagons 0.62), and its removal leaves a round cell of about the expected size. These clues are weighed by a logistic
function and the most certain pair is joined first; every clue is a sum or a minimum over the border, so a joined
pair is as quickly judged as a fresh one.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from firmware_app.endothelium.filters import FloatImage
from firmware_app.endothelium.watershed import Labels, graph, relabel


@dataclass(frozen=True, slots=True)
class MergeWeights:
    """Log-odds that two touching regions are one cell. Rounded from a logistic fit on cwru (MIT) alone.

    Two further clues of that fit, saddle depth and smoothed height, weighed next to nothing and were left out.
    """

    strength: float = -1.6
    length: float = 2.6
    union_area: float = -4.8
    smaller_area: float = 0.5
    roundness: float = 5.6
    constant: float = -3.3


class RegionGraph:
    """Regions and their shared borders, joined in place. Label 0 is nobody."""

    def __init__(self, labels: Labels, height: FloatImage, expected_area_px: float, weights: MergeWeights) -> None:
        count = int(labels.max(initial=0)) + 1
        network = graph(labels, height)
        self._weights = weights
        self._log_expected = math.log(expected_area_px)
        self.parent = list(range(count))
        self.area: list[float] = np.bincount(labels.ravel(), minlength=count).astype(float).tolist()
        perimeter = np.bincount(network.low, network.length_px, count) + np.bincount(
            network.high, network.length_px, count
        )
        for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            perimeter += np.bincount(edge, minlength=count)
        self.perimeter: list[float] = perimeter.tolist()
        # neighbours[a][b] = (length, length times mean height) of the border between a and b
        self.neighbours: list[dict[int, tuple[float, float]]] = [{} for _ in range(count)]
        for a, b, length, mean in zip(
            network.low.tolist(),
            network.high.tolist(),
            network.length_px.tolist(),
            network.mean_height.tolist(),
            strict=True,
        ):
            self.neighbours[a][b] = self.neighbours[b][a] = (length, length * mean)

    def log_odds(self, a: int, b: int) -> float:
        """How much more likely one cell than two."""
        weights = self._weights
        length, weighted = self.neighbours[a][b]
        union = self.area[a] + self.area[b]
        smaller = min(self.area[a], self.area[b])
        perimeter = max(self.perimeter[a] + self.perimeter[b] - 2 * length, 1.0)
        return (
            weights.strength * weighted / length
            + weights.length * length / math.sqrt(smaller)
            + weights.union_area * (math.log(union) - self._log_expected)
            + weights.smaller_area * (math.log(smaller) - self._log_expected)
            + weights.roundness * 4 * math.pi * union / perimeter**2
            + weights.constant
        )

    def join(self, a: int, b: int) -> None:
        """Make `b` part of `a`."""
        length, _ = self.neighbours[a].pop(b)
        del self.neighbours[b][a]
        self.parent[b] = a
        self.area[a] += self.area[b]
        self.perimeter[a] += self.perimeter[b] - 2 * length
        for other, (more_length, more_weighted) in self.neighbours[b].items():
            del self.neighbours[other][b]
            old_length, old_weighted = self.neighbours[a].get(other, (0.0, 0.0))
            merged = (old_length + more_length, old_weighted + more_weighted)
            self.neighbours[a][other] = self.neighbours[other][a] = merged
        self.neighbours[b] = {}

    def join_likely(self) -> None:
        """Join pairs with positive log-odds, the most certain first, until none is left."""
        version = [0] * len(self.parent)
        waiting = [
            (-odds, a, b, 0, 0)
            for a, borders in enumerate(self.neighbours)
            for b in borders
            if a < b and (odds := self.log_odds(a, b)) > 0
        ]
        heapq.heapify(waiting)
        while waiting:
            _, a, b, version_a, version_b = heapq.heappop(waiting)
            # anything joined since was pushed again with its new odds, so a stale entry is just dropped
            if version[a] != version_a or version[b] != version_b:
                continue
            self.join(a, b)
            version[a] += 1
            version[b] += 1
            for other in self.neighbours[a]:
                odds = self.log_odds(a, other)
                if odds > 0:
                    heapq.heappush(waiting, (-odds, a, other, version[a], version[other]))


def merge_pieces(labels: Labels, height: FloatImage, expected_area_px: float, weights: MergeWeights) -> Labels:
    """Labels 1..n after joining every likely pair."""
    regions = RegionGraph(labels, height, expected_area_px, weights)
    regions.join_likely()
    return relabel(labels, regions.parent)
