from __future__ import annotations

import pytest

from firmware_app.services.backoff import BackoffPolicy

POLICY = BackoffPolicy(first_s=2.0, max_s=300.0, jitter=0.25)
CASES = [(0, 2.0), (1, 2.0), (2, 4.0), (3, 8.0), (8, 256.0), (9, 300.0), (10, 300.0), (100_000, 300.0)]


@pytest.mark.parametrize(("attempts", "delay_s"), CASES)
def test_the_delay_doubles_up_to_the_longest(attempts: int, delay_s: float) -> None:
    assert POLICY.delay_s(attempts, lambda: 0.0) == delay_s


def test_chance_only_shortens_and_never_below_the_jitter() -> None:
    assert POLICY.delay_s(3, lambda: 0.5) == pytest.approx(8.0 * 0.875)
    assert POLICY.delay_s(20, lambda: 0.999999) == pytest.approx(300.0 * 0.75, rel=1e-5)
