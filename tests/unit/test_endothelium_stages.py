"""Filters, spacing, what the network sees, sharpness and input checks, each alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_app.endothelium.filters import (
    FloatImage,
    Plane,
    box_mean,
    boxes_mean,
    fast_length,
    halved,
    narrow_gaussian,
    running_mean,
)
from firmware_app.endothelium.measure import measure, spacing_limits_px
from firmware_app.endothelium.network_input import local_contrast, network_input, usable_area
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.sharpness import sharpness
from firmware_app.endothelium.spacing import find_spacing


def honeycomb(rows: int, columns: int, row_distance_px: float) -> FloatImage:
    """Three plane waves at 60 degrees: a lattice whose rows lie that far apart."""
    r, c = np.mgrid[:rows, :columns]
    waves = [np.cos(2 * np.pi * (r * np.sin(a) + c * np.cos(a)) / row_distance_px) for a in np.pi / 3 * np.arange(3)]
    return sum(waves).astype(np.float32)  # type: ignore[union-attr]


@pytest.mark.parametrize("sigma_px", [1.0, 3.5])
def test_gaussian_keeps_the_mean_and_spreads_a_point(sigma_px: float) -> None:
    image = np.zeros((64, 80), np.float32)
    image[32, 40] = 1
    out = Plane(image, 20).gaussian(sigma_px)
    r, c = np.mgrid[:64, :80]
    assert out.sum() == pytest.approx(1, abs=1e-4)
    assert (out * (r - 32) ** 2).sum() == pytest.approx(sigma_px**2, rel=0.01)
    assert (out * (c - 40) ** 2).sum() == pytest.approx(sigma_px**2, rel=0.01)


def test_box_mean_is_the_mean_of_the_box() -> None:
    image = np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32)
    assert box_mean(image, 2)[10, 15] == pytest.approx(image[8:13, 13:18].mean(), abs=1e-5)
    assert box_mean(np.ones((5, 7), np.float32), 50) == pytest.approx(np.ones((5, 7)))


@pytest.mark.parametrize("shape", [(20, 30), (7, 5), (1, 40)])
@pytest.mark.parametrize("radii", [(2,), (3, 3), (25,), (63, 63)])
def test_boxes_are_the_same_by_products_and_by_sums(shape: tuple[int, int], radii: tuple[int, ...]) -> None:
    image = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    slow = image
    for radius in radii:
        slow = running_mean(running_mean(slow, radius, 0), radius, 1)
    assert boxes_mean(image, radii) == pytest.approx(slow, abs=1e-5)


def test_a_narrow_gaussian_spreads_a_point_and_keeps_what_is_even() -> None:
    image = np.zeros((41, 50), np.float32)
    image[20, 25] = 1
    out = narrow_gaussian(image, 1.5)
    r, c = np.mgrid[:41, :50]
    assert out.sum() == pytest.approx(1, abs=1e-5)
    assert (out * (r - 20) ** 2).sum() == pytest.approx(1.5**2, rel=0.05)
    assert (out * (c - 25) ** 2).sum() == pytest.approx(1.5**2, rel=0.05)
    assert narrow_gaussian(np.full((5, 3), 7, np.float32), 2.0) == pytest.approx(np.full((5, 3), 7.0))


def test_halving_takes_means_and_leaves_out_an_odd_line() -> None:
    assert halved(np.arange(15, dtype=np.float32).reshape(3, 5)).tolist() == [[3.0, 5.0]]


@given(st.integers(1, 5000))
def test_fast_length_has_only_small_factors(at_least: int) -> None:
    length = fast_length(at_least)
    assert length >= at_least
    for prime in (2, 3, 5, 7):
        while length % prime == 0:
            length //= prime
    assert length == 1


@pytest.mark.parametrize("period", [12.0, 19.0, 33.0])
def test_spacing_of_a_honeycomb(period: float) -> None:
    image = honeycomb(240, 300, period) + 30 * np.linspace(0, 1, 300, dtype=np.float32)
    usable = usable_area(image, 8)
    found = find_spacing(local_contrast(image, usable, (17, 17)), usable, (8.0, 80.0), 1.75, 3)
    assert found.candidates_px[0] == pytest.approx(period, rel=0.06)


def test_gain_and_offset_drop_out_of_what_the_network_sees() -> None:
    image = np.random.default_rng(2).normal(100, 10, (90, 110)).astype(np.float32)
    image[:, :20] = 0
    (one, here), (other, there) = network_input(image), network_input(image * 7 + 300)
    assert np.array_equal(here, there)
    assert not here[:, :14].any()
    assert here[:, 26:].all()
    assert np.abs(one - other).max() < 1e-3
    assert np.abs(one).max() <= 1
    assert not one[:, ~here].any()


def test_a_blank_picture_gives_the_network_nothing_to_see() -> None:
    planes, usable = network_input(np.full((40, 50), 7, np.float32))
    assert not planes.any()
    assert not usable.any()


def test_the_density_prior_bounds_the_spacing() -> None:
    parameters = Parameters()
    shortest, longest = spacing_limits_px(0.85, (480, 640), parameters)
    assert pytest.approx(shortest) == 0.93 * (1e6 / 5500) ** 0.5 / 0.85
    assert pytest.approx(longest) == 0.93 * (1e6 / 300) ** 0.5 / 0.85
    assert spacing_limits_px(None, (480, 640), parameters) == (8.0, 85.0)


def test_sharpness_falls_with_blur_and_ignores_gain_and_noise() -> None:
    rng = np.random.default_rng(3)
    scene = honeycomb(240, 320, 20.0)
    noise = rng.normal(0, 1, scene.shape).astype(np.float32)
    scores = []
    for sigma_px in (0.8, 2.0, 4.0, 8.0, 12.0):
        picture = 120 + 20 * Plane(scene, 30).gaussian(sigma_px) + 3 * noise
        scores.append(sharpness(np.clip(picture, 0, 255).astype(np.uint8)))
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 5 * scores[-1]
    picture = (120 + 20 * scene).astype(np.uint16)
    assert sharpness(picture * 16) == pytest.approx(sharpness(picture), rel=0.01)
    faint = (1200 + 10 * scene).astype(np.uint16)
    noisy = (1200 + 10 * scene + 40 * noise).astype(np.uint16)
    assert sharpness(noisy) == pytest.approx(sharpness(faint), rel=0.15)


def test_sharpness_of_nothing_is_zero() -> None:
    assert sharpness(np.zeros((480, 640), np.uint8)) == 0
    assert sharpness(np.full((480, 640), 77, np.uint8)) == 0
    assert sharpness(np.ones((1, 1), np.uint8)) == 0


@pytest.mark.parametrize(
    ("pixels", "named"),
    [
        (np.zeros((2, 3, 3), np.uint8), "shape"),
        (np.zeros(5, np.uint8), "shape"),
        (np.zeros((9, 9), np.float32), "float32"),
        (np.zeros((0, 9), np.uint8), "empty"),
        ([[1, 2]], "list"),
    ],
)
def test_what_is_no_image_is_named(pixels: np.ndarray, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        measure(pixels, 8)
    with pytest.raises(ValueError, match=named):
        sharpness(pixels)


@pytest.mark.parametrize(("bits", "scale"), [(0, None), (17, None), (8, 0.0), (8, -1.0), (8, float("nan"))])
def test_impossible_bits_and_scales_are_refused(bits: int, scale: float | None) -> None:
    with pytest.raises(ValueError, match=r"bits_stored|um_per_px"):
        measure(np.zeros((100, 100), np.uint8), bits, scale)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 120),
    columns=st.integers(1, 120),
    seed=st.integers(0, 9),
    kind=st.sampled_from(["constant", "noise", "two values", "ramp", "one bright pixel"]),
    bits=st.sampled_from([8, 12, 16]),
)
def test_any_image_gives_numbers_or_a_refusal(rows: int, columns: int, seed: int, kind: str, bits: int) -> None:
    top = 2**bits - 1
    rng = np.random.default_rng(seed)
    image = {
        "constant": np.full((rows, columns), top),
        "noise": rng.integers(0, top + 1, (rows, columns)),
        "two values": rng.integers(0, 2, (rows, columns)) * top,
        "ramp": np.add.outer(np.arange(rows), np.arange(columns)) % (top + 1),
        "one bright pixel": np.eye(rows, columns) * top,
    }[kind].astype(np.uint8 if bits == 8 else np.uint16)
    result = measure(image, bits, 0.85)
    assert (result.refusal is None) == (result.morphometry is not None) == (result.mosaic is not None)
    if result.refusal is not None:
        assert result.refusal.reason
        assert result.refusal.code.scheme == "DCM"
