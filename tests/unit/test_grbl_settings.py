"""What follows from a board's settings: reach, speed, time. Times are checked against the simulated board's own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_app.model import Position
from hw.grbl.settings import GrblSettings, homing_due_seconds, homing_seconds, motion_seconds, reachable_box, top_speed
from hw.sim.firmware_homing import homing_cycle
from hw.sim.firmware_settings import Settings
from hw.sim.motion import Profile, Slides, limited, straight
from hw.sim.settings import SimSettings

DEVICE = {23: 0.0, 24: 600.0, 25: 6000.0, 26: 25.0, 27: 1.5, 130: 100.0, 131: 40.0, 132: 30.0}
SETTINGS = GrblSettings()
PLACE = st.tuples(*[st.floats(-100.0, 0.0)] * 3)


def test_the_reach_ends_a_pull_off_before_the_home_switches() -> None:
    limits = reachable_box(DEVICE)
    assert limits.low == Position(-100000.0, -40000.0, -30000.0)
    assert limits.high == Position(-1500.0, -1500.0, -1500.0)


def test_an_axis_that_homes_the_other_way_has_its_switch_at_the_low_end() -> None:
    limits = reachable_box(DEVICE | {23: 0b101})
    assert limits.low == Position(-98500.0, -40000.0, -28500.0)
    assert limits.high == Position(0.0, -1500.0, 0.0)


@given(PLACE, PLACE)
def test_motion_times_are_the_boards_own(start: tuple[float, float, float], end: tuple[float, float, float]) -> None:
    direction, length = straight(start, end)
    if length < 1e-3:
        return
    speed = limited(SETTINGS.max_rate_mm_per_min, direction) / 60
    profile = Profile(length, speed, limited(SETTINGS.acceleration_mm_per_s2, direction))
    assert top_speed(SETTINGS, start, end) == pytest.approx(speed * 60, rel=1e-6)
    assert motion_seconds(SETTINGS, start, end) == pytest.approx(profile.duration_s, rel=1e-6)


def test_going_nowhere_takes_no_time_and_has_a_speed() -> None:
    here = (-1.0, -2.0, -3.0)
    assert motion_seconds(SETTINGS, here, here) == 0
    assert math.isfinite(top_speed(SETTINGS, here, here))


@pytest.mark.parametrize(
    "settings",
    [
        SimSettings(),
        SimSettings(seek_mm_per_min=300.0, locate_mm_per_min=25.0),
        SimSettings(max_rate_mm_per_min=(180.0, 180.0, 180.0)),  # slower than $25
    ],
)
def test_homing_from_the_farthest_corner_is_within_its_deadline(settings: SimSettings) -> None:
    board: Settings = settings.grbl()
    farthest = tuple(-travel for travel in settings.travel_mm)
    slides = Slides((farthest[0], farthest[1], farthest[2]), settings.travel_mm, settings.steps_per_mm)
    now_s = 0.0
    homing = homing_cycle(slides, board, lambda: now_s)
    while True:
        try:
            now_s = next(homing)
        except StopIteration as end:
            assert end.value == 0
            break
    device = {
        number: board[number] for number in (23, 24, 25, 26, 27, *range(110, 113), *range(120, 123), *range(130, 133))
    }
    assert now_s < homing_due_seconds(device) < homing_seconds(device)
