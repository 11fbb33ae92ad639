"""95 % confidence intervals of CD, CV and HEX: what chance in the choice of cells leaves open.

They assume that the counted cells are a sample of the cornea's, taken one by one. So they speak of the cornea around
the counted cells: where cell size drifts from place to place, one patch cannot know of the others (on simulated corneas
of 2400 cells/mm2 whose size varies over 60 um, the CD interval of 75 cells holds the whole cornea's CD in 40 to 80 % of
the cases, without such a drift in 96 %), and no interval knows of a border drawn wrongly.
`tests/unit/test_endothelium_intervals.py` measures how often they hold the truth.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from firmware_app.model import Interval

_Z = 1.959963984540054  # the normal distribution's 97.5 % quantile
CELLS_MIN = 2  # one cell has no spread


def student_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t with at least 1 degree of freedom.

    Abramowitz & Stegun 26.7.5: 0.1 % too low at 11 degrees, right to five digits at 29. ValueError below 1.
    """
    if degrees < 1:
        raise ValueError(f"Student's t needs at least 1 degree of freedom, not {degrees}")
    z, v = _Z, float(degrees)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def density_interval(area: npt.NDArray[np.float64], density: float) -> Interval | None:
    """Of a density that is the reciprocal of the mean of `area` (n,) > 0, in the density's unit; None below 2 cells.

    The standard error of the mean area, carried to the logarithm of the density by the delta method (Oehlert 1992,
    Am. Stat. 46:27): se(log CD) = SD / (mean sqrt(n)). On the logarithm because a reciprocal of something positive
    is skewed there less than anywhere else, and never becomes negative.
    """
    if area.size < CELLS_MIN:
        return None
    error = float(area.std(ddof=1) / area.mean()) / math.sqrt(area.size)
    return _around(density, student_quantile(area.size - 1) * error)


def cv_interval(area: npt.NDArray[np.float64]) -> Interval | None:
    """Of the coefficient of variation of `area` (n,) > 0, in percent; None below 2 cells.

    Delta method on log CV = log SD - log mean: n var = (k - 1) / 4 + CV**2 - g CV with the areas' skewness g and
    kurtosis k (Kendall & Stuart, vol. 1, 10.6). Cell areas are about gamma distributed, for which this is
    (1 + CV**2) / 2. Moments of a small sample are nearly always too small (coverage 90 % at 30 cells), the gamma's are
    too small for a mixture of two kinds of cells (80 %): the larger of the two is taken.
    """
    if area.size < CELLS_MIN:
        return None
    deviation = area - area.mean()
    spread = float(area.std())
    if spread == 0.0:
        return Interval(0.0, 0.0)
    ratio = spread / float(area.mean())
    skewness = float((deviation**3).mean()) / spread**3
    kurtosis = float((deviation**4).mean()) / spread**4
    sampled = (kurtosis - 1) / 4 + ratio**2 - skewness * ratio
    error = math.sqrt(max(sampled, (1 + ratio**2) / 2) / area.size)
    unbiased = ratio * math.sqrt(area.size / (area.size - 1))
    return _around(100 * unbiased, student_quantile(area.size - 1) * error)


def share_interval(count: int, of: int) -> Interval | None:
    """Of a share, `count` of `of`, in percent: Wilson's score interval; None of nothing.

    Wilson 1927, J. Am. Stat. Assoc. 22:209; it holds what it promises at 30 cells and at shares near 0 or 1, where the
    usual p +- 1.96 se does not (Newcombe 1998, Stat. Med. 17:857).
    """
    if of < 1:
        return None
    share, weight = count / of, _Z**2 / of
    middle = (share + weight / 2) / (1 + weight)
    half = _Z * math.sqrt(share * (1 - share) / of + weight / (4 * of)) / (1 + weight)
    return Interval(100 * max(middle - half, 0.0), 100 * min(middle + half, 1.0))


def _around(value: float, log_half_width: float) -> Interval:
    return Interval(value * math.exp(-log_half_width), value * math.exp(log_half_width))
