"""Is the service alive: event loop lag, and the watchdog that systemd expects to hear."""

from __future__ import annotations

from collections import deque

import trio

from firmware_app.services.notify import sd_notify, watchdog_interval_s

LAG_PROBE_S = 0.02
# 1500 probes are the last half minute: long enough to hold a whole capture with its analysis.
LAG_PROBES = 1500


class LoopLag:
    """How late the event loop wakes a sleeping task; the worst of the last half minute is what an operator feels."""

    def __init__(self) -> None:
        self._lags_s: deque[float] = deque(maxlen=LAG_PROBES)
        self.worst_s = 0.0  # since the start

    async def run(self) -> None:
        while True:
            due_s = trio.current_time() + LAG_PROBE_S
            await trio.sleep_until(due_s)
            lag_s = trio.current_time() - due_s
            self._lags_s.append(lag_s)
            self.worst_s = max(self.worst_s, lag_s)

    def recent_worst_s(self) -> float:
        return max(self._lags_s, default=0.0)


async def run_watchdog() -> None:
    """Tell systemd twice per WATCHDOG_USEC that the loop turns; returns at once when nobody watches."""
    interval_s = watchdog_interval_s()
    if interval_s is None:
        return
    while True:
        sd_notify("WATCHDOG=1")
        await trio.sleep(interval_s)
