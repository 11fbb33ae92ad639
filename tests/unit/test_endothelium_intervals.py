"""How often the intervals hold the truth: cells drawn from known distributions and from whole simulated mosaics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from firmware_app.endothelium.intervals import cv_interval, density_interval, share_interval, student_quantile
from firmware_app.model import Interval
from hw.sim.mosaic import MosaicModel, build_mosaic

DRAWS = 2000
Areas = Callable[[np.random.Generator, int], np.ndarray]


def holds(interval: Interval | None, truth: float) -> bool:
    assert interval is not None
    return interval.low <= truth <= interval.high


def gamma(cv: float) -> Areas:
    return lambda rng, n: 400 * rng.gamma(1 / cv**2, cv**2, n)


def normal(cv: float) -> Areas:
    return lambda rng, n: 400 * (1 + cv * rng.normal(size=n))


@pytest.mark.parametrize("n", [30, 75, 200])
@pytest.mark.parametrize(("areas", "cv"), [(gamma(0.22), 22), (gamma(0.38), 38), (gamma(0.6), 60), (normal(0.25), 25)])
def test_density_and_cv_are_held_nineteen_times_of_twenty(areas: Areas, cv: float, n: int) -> None:
    rng = np.random.default_rng(n)
    samples = [areas(rng, n) for _ in range(DRAWS)]
    density = sum(holds(density_interval(each, 1e6 / each.mean()), 1e6 / 400) for each in samples) / DRAWS
    variation = sum(holds(cv_interval(each), cv) for each in samples) / DRAWS
    assert 0.935 <= density <= 0.965  # three standard errors of 2000 draws are 1.5 %
    assert 0.93 <= variation <= 0.975


def test_a_mixture_of_two_kinds_of_cells_is_not_taken_for_a_gamma() -> None:
    """One cell in ten more than twice as large, as after cell loss: (1 + CV**2) / 2 alone holds it 80 % of the time."""
    rng = np.random.default_rng(5)

    def areas(n: int) -> np.ndarray:
        return np.where(rng.random(n) < 0.1, 2.2, 1.0) * gamma(0.2)(rng, n)

    many = areas(1_000_000)
    truth = 100 * many.std() / many.mean()
    assert sum(holds(cv_interval(areas(200)), truth) for _ in range(DRAWS)) / DRAWS > 0.92


@pytest.mark.parametrize("share", [0.05, 0.35, 0.6, 0.95])
@pytest.mark.parametrize("n", [30, 75, 200])
def test_hexagonality_is_held_nineteen_times_of_twenty(share: float, n: int) -> None:
    """Weighed over every count that can come out, so without any chance in the test."""
    counts = np.arange(n + 1)
    steps = np.log(np.arange(1, n + 1))
    factorial = np.concatenate([[0.0], np.cumsum(steps)])
    weight = np.exp(
        factorial[n] - factorial - factorial[::-1] + counts * np.log(share) + (n - counts) * np.log(1 - share)
    )
    held = sum(w for count, w in zip(counts, weight, strict=True) if holds(share_interval(int(count), n), 100 * share))
    assert 0.92 <= held <= 0.985  # a count is whole, so the coverage swings around 95 %


@pytest.fixture(scope="module")
def cornea() -> MosaicModel:
    return build_mosaic(6, size_um=(816.0, 612.0))


@pytest.mark.parametrize("n", [75, 150])
def test_patches_of_a_simulated_cornea_hold_its_truth(cornea: MosaicModel, n: int) -> None:
    """The n cells around a place: contiguous, as they are counted, and so not independent of each other.

    In this cornea cell size does not drift from place to place. Where it does, a patch cannot know of the others: see
    the module's docstring.
    """
    rng = np.random.default_rng(n)
    size, truth = np.array(cornea.size_um), cornea.truth
    held = np.zeros(3)
    for _ in range(300):
        offset = np.abs(cornea.centroids_um - rng.uniform(0, 1, 2) * size)
        nearest = np.argsort(np.hypot(*np.minimum(offset, size - offset).T))[:n]
        area, hexagons = cornea.areas_um2[nearest], int(np.count_nonzero(cornea.sides[nearest] == 6))
        held += [
            holds(density_interval(area, 1e6 / float(area.mean())), truth.cd_per_mm2),
            holds(cv_interval(area), truth.cv_percent),
            holds(share_interval(hexagons, n), truth.hex_percent),
        ]
    assert (held / 300 >= 0.9).all(), held / 300


@pytest.mark.parametrize(
    ("degrees", "tabulated"), [(5, 2.5706), (11, 2.2010), (29, 2.0452), (74, 1.9925), (100_000, 1.9600)]
)
def test_students_quantile_is_the_tabulated_one(degrees: int, tabulated: float) -> None:
    assert student_quantile(degrees) == pytest.approx(tabulated, rel=2e-3 if degrees < 10 else 2e-4)


def test_wilsons_interval_is_the_published_one() -> None:
    """Newcombe 1998, table I, method 3."""
    for count, of, low, high in (
        (81, 263, 25.53, 36.62),
        (15, 148, 6.24, 16.05),
        (0, 20, 0.0, 16.11),
        (1, 29, 0.61, 17.18),
    ):
        interval = share_interval(count, of)
        assert interval is not None
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.01)


def test_degenerate_samples_have_no_interval_or_an_empty_one() -> None:
    one, same = np.array([400.0]), np.full(40, 400.0)
    assert density_interval(one, 2500.0) is None
    assert cv_interval(one) is None
    assert share_interval(0, 0) is None
    assert density_interval(same, 2500.0) == Interval(2500.0, 2500.0)
    assert cv_interval(same) == Interval(0.0, 0.0)
    with pytest.raises(ValueError, match="at least 1"):
        student_quantile(0)
