"""A rebuild of the records takes longer than a start may: systemd and the log are told how far it is."""

from __future__ import annotations

import os

import structlog

from firmware_app.services.notify import sd_notify, watchdog_interval_s

# Between two reports of a rebuild: checking 100,000 instances takes seconds here and may take half a minute on a
# small board.
PATIENCE_US = 300_000_000

log = structlog.get_logger()


class OpeningProgress:
    """Called in a worker thread with each step; `over` when the records are open."""

    def __init__(self) -> None:
        self._is_late = False

    def __call__(self, text: str) -> None:
        log.warning("records.rebuilding", text=text)
        sd_notify(f"STATUS=records: {text}\nEXTEND_TIMEOUT_USEC={PATIENCE_US}{self._watchdog()}")
        self._is_late = True

    def over(self) -> None:
        """The watchdog bites as usual again."""
        if self._is_late and watchdog_interval_s() is not None:
            sd_notify(f"WATCHDOG_USEC={os.environ['WATCHDOG_USEC']}\nWATCHDOG=1")

    def _watchdog(self) -> str:
        """It watches already where a running service has found the damage."""
        is_watched = watchdog_interval_s() is not None
        return f"\nWATCHDOG_USEC={PATIENCE_US}\nWATCHDOG=1" if is_watched else ""
