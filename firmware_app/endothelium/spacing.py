"""The distance between rows of cells, from the radial spectrum of the normalised image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.filters import BoolImage, FloatImage, fast_length

_BINS_PER_OCTAVE = 14
_SIDE_MIN_PX = 320  # zeros around a smaller picture: the rings of long periods then still hold points


@dataclass(frozen=True, slots=True)
class Spacing:
    """`candidates_px` best first; `prominence` is the best peak's height over the spectrum's trend (log units)."""

    candidates_px: tuple[float, ...]
    prominence: float


def radial_spectrum(
    contrast: FloatImage, shortest_px: float, longest_px: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Periods (px, falling) and the mean power on each ring, rings evenly spaced in log frequency."""
    taper = np.sqrt(np.outer(*(np.hanning(size + 2)[1:-1] for size in contrast.shape))).astype(np.float32)
    size = fast_length(max(_SIDE_MIN_PX, *contrast.shape))
    transform = np.fft.rfft2((contrast - contrast.mean()) * taper, s=(size, size))
    power = transform.real**2 + transform.imag**2
    rings = rings_of(size, shortest_px, longest_px)
    total = np.bincount(rings.number, (rings.weight * power).ravel(), minlength=rings.count.size)
    keep = rings.count[1:-1] > 0
    return rings.periods_px[keep], total[1:-1][keep] / rings.count[1:-1][keep]


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """The ring `number` of each point of the half plane (0 and last: none), its `weight`, and the ring's `count`."""

    number: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]
    count: npt.NDArray[np.float64]
    periods_px: npt.NDArray[np.float64]


@lru_cache(maxsize=8)
def rings_of(size: int, shortest_px: float, longest_px: float) -> Rings:
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    octaves = np.log2(longest_px / shortest_px)
    edges = np.geomspace(1 / longest_px, 1 / shortest_px, int(octaves * _BINS_PER_OCTAVE) + 1)
    number = np.digitize(frequency.ravel(), edges)
    # the half plane leaves out the mirror images of all columns but the first: without this a turned image differs
    weight = np.where(np.arange(frequency.shape[1]) == 0, 1.0, 2.0) * np.ones(frequency.shape)
    count = np.bincount(number, weight.ravel(), minlength=edges.size + 1).astype(np.float64)
    return Rings(number, weight, count, 1 / np.sqrt(edges[1:] * edges[:-1]))


def find_spacing(
    contrast: FloatImage, usable: BoolImage, limits_px: tuple[float, float], tilt: float, candidates: int
) -> Spacing:
    """The peaks of power times frequency**tilt between the two periods, strongest first."""
    shortest_px, longest_px = limits_px
    if not usable.any():
        return Spacing((), 0.0)
    # one octave of margin on both sides so that a peak at a limit is still seen as a peak
    periods, power = radial_spectrum(contrast, shortest_px / 1.5, longest_px * 1.5)
    if power.size < 5 or float(power.max()) <= 0:
        return Spacing((), 0.0)
    score = np.log(power + 1e-12 * power.max()) - tilt * np.log(periods)
    kernel = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9
    score = np.convolve(np.pad(score, 2, mode="edge"), kernel, mode="valid")
    inside = (periods >= shortest_px) & (periods <= longest_px)
    rising = np.r_[True, score[1:] > score[:-1]]
    falling = np.r_[score[:-1] >= score[1:], True]
    peaks = np.flatnonzero(inside & rising & falling)
    if peaks.size == 0:
        return Spacing((), 0.0)
    peaks = peaks[np.argsort(-score[peaks], kind="stable")][:candidates]
    return Spacing(tuple(float(periods[i]) for i in peaks), float(score[peaks[0]] - np.median(score[inside])))
