"""Is the service alive: event loop lag, and the watchdog that systemd hears as long as every part gets on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from firmware_app import progress
from firmware_app.model import Event
from firmware_app.progress import ProgressTable, idle
from firmware_app.services.notify import sd_notify, watchdog_interval_s

LAG_PROBE_S = 0.02
# 1500 probes are the last half minute: long enough to hold a whole capture with its analysis.
LAG_PROBES = 1500
# Where nobody watches, what hangs is told all the same.
LOOK_S = 5.0


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
            progress.step()

    def recent_worst_s(self) -> float:
        return max(self._lags_s, default=0.0)


class Watchdog:
    """Tells systemd twice per WATCHDOG_USEC that all is well; while a part hangs or has died it tells nothing.

    systemd then ends the service and starts it anew, which is what helps against a thread that never returns. A part
    that waits, however long, is well. What is wrong is told once for each part, before systemd acts.
    """

    def __init__(self, table: ProgressTable, publish: Callable[[Event], None]) -> None:
        self._table = table
        self._publish = publish
        self._told: set[str] = set()
        self.withheld = ""  # why systemd is not told; empty while all is well

    async def run(self) -> None:
        """Until cancelled; looks, and tells what hangs, even where systemd does not watch."""
        interval_s = watchdog_interval_s()
        while True:
            self.look()
            if interval_s is not None and not self.withheld:
                sd_notify("WATCHDOG=1")
            with idle("the next look"):
                await trio.sleep(interval_s or LOOK_S)

    def look(self) -> None:
        troubles = self._table.troubles()
        self.withheld = "; ".join(trouble.why for trouble in troubles)
        for trouble in troubles:
            if trouble.name not in self._told:
                text = f"{trouble.why}: the watchdog is not told that all is well"
                data: dict[str, object] = {"part": trouble.name, "doing": trouble.doing, "what": trouble.what}
                self._publish(Event("service.hangs", text, data, "alert"))
        for name in self._told - {trouble.name for trouble in troubles}:
            self._publish(Event("service.goes_on", f"{name} goes on", {"part": name}, "warning"))
        self._told = {trouble.name for trouble in troubles}
