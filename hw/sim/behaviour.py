"""What a patient does while being photographed, by seed and time: movement, blinks, the tear film."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

FIXATION_S, SACCADE_S = 1.6, 0.025
FIXATION_SCATTER_UM = 12.0

# A lid closes in some 80 ms, rests and opens in some 150 ms. Its edge crosses the field, 0.4 of its 10 mm, in 4 ms.
CLOSING_S, CLOSED_S, OPENING_S = 0.08, 0.05, 0.15
FILM_SETTLES_S = 0.35


@dataclass(frozen=True, slots=True)
class Condition:
    """How a patient behaves, and what the eyes are like beside what their seed says.

    `blinks_per_min` on average; `restlessness` scales saccades; `haze` 0..1 is the share of the contrast that a bad
    tear film takes at its worst, right after a blink; `guttae_percent` of the endothelium's area is covered by guttae.
    """

    blinks_per_min: float = 0.0
    restlessness: float = 1.0
    haze: float = 0.0
    guttae_percent: float = 0.0

    def __post_init__(self) -> None:
        bounds = {"blinks_per_min": 60.0, "restlessness": 20.0, "haze": 1.0, "guttae_percent": 60.0}
        for name, most in bounds.items():
            if not 0.0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} {getattr(self, name)}: 0 to {most:g} is possible")


CALM = Condition()
RESTLESS = Condition(blinks_per_min=17.0, restlessness=2.5, haze=0.25)


class Motion:
    """Where an eye is, relative to its mean: slow drift, pulse and breathing, tremor, and a saccade now and then."""

    def __init__(self, seed: int, restlessness: float = 1.0) -> None:
        self._seed = seed
        self._restlessness = restlessness
        rng = np.random.default_rng([seed, 1])
        # rows: x, y, z; columns: three slow drifts (breathing and pulse in z), two of tremor
        low, high = np.array([0.06, 0.2, 0.9, 60, 75]), np.array([0.15, 0.4, 1.3, 75, 90])
        self._hz = rng.uniform(low, high, (3, 5))
        self._phase = rng.uniform(0, 2 * np.pi, (3, 5))
        self._um = np.array([[7.0, 4.0, 1.5, 0.25, 0.15], [7.0, 4.0, 1.5, 0.25, 0.15], [2.5, 2.0, 1.5, 0.1, 0.1]])

    def at(self, time_s: float) -> tuple[float, float, float]:
        """um, as (x, y, z)."""
        x, y, z = (self._um * np.sin(2 * np.pi * self._hz * time_s + self._phase)).sum(axis=1)
        slot = int(time_s // FIXATION_S)
        before, after, onset_s = fixations(self._seed, slot)
        share = min(max((time_s - onset_s) / SACCADE_S, 0.0), 1.0)
        share = share * share * (3 - 2 * share)
        (x0, y0), (x1, y1) = before, after
        away_x, away_y = x0 + share * (x1 - x0), y0 + share * (y1 - y0)
        return float(x + self._restlessness * away_x), float(y + self._restlessness * away_y), float(z)


@lru_cache(maxsize=64)
def fixations(seed: int, slot: int) -> tuple[tuple[float, float], tuple[float, float], float]:
    """The gaze before and after the one saccade in a time slot, and when that saccade starts."""
    gazes = []
    for each in (slot, slot + 1):
        x, y = np.random.default_rng([seed, 2, max(each, 0)]).normal(0, FIXATION_SCATTER_UM, 2)
        gazes.append((float(x), float(y)))
    onset = np.random.default_rng([seed, 3, max(slot, 0)]).uniform(0, FIXATION_S - SACCADE_S)
    return gazes[0], gazes[1], slot * FIXATION_S + float(onset)


class Lids:
    """When the lids are closed, and how long ago they last were: one blink in each slot of time, sooner or later."""

    def __init__(self, seed: int, blinks_per_min: float) -> None:
        self._seed = seed
        self._slot_s = 60.0 / blinks_per_min if blinks_per_min else math.inf

    def since_blink_s(self, time_s: float) -> float:
        """Since the last blink began; infinity for an eye that never blinked."""
        if not math.isfinite(self._slot_s):
            return math.inf
        slot = int(time_s // self._slot_s)
        began = [blink_s(self._seed, each) * self._slot_s for each in (slot - 1, slot)]
        return min((time_s - each for each in began if each <= time_s), default=math.inf)

    def openness(self, time_s: float) -> float:
        """The share of the light that passes: 1 with open lids."""
        since_s = self.since_blink_s(time_s)
        if since_s < CLOSING_S:
            return 1.0 - since_s / CLOSING_S
        return min(max((since_s - CLOSING_S - CLOSED_S) / OPENING_S, 0.0), 1.0)

    def film(self, time_s: float) -> float:
        """0..1: how uneven the tear film is, 1 right after a blink."""
        since_s = self.since_blink_s(time_s) - CLOSING_S
        if since_s < 0 or not math.isfinite(since_s):
            return 0.0  # the lid has not wiped yet
        return math.exp(-max(since_s - CLOSED_S, 0.0) / FILM_SETTLES_S)


@lru_cache(maxsize=256)
def blink_s(seed: int, slot: int) -> float:
    """When in the slot's time the blink comes, in slots."""
    longest = CLOSING_S + CLOSED_S + OPENING_S
    return slot + float(np.random.default_rng([seed, 6, max(slot, 0)]).uniform(0, 1 - min(0.5, longest / 60)))
