"""Arriving from below, checked against a model of a screw with play."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.approach import SEATED, UNSEATED, Vector, legs

PLAY: Vector = (10.0, 0.0, 4.0)
PLACE = st.tuples(*[st.integers(-1000, 1000).map(float)] * 3)


def nut(slide: float, count: float, play: float) -> float:
    """Where the slide is after the motor went to `count`: pushed up from below, pulled down with the play between."""
    return min(max(slide, count), count + play)


def test_upwards_is_one_leg_and_downwards_goes_past() -> None:
    assert legs((0.0, 0.0, 0.0), (5.0, -5.0, 5.0), PLAY, SEATED) == ((5.0, -5.0, 5.0),)
    assert legs((0.0, 0.0, 0.0), (-5.0, -5.0, 5.0), PLAY, SEATED) == ((-15.0, -5.0, 5.0), (-5.0, -5.0, 5.0))


def test_staying_is_no_leg_past_unless_the_nut_may_hang() -> None:
    here = (1.0, 2.0, 3.0)
    assert legs(here, here, PLAY, SEATED) == (here,)
    assert legs(here, here, PLAY, UNSEATED) == ((-9.0, 2.0, -1.0), here)


@pytest.mark.parametrize("up", [0.0, 9.9])
def test_upwards_by_less_than_the_play_goes_past_where_the_nut_may_hang(up: float) -> None:
    assert len(legs((0.0, 0.0, 0.0), (up, 0.0, 4.0), PLAY, UNSEATED)) == 2
    assert len(legs((0.0, 0.0, 0.0), (10.0, 0.0, 4.0), PLAY, UNSEATED)) == 1


@given(PLACE, PLACE, st.lists(PLACE, max_size=5))
def test_the_slide_is_where_the_count_says_after_any_way(hang: Vector, start: Vector, ways: list[Vector]) -> None:
    slide = [count + (abs(extra) / 1000) * play for count, extra, play in zip(start, hang, PLAY, strict=True)]
    at, seated = start, UNSEATED
    for target in ways:
        for leg in legs(at, target, PLAY, seated):
            slide = [nut(*each) for each in zip(slide, leg, PLAY, strict=True)]
            at = leg
        seated = SEATED
        assert at == target
        assert slide == list(target)
