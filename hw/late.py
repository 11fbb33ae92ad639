"""What an operation that takes longer than it should is waiting for, told while it still waits."""

from __future__ import annotations

from typing import Final

from hw.watched import Watched

_delays: Final = Watched[str]("delays")

late = _delays.tell  # what is waited for and until when
told_when_late = _delays.told_to
