"""What follows from an ASI controller's settings: reach, time, and every difference in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware_app.model import Position
from hw.asi.settings import (
    AsiSettings,
    Vector,
    expected_settings,
    homed_um,
    motion_seconds,
    reachable_box,
    require_limits_outside,
    require_settings,
    require_sound,
    search_um,
)
from hw.errors import Refused
from hw.sim.firmware_asi import LETTERS, factory_parameters
from hw.sim.firmware_asi_axes import Axes
from hw.sim.motion import Slides

SETTINGS = AsiSettings()
MIXED = AsiSettings(home_ends=("low", "high", "low"), backlash_um=(20.0, 30.0, 0.0))
PLACE = st.tuples(*[st.floats(-40000.0, 0.0)] * 3)


def device(settings: AsiSettings = SETTINGS) -> dict[tuple[str, str], float]:
    told = {key: value for key, (value, _) in expected_settings(settings).items()}
    return told | {("SL", letter): -110.0 for letter in "XYZ"} | {("SU", letter): 110.0 for letter in "XYZ"}


def test_the_reach_leaves_the_pull_off_and_the_way_to_come_from_below() -> None:
    limits = reachable_box(SETTINGS)
    assert limits.low == Position(-100000.0, -40000.0, -40000.0)
    assert limits.high == Position(-1000.0, -1000.0, -1000.0)
    limits = reachable_box(MIXED)
    assert limits.low == Position(1020.0, -39970.0, 1000.0)
    assert limits.high == Position(100000.0, -1000.0, 40000.0)


def test_homing_searches_towards_its_end_and_a_little_beyond_the_travel_and_rests_within_the_reach() -> None:
    assert [search_um(MIXED, axis) for axis in range(3)] == pytest.approx([-111000.0, 45000.0, -45000.0])
    assert [homed_um(MIXED, axis) for axis in range(3)] == [1020.0, -1000.0, 1000.0]


@given(PLACE, PLACE, st.sampled_from([0.0, 0.04]))
@example((0.0, 0.0, -1.0), (0.0, -1.0, -1.0), 0.04)  # an axis that is there already
@example((0.0, 0.0, -1.0), (0.0, -200.0, -1.0), 0.04)
def test_motion_times_are_the_simulated_axes_own(start: Vector, end: Vector, backlash_mm: float) -> None:
    """With the controller's own anti-backlash move it is an upper bound: the two short ways are counted apart."""
    settings = replace(SETTINGS, board_backlash_mm=(backlash_mm,) * 3)
    parameters = factory_parameters()
    for i, letter in enumerate("XYZ"):
        parameters["S", letter], parameters["AC", letter] = settings.speed_mm_per_s[i], settings.ramp_ms[i]
        parameters["B", letter] = backlash_mm
    slides = Slides((-500.0, -500.0, -500.0), (1000.0, 1000.0, 1000.0), (1e6, 1e6, 1e6))
    axes = Axes(slides, LETTERS, parameters)
    axes.call({axis: value / 1000 for axis, value in enumerate(start)}, 0.0)
    axes.parameters.update({(c, x): sign * 1000.0 for c, sign in (("SL", -1), ("SU", 1)) for x in LETTERS})
    axes.start({axis: value / 1000 for axis, value in enumerate(end)}, 0.0)
    expected_s = motion_seconds(settings, start, end)
    if backlash_mm:
        assert slides.end_s <= expected_s + 0.05 or start == end
    else:
        assert slides.end_s == pytest.approx(expected_s, rel=1e-3, abs=1e-3)


def test_going_nowhere_takes_no_time() -> None:
    assert motion_seconds(replace(SETTINGS, board_backlash_mm=(0.04,) * 3), (1.0, 2.0, 3.0), (1.0, 2.0, 3.0)) == 0


def test_a_controller_that_is_set_up_as_configured_passes() -> None:
    require_settings(device(), SETTINGS, "asi:x")
    told = device() | {("S", "X"): 5.02, ("AC", "Y"): 100.9}  # as the controller rounds them
    require_settings(told, SETTINGS, "asi:x")


def test_every_difference_is_told_at_once_and_in_words() -> None:
    told = device() | {("UM", "X"): 1000.0, ("S", "Z"): 2.0, ("AC", "X"): 200.0, ("B", "Y"): 0.04, ("SU", "X"): -50.0}
    with pytest.raises(Refused) as raised:
        require_settings(told, SETTINGS, "asi:x")
    assert str(raised.value) == (
        "asi:x is not set up as configured: UM X=1000 (units per mm), expected 10000; AC X=200 (ramp in ms),"
        " expected 100; B Y=0.04 (anti-backlash in mm), expected 0; S Z=2 (speed in mm/s), expected 1;"
        " SL X to SU X leaves 60 mm (firmware limits), expected 100"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [(("SU", "X"), 0.0), (("SL", "X"), -99.0), (("SU", "Z"), -5.0)],
    ids=["the limit may have been taken for the switch", "short of the far end", "short of the switch"],
)
def test_firmware_limits_that_cut_the_reach_short_are_refused(key: tuple[str, str], value: float) -> None:
    require_limits_outside(reachable_box(SETTINGS), device(), SETTINGS, "asi:x")
    with pytest.raises(Refused, match=f"{key[1]}: SL"):
        require_limits_outside(reachable_box(SETTINGS), device() | {key: value}, SETTINGS, "asi:x")


def test_at_the_low_end_it_is_the_lower_limit_that_must_lie_beyond_the_switch() -> None:
    require_limits_outside(reachable_box(MIXED), device(), MIXED, "asi:x")
    with pytest.raises(Refused, match="X: SL 0 "):
        require_limits_outside(reachable_box(MIXED), device() | {("SL", "X"): 0.0}, MIXED, "asi:x")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (replace(SETTINGS, baud=300), "baud 300"),
        (replace(SETTINGS, axes="XXY"), "three different letters"),
        (replace(SETTINGS, axes="xyz"), "three different letters"),
        (
            replace(SETTINGS, backlash_um=(0.0, 20.0, 0.0), board_backlash_mm=(0.04, 0.04, 0.0)),
            "of y would be taken up",
        ),
        (replace(SETTINGS, backlash_um=(-1.0, 0.0, 0.0)), "of x is negative"),
        (replace(SETTINGS, pull_off_mm=0.0), "above 0"),
        (replace(SETTINGS, ramp_ms=(0.0, 1.0, 1.0)), "above 0"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(settings: AsiSettings, words: str) -> None:
    require_sound(SETTINGS, "asi:x")
    with pytest.raises(Refused, match=words):
        require_sound(settings, "asi:x")
