"""How long to wait before the next attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# 2**16 s is 18 hours: beyond every sensible max_s, and far from overflowing a float.
_MAX_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Doubling from `first_s` up to `max_s`.

    `jitter` is the share of a delay that chance may take off, so that the instruments of a clinic do not all come back
    to their archive in the same second. `step_aside_after` is the number of attempts after which an instance lets
    younger ones past, when the peer breaks off or puts off that very instance again and again.
    """

    first_s: float = 2.0
    max_s: float = 300.0
    jitter: float = 0.25
    step_aside_after: int = 5

    def delay_s(self, attempts: int, chance: Callable[[], float]) -> float:
        """The delay after so many failed attempts (1 or more); `chance` returns 0 <= x < 1."""
        doublings = min(max(attempts - 1, 0), _MAX_DOUBLINGS)
        return min(self.max_s, self.first_s * 2.0**doublings) * (1.0 - self.jitter * chance())

    def left_s(self, wait_s: float) -> float:
        """What is left of a recorded wait: no delay is longer than `max_s`, so a longer one means a clock set back."""
        return wait_s if wait_s <= self.max_s else 0.0
