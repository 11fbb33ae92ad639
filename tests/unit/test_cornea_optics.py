"""How deep the endothelium seems to lie, on both sides: the simulator's traced ray and the instrument's correction."""

from __future__ import annotations

import math

import pytest

from firmware_app.endothelium.thickness import (
    STUDENT,
    Visit,
    apparent_depths,
    cross_checked,
    thickness_by_stage,
    thickness_from,
    thickness_of,
)
from firmware_app.model import CornealThickness, ThicknessWay
from hw.sim.cornea import HALF_ANGLE_DEG, apparent_depth, gaze_offset, gaze_shift, thickness_behind


def flat(thickness_um: float) -> float:
    """What a flat cornea would seem to be, straight from Snell's law."""
    outside = math.radians(HALF_ANGLE_DEG)
    return thickness_um * math.tan(math.asin(math.sin(outside) / 1.376)) / math.tan(outside)


@pytest.mark.parametrize("thickness_um", [450.0, 540.0, 650.0])
def test_the_instrument_undoes_what_the_eye_does(thickness_um: float) -> None:
    assert thickness_of(apparent_depth(thickness_um), HALF_ANGLE_DEG) == pytest.approx(thickness_um, abs=0.01)
    assert thickness_behind(apparent_depth(thickness_um)) == pytest.approx(thickness_um, abs=1e-6)


def test_curvature_adds_two_to_four_percent_and_vanishes_with_the_radius() -> None:
    assert apparent_depth(540.0, 1e9) == pytest.approx(flat(540.0), abs=1e-2)
    assert 1.02 < apparent_depth(540.0) / flat(540.0) < 1.04
    assert thickness_of(apparent_depth(540.0, 1e9), HALF_ANGLE_DEG, 1e9) == pytest.approx(540.0, abs=1e-2)


def test_the_radius_of_the_cornea_matters_less_than_two_um() -> None:
    for radius_um in (7300.0, 8300.0):
        measured = thickness_of(apparent_depth(540.0, radius_um), HALF_ANGLE_DEG)
        assert 0.1 < abs(measured - 540.0) < 2.0


@pytest.mark.parametrize("apparent_um", [0.0, -3.0, 1600.0, math.nan])
def test_what_is_no_cornea_is_refused(apparent_um: float) -> None:
    with pytest.raises(ValueError, match="no cornea's"):
        thickness_of(apparent_um, HALF_ANGLE_DEG)
    with pytest.raises(ValueError, match="no cornea is"):
        apparent_depth(3000.0)


def test_the_uncertainty_grows_with_the_spread_and_never_below_the_adjustment() -> None:
    shift = 2 * math.tan(math.radians(HALF_ANGLE_DEG))
    same = thickness_from([365.0] * 4, HALF_ANGLE_DEG, shift)
    spread = thickness_from([361.0, 369.0, 363.0, 367.0], HALF_ANGLE_DEG, shift)
    single = thickness_from([365.0], HALF_ANGLE_DEG, shift)
    assert same.thickness_um == spread.thickness_um == single.thickness_um
    assert 1.0 < same.uncertainty_um < single.uncertainty_um < spread.uncertainty_um
    assert (same.readings, single.readings) == (4, 1)
    assert set(range(2, 9)) == set(STUDENT)
    with pytest.raises(ValueError, match="without a reading"):
        thickness_from([], HALF_ANGLE_DEG, shift)


def test_the_stage_is_not_blamed_for_the_pictures_scale_but_for_its_own() -> None:
    shift = 2 * math.tan(math.radians(HALF_ANGLE_DEG))
    by_picture, by_stage = (make([365.0] * 4, HALF_ANGLE_DEG, shift) for make in (thickness_from, thickness_by_stage))
    assert by_picture.thickness_um == by_stage.thickness_um
    assert (by_picture.way, by_stage.way) == (ThicknessWay.ONE_PICTURE, ThicknessWay.TWO_POSITIONS)
    assert by_stage.uncertainty_um >= 2 * 0.005 * by_stage.thickness_um
    with pytest.raises(ValueError, match="without a reading"):
        thickness_by_stage([], HALF_ANGLE_DEG, shift)


def test_an_eye_that_drifts_evenly_between_the_visits_does_not_matter() -> None:
    drift_um_per_s = 7.0
    backs = [Visit(t, -128.0 + drift_um_per_s * t) for t in (0.0, 0.7, 1.2)]
    fronts = [Visit(t, -493.0 + drift_um_per_s * t) for t in (0.3, 1.0)]
    assert apparent_depths(backs, fronts) == pytest.approx([365.0, 365.0])
    assert apparent_depths(backs[:1], fronts[:1]) == pytest.approx([365.0 - 0.3 * drift_um_per_s])
    assert apparent_depths(backs[1:], fronts[:1]) == pytest.approx([365.0 + 0.4 * drift_um_per_s])
    with pytest.raises(ValueError, match="no visit to the endothelium"):
        apparent_depths([], fronts)


def test_two_ways_agree_within_both_uncertainties_and_else_the_difference_is_the_uncertainty() -> None:
    picture = CornealThickness(540.0, 3.0, 4)
    near, far = (CornealThickness(um, 4.0, 1, ThicknessWay.TWO_POSITIONS) for um in (544.9, 545.1))
    assert cross_checked(picture, near) == (picture, "")
    told, words = cross_checked(picture, far)
    assert (told.thickness_um, told.uncertainty_um) == (540.0, 5.1)
    assert "by one picture is 540 um, by two positions 545 um: they may differ by 5;" in words


def test_a_gaze_moves_the_reflex_with_the_eye_and_shows_the_other_side_of_the_cornea() -> None:
    x_um, y_um, z_um = gaze_shift(15.0, 0.0)
    assert x_um == pytest.approx(1475, abs=2) and y_um == 0.0 and 150 < z_um < 250
    assert gaze_offset(15.0, -10.0) == (pytest.approx(-2042, abs=2), pytest.approx(1361, abs=2))
    assert gaze_shift(0.0, 0.0) == (0.0, 0.0, pytest.approx(0.0))
