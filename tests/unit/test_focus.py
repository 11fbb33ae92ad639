"""The focus search against known curves: a peak anywhere in the range is found, noise is not taken for one."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from firmware_app.services.focus import (
    PASSES,
    FocusPoint,
    best,
    coarse_positions,
    fine_positions,
    has_peak,
    refine,
)


def curve(z_um: float, peak_um: float, width_um: float = 60.0, floor: float = 1.0, height: float = 20.0) -> float:
    return floor + height / (1 + ((z_um - peak_um) / width_um) ** 2)


def search(peak_um: float, centre_um: float = -20_000.0, range_um: float = 700.0) -> float:
    points = [FocusPoint(z, curve(z, peak_um)) for z in coarse_positions(centre_um, range_um)]
    assert has_peak(points)
    for half_range_um, step_um in PASSES:
        points = [FocusPoint(z, curve(z, peak_um)) for z in fine_positions(best(points).z_um, half_range_um, step_um)]
    return refine(points)


@pytest.mark.parametrize("offset_um", [-650.0, -500.0, -123.4, 0.0, 49.9, 50.1, 500.0, 650.0])
def test_finds_the_peak_wherever_it_lies(offset_um: float) -> None:
    assert search(-20_000.0 + offset_um) == pytest.approx(-20_000.0 + offset_um, abs=1.5)


def test_coarse_positions_span_the_range_evenly() -> None:
    positions = coarse_positions(100.0, 250.0)
    assert positions[0] == -150.0
    assert positions[-1] == 350.0
    assert all(math.isclose(b - a, 100.0) for a, b in itertools.pairwise(positions))


def test_noise_without_an_eye_has_no_peak() -> None:
    chance = random.Random(4)
    points = [FocusPoint(float(z), 1.0 + 0.1 * chance.random()) for z in range(15)]
    assert not has_peak(points)
    assert not has_peak([FocusPoint(float(z), 0.0) for z in range(15)])


def test_a_peak_at_the_end_of_the_range_is_not_extrapolated() -> None:
    points = [FocusPoint(z, z) for z in (0.0, 10.0, 20.0)]
    assert refine(points) == 20.0


def test_the_parabola_never_leaves_the_neighbours() -> None:
    points = [FocusPoint(0.0, 1.0), FocusPoint(10.0, 1.0000001), FocusPoint(20.0, 1.0000001)]
    assert 0.0 <= refine(points) <= 20.0
    assert refine([FocusPoint(0.0, 2.0), FocusPoint(10.0, 2.0), FocusPoint(20.0, 2.0)]) in (0.0, 10.0, 20.0)
