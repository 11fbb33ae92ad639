"""The trapezoid and the slides of the simulated stage."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.sim.motion import Motion, Profile, Slides, limited, straight

POSITIVE = st.floats(0.01, 1000.0)
PROFILES = st.builds(Profile, POSITIVE, POSITIVE, POSITIVE)


@given(PROFILES, st.floats(0.0, 1.0))
def test_a_profile_is_a_way_from_rest_to_rest_within_its_bounds(profile: Profile, share: float) -> None:
    t_s = share * profile.duration_s
    assert profile.travelled(0) == 0
    assert profile.travelled(profile.duration_s) == profile.distance
    assert 0 <= profile.speed(t_s) <= profile.cruise * (1 + 1e-9)
    step_s = profile.duration_s / 1000
    gone = profile.travelled(t_s + step_s) - profile.travelled(t_s)
    assert -1e-9 <= gone <= profile.cruise * step_s * (1 + 1e-6) + 1e-9
    assert abs(profile.speed(t_s + step_s) - profile.speed(t_s)) <= profile.acceleration * step_s * (1 + 1e-6) + 1e-9


@given(PROFILES, st.floats(0.0, 1.0))
def test_time_at_is_the_inverse_of_travelled(profile: Profile, share: float) -> None:
    distance = share * profile.distance
    assert profile.travelled(profile.time_at(distance)) == pytest.approx(distance, rel=1e-6, abs=1e-9)


def test_known_trapezoid_and_triangle() -> None:
    assert Profile(64.0, 100.0, 1000.0).duration_s == pytest.approx(0.74)
    assert Profile(0.05, 80.0, 500.0).duration_s == pytest.approx(2 * math.sqrt(0.05 / 500))


def test_braking_stops_after_v_squared_over_2a_and_not_beyond_the_target() -> None:
    motion = Motion(0.0, (0.0, 0.0, 0.0), (-1.0, 0.0, 0.0), Profile(10.0, 5.0, 100.0))
    braked = motion.braked(1.0)
    assert braked.end_s == pytest.approx(1.05)
    assert braked.position(9.0)[0] == pytest.approx(motion.position(1.0)[0] - 0.125)
    late = motion.braked(motion.end_s - 0.01)
    assert late.position(99.0)[0] == pytest.approx(-10.0)


def test_the_slowest_axis_bounds_a_diagonal() -> None:
    direction, length = straight((0.0, 0.0, 0.0), (3.0, 0.0, -4.0))
    assert length == 5.0
    assert limited((60.0, 1.0, 40.0), direction) == pytest.approx(50.0)


def slides(at: tuple[float, float, float]) -> Slides:
    return Slides(at, (20.0, 10.0, 10.0), (800.0, 800.0, 800.0))


def test_positions_are_whole_steps() -> None:
    stage = slides((-5.0, -5.0, -5.0))
    stage.start(Motion(0.0, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), Profile(1.0, 1.0, 100.0)))
    steps = stage.machine_mm(0.4321)[0] * 800
    assert steps == pytest.approx(round(steps))
    assert stage.physical_mm(0.4321)[0] == pytest.approx(stage.machine_mm(0.4321)[0] - 5.0)


def test_a_switch_is_met_where_it_is() -> None:
    stage = slides((-2.0, -5.0, -5.0))
    motion = Motion(0.0, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), Profile(10.0, 1.0, 1000.0))
    assert motion.position(stage.switch_s(motion))[0] == pytest.approx(2.0)
    stage.start(motion)
    stage.halt(stage.switch_s(motion))
    assert stage.pressed(99.0) == "X"
    away = Motion(99.0, stage.machine_mm(99.0), (-1.0, 0.0, 0.0), Profile(10.0, 1.0, 1000.0))
    assert stage.switch_s(away) == math.inf


def test_a_slide_pushed_past_its_switch_loses_steps() -> None:
    stage = slides((-2.0, -5.0, -5.0))
    stage.start(Motion(0.0, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), Profile(10.0, 1.0, 1000.0)))
    stage.halt(99.0)
    assert stage.machine_mm(99.0)[0] == pytest.approx(10.0)
    assert stage.physical_mm(99.0)[0] == pytest.approx(1.0)
    stage.start(Motion(99.0, stage.machine_mm(99.0), (-1.0, 0.0, 0.0), Profile(3.0, 1.0, 1000.0)))
    assert stage.physical_mm(200.0)[0] == pytest.approx(-2.0)


def test_power_off_forgets_the_count_and_not_the_place() -> None:
    stage = slides((-2.0, -5.0, -5.0))
    stage.start(Motion(0.0, (0.0, 0.0, 0.0), (-1.0, 0.0, 0.0), Profile(10.0, 1.0, 1000.0)))
    before = stage.physical_mm(3.0)
    stage.power_off(3.0)
    assert stage.physical_mm(9.0) == pytest.approx(before)
    assert stage.machine_mm(9.0) == (0.0, 0.0, 0.0)
    assert not stage.moving


def with_play(at_mm: float = -5.0) -> Slides:
    return Slides((at_mm, -5.0, -5.0), (20.0, 10.0, 10.0), (800.0, 800.0, 800.0), (0.05, 0.0, 0.0))


def go(stage: Slides, mm: float, start_s: float) -> float:
    """Along x and to rest; returns when."""
    way = Profile(abs(mm), 1.0, 1000.0)
    stage.start(Motion(start_s, stage.machine_mm(start_s), (math.copysign(1.0, mm), 0.0, 0.0), way))
    end_s = stage.end_s
    stage.halt(end_s)
    return end_s


def test_a_nut_with_play_pushes_from_below_and_hangs_from_above() -> None:
    stage = with_play()
    end_s = go(stage, 1.0, 0.0)
    assert stage.physical_mm(end_s)[0] == pytest.approx(-4.0)
    end_s = go(stage, -0.02, end_s)
    assert stage.physical_mm(end_s)[0] == pytest.approx(-4.0), "within the play the slide stays"
    end_s = go(stage, -0.98, end_s)
    assert stage.physical_mm(end_s)[0] == pytest.approx(-4.95)
    end_s = go(stage, 0.05, end_s)
    assert stage.physical_mm(end_s)[0] == pytest.approx(-4.95)
    end_s = go(stage, 0.95, end_s)
    assert stage.physical_mm(end_s)[0] == pytest.approx(-4.0)


def test_power_and_a_new_name_for_the_place_leave_the_hanging_slide_where_it_is() -> None:
    stage = with_play()
    end_s = go(stage, -1.0, 0.0)
    place = stage.physical_mm(end_s)
    stage.redefine((-3.0, 0.0, 0.0))
    assert stage.physical_mm(end_s) == pytest.approx(place)
    stage.power_off(end_s)
    assert stage.physical_mm(end_s) == pytest.approx(place)
    end_s = go(stage, 1.0, end_s)
    assert stage.physical_mm(end_s)[0] == pytest.approx(-5.0)


def test_a_switch_behind_the_play_is_met_when_the_slide_gets_there() -> None:
    stage = with_play(-19.0)
    go(stage, 0.1, 0.0)
    far_mm = stage.distance_to_switch(0, -1)
    assert far_mm == pytest.approx(2.1 + 0.05)
    go(stage, -far_mm, 1.0)
    assert stage.pressed(99.0) == "X"


def test_a_stuck_slide_stays_and_follows_again_when_it_is_free() -> None:
    stage = slides((-5.0, -5.0, -5.0))
    stage.stick(0, 0.0)
    assert stage.distance_to_switch(0, 1) == math.inf
    end_s = go(stage, 3.0, 0.0)
    assert stage.machine_mm(end_s)[0] == pytest.approx(3.0)
    assert stage.physical_mm(end_s)[0] == pytest.approx(-5.0)
    stage.free(end_s)
    assert stage.physical_mm(end_s)[0] == pytest.approx(-5.0)
    end_s = go(stage, 1.0, end_s)
    assert stage.physical_mm(end_s)[0] == pytest.approx(-4.0)


def test_lost_steps_move_the_slide_and_not_the_count() -> None:
    stage = slides((-5.0, -5.0, -5.0))
    stage.slip(1, -0.25)
    assert stage.machine_mm(0.0)[1] == 0.0
    assert stage.physical_mm(0.0)[1] == pytest.approx(-5.25)


def test_a_motion_can_be_cut_along_one_axis() -> None:
    stage = slides((-5.0, -5.0, -5.0))
    way = Profile(2.0, 1.0, 1000.0)
    stage.start(Motion(0.0, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), way), Motion(0.0, (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), way))
    stage.cut(0, 1.0)
    x, y, _ = stage.machine_mm(99.0)
    assert x == pytest.approx(1.0, abs=0.01)
    assert y == pytest.approx(2.0)
    stage.cut(None, 0.5)
    assert stage.end_s == 0.5
