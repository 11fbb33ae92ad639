"""Whether the disk takes what is to be recorded: which file it refused last, why, and since when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from firmware_app.records.errors import StorageFault


class DiskRefusals:
    """A refusal lasts until something was recorded again; `tell` hears of its beginning and, with None, of its end."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._since = ""
        self.fault: StorageFault | None = None
        self.tell: Callable[[StorageFault | None], None] = lambda fault: None

    @property
    def detail(self) -> str:
        """For the status screen."""
        if self.fault is None:
            return "takes what is recorded"
        return f"refuses since {self._since}: {self.fault}"

    def refused(self, fault: StorageFault) -> None:
        is_new = self.fault is None
        self.fault = fault
        if is_new:
            self._since = self._clock().isoformat(timespec="seconds")
            self.tell(fault)

    def taken(self) -> None:
        if self.fault is not None:
            self.fault = None
            self.tell(None)
