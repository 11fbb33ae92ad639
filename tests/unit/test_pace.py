"""The token bucket: whatever is asked for and whenever, never more than the rate and one burst have gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_app.net.pace import BURST_S, Pace


def test_a_burst_goes_at_once_and_then_by_the_rate() -> None:
    pace = Pace(1000)
    steps = [(0.0, 250, 0.0), (0.0, 100, 0.1), (0.1, 100, 0.1), (0.2, 500, 0.5), (10.0, 250, 0.0), (10.0, 1, 0.001)]
    assert [pace.take(count, now_s) for now_s, count, _ in steps] == pytest.approx([wait_s for *_, wait_s in steps])


def test_what_is_written_at_once_is_even_and_never_tiny() -> None:
    assert [Pace(rate).piece_bytes for rate in (1, 10_000, 12_345, 100_010, 1e6)] == [1024, 1024, 1234, 10_000, 100_000]


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_what_is_no_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Pace(rate)


@given(st.floats(1e3, 1e9), st.lists(st.tuples(st.integers(1, 200_000), st.floats(0, 5)), min_size=1, max_size=50))
def test_never_faster(rate: float, steps: list[tuple[int, float]]) -> None:
    """Each piece is written when its wait is over, and the next one asked for some time after that."""
    pace, now_s, sent = Pace(rate), 100.0, 0
    for count, pause_s in steps:
        now_s += pace.take(count, now_s)
        sent += count
        assert sent <= rate * (now_s - 100.0 + BURST_S) * (1 + 1e-9) + 1e-3
        now_s += pause_s


@given(st.floats(1e3, 1e7), st.lists(st.integers(1, 50_000), min_size=5, max_size=50))
def test_and_no_slower_than_the_rate(rate: float, counts: list[int]) -> None:
    pace, now_s = Pace(rate), 0.0
    for count in counts:
        now_s += pace.take(count, now_s)
    assert now_s <= sum(counts) / rate + 1e-6
