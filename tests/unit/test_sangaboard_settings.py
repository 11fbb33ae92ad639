"""What is asked of a stage on a Sangaboard, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_app.model import Position
from hw.errors import Refused
from hw.sangaboard.settings import (
    SLICE_S,
    SangaboardSettings,
    endstop_problems,
    motion_seconds,
    origin_steps,
    reach_steps,
    reachable_box,
    require_board,
    require_sound,
    slices,
    timing_problems,
    to_steps,
    to_um,
)

BY_HAND = SangaboardSettings(  # as OpenFlexure's stages are
    um_per_step=(0.1, 0.1, 0.05), low_um=(-2000.0,) * 3, high_um=(2000.0,) * 3
)
DOWN = SangaboardSettings(  # counts grow while um fall, as on the simulated stage
    um_per_step=(-5.0, -5.0, -1.25),
    frame="endstops",
    low_um=(-100_000.0, -40_000.0, -40_000.0),
    high_um=(-1000.0, -1000.0, -1000.0),
)
UP = replace(DOWN, um_per_step=(5.0, 5.0, 1.25), low_um=(1000.0,) * 3, high_um=(100_000.0, 40_000.0, 40_000.0))


@pytest.mark.parametrize("settings", [BY_HAND, DOWN, UP])
def test_sound_settings_are_taken(settings: SangaboardSettings) -> None:
    require_sound(settings)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"um_per_step": (0.0, 0.1, 0.1)}, "um_per_step of x is 0"),
        ({"um_per_step": (0.1, float("nan"), 0.1)}, "um_per_step of y is nan"),
        ({"um_per_step": (0.1, 0.1, 11.0)}, "um_per_step of z is 11: half a step exceeds tolerance_um"),
        ({"low_um": (2000.0, 0.0, 0.0)}, "of x 2000 to 2000 leave no room"),
        ({"backlash_um": (0.0, 4000.0, 0.0)}, "of y -2000 to 2000 leave no room"),
        ({"high_um": (1e9, 1.0, 1.0)}, "of x -2000 to 1e\\+09 are more steps than the board can count"),
        ({"low_um": (1.0, -1.0, -1.0)}, "of x 1 to 2000 do not hold the origin"),
        (
            {"low_um": (-10.0,) * 3, "backlash_um": (0.0, 11.0, 10.0)},
            "of y -10 .* origin and the backlash",
        ),
        ({"frame": "endstops"}, "reach into the min switch at 0"),
        ({"frame": "endstops", "low_um": (0.04,) * 3, "um_per_step": (0.1, 0.1, 0.1)}, "into the min switch at 0"),
        ({"backlash_um": (-1.0, 0.0, 0.0)}, "must not be negative"),
        ({"min_step_delay_us": 0}, "min_step_delay_us must be positive"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(changed: dict[str, object], words: str) -> None:
    with pytest.raises(Refused, match=words):
        require_sound(replace(BY_HAND, **changed))  # type: ignore[arg-type]


def test_the_board_must_run_at_the_speed_that_is_configured() -> None:
    assert timing_problems(BY_HAND, 1000, 0, blocking=True) == []
    slow = timing_problems(BY_HAND, 2000, 100, blocking=False)
    assert slow == ["min_step_delay is 2000 us, expected 1000", "ramp_time is 100 us, expected 0"]
    with pytest.raises(Refused, match=r"port is not set up as configured: min_step_delay is 2000 us.*; ramp_time"):
        require_board(slow, "port")
    require_board([], "port")


def test_firmware_that_cannot_stop_takes_no_long_ramp_and_no_slow_step() -> None:
    ramped = replace(BY_HAND, ramp_time_us=60_000)
    assert timing_problems(ramped, 1000, 60_000, blocking=False) == []
    assert "cannot stop takes at most 40000" in timing_problems(ramped, 1000, 60_000, blocking=True)[0]
    crawling = replace(BY_HAND, min_step_delay_us=90_000)
    assert "one step alone" in timing_problems(crawling, 90_000, 0, blocking=True)[0]


def test_endstops_that_the_frame_needs() -> None:
    assert endstop_problems(BY_HAND, frozenset(), None) == []
    assert endstop_problems(DOWN, frozenset({"min"}), (-1, -1, -1)) == []
    assert "the board has none" in endstop_problems(DOWN, frozenset(), None)[0]
    assert "only max soft" in endstop_problems(DOWN, frozenset({"max", "soft"}), (-1, -1, -1))[0]


def test_a_blank_soft_limit_would_stop_every_step_upwards() -> None:
    problems = endstop_problems(DOWN, frozenset({"min", "soft"}), (-1, 8000, 31999))
    assert [problem[:9] for problem in problems] == ["max of x ", "max of z "]
    assert "is -1 steps, at least 20000 are needed" in problems[0]
    assert endstop_problems(DOWN, frozenset({"min", "max", "soft"}), (-1, -1, -1)) == []


def test_reach_and_origin() -> None:
    assert reach_steps(DOWN) == ((200, 200, 800), (20_000, 8_000, 32_000)) == reach_steps(UP)
    assert origin_steps(DOWN) == (200, 200, 800) == origin_steps(UP)
    assert origin_steps(BY_HAND) == (0, 0, 0)
    playing = replace(UP, backlash_um=(60.0, 0.0, 60.0))
    assert origin_steps(playing) == (212, 200, 848), "inside the limits, and reached from below without the switch"
    assert origin_steps(replace(DOWN, backlash_um=(60.0, 0.0, 60.0))) == (200, 200, 800)
    box = reachable_box(replace(DOWN, backlash_um=(0.0, 100.0, 0.0)))
    assert (box.low, box.high) == (Position(-100_000.0, -39_900.0, -40_000.0), Position(-1000.0, -1000.0, -1000.0))


@given(st.tuples(*[st.floats(-40_000.0, -1000.0)] * 3))
def test_a_place_in_um_is_the_nearest_step(place: tuple[float, float, float]) -> None:
    back = to_um(DOWN, to_steps(DOWN, place))
    assert all(abs(a - b) <= abs(scale) / 2 + 1e-6 for a, b, scale in zip(place, back, DOWN.um_per_step, strict=True))


COUNT = st.integers(-200_000, 200_000)


@given(st.tuples(COUNT, COUNT, COUNT), st.sampled_from([0, 10_000, 40_000]))
def test_slices_are_the_whole_way_in_pieces_short_enough(distance: tuple[int, int, int], ramp_us: int) -> None:
    settings = replace(BY_HAND, ramp_time_us=ramp_us)
    if not any(distance):
        assert motion_seconds(settings, distance) == 0
        return
    parts = slices(settings, distance)
    assert tuple(map(sum, zip(*parts, strict=True))) == distance
    assert all(any(part) for part in parts)
    assert max(motion_seconds(settings, part) for part in parts) <= SLICE_S
    for axis in range(3):  # nobody goes back, so the way is straight
        assert {part[axis] > 0 for part in parts if part[axis]} <= {distance[axis] > 0}
