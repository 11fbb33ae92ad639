"""The way from eye to eye, past the nose."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from firmware_app.model import Position
from firmware_app.services.crossing import BESIDE_UM, way
from hw.abc import StageLimits

RIGHT, LEFT = Position(-82000.0, -20000.0, -20000.0), Position(-18000.0, -20000.0, -20000.0)
LOW_UM = -40000.0
LIMITS = StageLimits(Position(-100_000.0, -100_000.0, LOW_UM), Position(-1000.0, -1000.0, -1000.0))
PLACE = st.builds(Position, *[st.integers(-100_000, 0).map(float)] * 2, st.integers(int(LOW_UM), 0).map(float))


def test_back_over_and_up() -> None:
    assert way(RIGHT, LEFT, 8000.0, LIMITS) == (
        Position(-82000.0, -20000.0, -28000.0),
        Position(-18000.0, -20000.0, -28000.0),
        LEFT,
    )


def test_in_front_of_one_eye_it_is_one_move() -> None:
    beside = Position(RIGHT.x_um + 3000.0, RIGHT.y_um + 3000.0, RIGHT.z_um + 500.0)
    assert way(beside, RIGHT, 8000.0, LIMITS) == (RIGHT,)


def test_who_is_far_back_already_stays_there() -> None:
    back = Position(-82000.0, -20000.0, -35000.0)
    assert way(back, LEFT, 8000.0, LIMITS) == (Position(-18000.0, -20000.0, -35000.0), LEFT)


def test_it_goes_back_as_far_as_it_can() -> None:
    low = replace(LIMITS.low, z_um=-24000.0)
    assert way(RIGHT, LEFT, 8000.0, replace(LIMITS, low=low))[0] == Position(-82000.0, -20000.0, -24000.0)


def test_without_retraction_it_goes_straight() -> None:
    assert way(RIGHT, LEFT, 0.0, LIMITS) == (LEFT,)


def test_who_stands_on_a_switch_comes_off_it_on_the_way() -> None:
    on_switches = Position(0.0, -500.0, 0.0)
    assert way(on_switches, LEFT, 8000.0, LIMITS)[0] == Position(-1000.0, -1000.0, -28000.0)


@given(PLACE, PLACE)
def test_far_sideways_only_behind_the_face(here: Position, target: Position) -> None:
    places = (here, *way(here, target, 8000.0, LIMITS))
    assert places[-1] == target
    for before, after in pairwise(places):
        sideways_um = max(abs(after.x_um - before.x_um), abs(after.y_um - before.y_um))
        if sideways_um > BESIDE_UM:
            behind_um = max(target.z_um - 8000.0, LOW_UM)
            assert before.z_um == after.z_um <= behind_um
