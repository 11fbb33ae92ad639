"""The scale from a picture of a target: rendered ones have a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from rendered_target import RenderedTarget

from firmware_app.endothelium.graticule import NoTarget, Pattern, measure_target, pattern_phases, pattern_shift

PATTERNS: tuple[Pattern, ...] = ("lines", "grid", "dots")
# What is promised is below a percent. What was seen over all cases below is 0.02 %, so that 0.05 is a regression.
ERROR_MAX_PERCENT = 0.05


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    ("pitch_um", "turn_deg"), [(10.0, 0.0), (10.0, 44.0), (25.0, -3.0), (25.0, 12.5), (17.3, 30.0)]
)
def test_turned_noisy_unevenly_lit_targets(pattern: Pattern, pitch_um: float, turn_deg: float) -> None:
    target = RenderedTarget(pattern, pitch_um, turn_deg=turn_deg, noise=10, dirt=6)
    scale = measure_target(target.picture(seed=1), pitch_um, pattern)
    error_percent = 100 * abs(scale.um_per_px / target.um_per_px - 1)
    assert error_percent < ERROR_MAX_PERCENT
    assert error_percent < scale.uncertainty_percent < 0.2, "what is stated covers the error and is of use"
    assert scale.rotation_deg == pytest.approx(turn_deg, abs=0.05)


@pytest.mark.parametrize("pattern", ["grid", "dots"])
@pytest.mark.parametrize("turn_deg", [0.0, 8.0, 45.0])
def test_pixels_that_are_not_square(pattern: Pattern, turn_deg: float) -> None:
    target = RenderedTarget(pattern, 12.0, anisotropy=0.01, turn_deg=turn_deg)
    scale = measure_target(target.picture(), 12.0, pattern)
    assert scale.anisotropy_percent == pytest.approx(1.0, abs=0.03)
    assert scale.um_per_px == pytest.approx(0.85 * 1.01**0.5, rel=5e-4), "its square is the area of a pixel"


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("nominal", [0.0, 0.6, 1.1])
def test_thin_lines_whose_harmonics_are_nearly_as_strong(pattern: Pattern, nominal: float) -> None:
    target = RenderedTarget(pattern, 25.0, dark_share=0.1, turn_deg=5.0, noise=3)
    scale = measure_target(target.picture(), 25.0, pattern, nominal)
    assert scale.um_per_px == pytest.approx(0.85, rel=1e-3)


def test_sixteen_bits_and_odd_sizes() -> None:
    picture = RenderedTarget(shape=(301, 423), pitch_um=12.0).picture().astype(np.uint16) * 16
    assert measure_target(picture, 12.0, "grid").um_per_px == pytest.approx(0.85, rel=5e-4)


def test_the_nominal_scale_chooses_the_peak_and_does_not_enter() -> None:
    picture = RenderedTarget().picture()
    found = {measure_target(picture, 25.0, "grid", nominal).um_per_px for nominal in (0.0, 0.7, 0.85, 1.2)}
    assert len(found) == 1


NO_TARGETS = {
    "noise": (np.random.default_rng(0).integers(0, 256, (480, 640)).astype(np.uint8), "grid", 0.0),
    "black": (np.zeros((480, 640), np.uint8), "grid", 0.0),
    "lines-for-a-grid": (RenderedTarget("lines").picture(), "grid", 0.0),
    "too-coarse": (RenderedTarget(pitch_um=80.0).picture(), "grid", 0.0),
    "tilted": (RenderedTarget(tilt_deg=15.0).picture(), "grid", 0.0),
    "tilted-and-turned": (RenderedTarget(turn_deg=45.0, tilt_deg=15.0).picture(), "grid", 0.0),
    "another-pitch": (RenderedTarget(pitch_um=10.0).picture(), "grid", 1.2),
    "tiny": (RenderedTarget(shape=(20, 20)).picture(), "grid", 0.0),
}


@pytest.mark.parametrize("name", NO_TARGETS)
def test_what_is_no_target_gives_no_scale(name: str) -> None:
    picture, pattern, nominal = NO_TARGETS[name]
    with pytest.raises(NoTarget):
        measure_target(picture, 25.0, pattern, nominal)  # type: ignore[arg-type]


@pytest.mark.parametrize("pattern", ["lines", "grid"])
@pytest.mark.parametrize("shape", [(64, 1000), (64, 3000), (1000, 64)])
def test_a_strip_in_which_one_row_of_patches_fits_tells_no_slope_across_it(
    shape: tuple[int, int], pattern: Pattern
) -> None:
    """And no uncertainty: the fit was singular, or nearly, which gave a scale with nan or 100,000 percent."""
    waves = [np.cos(2 * np.pi * np.arange(side) / 8.0) for side in shape]
    picture = (100 + 50 * waves[0][:, None] + 50 * waves[1][None, :]).astype(np.uint8)
    with pytest.raises(NoTarget, match="take a finer target"):
        measure_target(picture, 10.0, pattern)


@pytest.mark.parametrize("seed", range(5))
def test_an_endothelium_is_no_target(seed: int) -> None:
    """Cells are nearly periodic, and a hexagon is no square."""
    rng = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.arange(0, 480, 18.0), np.arange(0, 640, 20.0), indexing="ij")
    columns[::2] += 10
    picture = np.full((480, 640), 90.0)
    y, x = np.mgrid[0:480, 0:640]
    for row, column in zip(
        (rows + rng.normal(0, 4, rows.shape)).ravel(), (columns + rng.normal(0, 4, rows.shape)).ravel(), strict=True
    ):
        near = (slice(max(int(row) - 9, 0), int(row) + 9), slice(max(int(column) - 9, 0), int(column) + 9))
        picture[near] += 60 * np.exp(-((y[near] - row) ** 2 + (x[near] - column) ** 2) / 40)
    with pytest.raises(NoTarget):
        measure_target(np.clip(picture + rng.normal(0, 5, picture.shape), 0, 255).astype(np.uint8), 25.0, "grid")


@pytest.mark.parametrize("pitch_um", [0.0, -1.0, float("inf"), float("nan")])
def test_a_pitch_that_is_none(pitch_um: float) -> None:
    with pytest.raises(ValueError, match="pitch_um"):
        measure_target(RenderedTarget().picture(), pitch_um, "grid")


@pytest.mark.parametrize("turn_deg", [0.0, 10.0])
@pytest.mark.parametrize("moved_um", [(0.3, 0.0), (4.0, -7.0), (31.0, 12.0), (-60.0, 55.5)])
def test_how_far_the_pattern_went(turn_deg: float, moved_um: tuple[float, float]) -> None:
    target = RenderedTarget(turn_deg=turn_deg)
    before, after = target.picture(seed=1), target.picture(moved_um, seed=2)
    scale = measure_target(before, 25.0, "grid")
    phases = [pattern_phases(each, scale.frequencies) for each in (before, after)]
    turn = np.deg2rad(turn_deg)
    # The camera moves over the target, so that the picture of it goes the other way.
    true = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ (-np.array(moved_um) / 0.85)
    for guess in (true, true + 5.0, true - 7.0):
        shift = pattern_shift(phases[0], phases[1], scale.frequencies, guess)
        assert shift == pytest.approx(true, abs=0.03)
