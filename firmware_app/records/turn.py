"""Whether the one thread of the records is at work, and since when; for the health screen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import trio


class Turn:
    """Times are of trio's clock."""

    def __init__(self, one_at_a_time: trio.CapacityLimiter, now_s: float) -> None:
        self._one_at_a_time = one_at_a_time
        self.working_since_s: float | None = None
        self.idle_since_s = now_s
        self.count = 0  # pieces of work that are done

    @property
    def waiting(self) -> int:
        return self._one_at_a_time.statistics().tasks_waiting

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        self.working_since_s = trio.current_time()
        try:
            yield
        finally:
            self.working_since_s, self.idle_since_s = None, trio.current_time()
            self.count += 1
