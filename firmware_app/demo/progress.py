"""What the demo shows while it works: one line a step, as it happens; a terminal sees the running step, too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_ERASE_LINE = "\r\x1b[K"
_GREEN, _RED, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


class Step:
    """One step while it runs. `now` shows what it does at the moment; `result` stands in its finished line."""

    def __init__(self, now: Callable[[str], None]) -> None:
        self.now = now
        self.result = ""


class Progress:
    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._started_s = clock()
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._coloured = self._live and not os.environ.get("NO_COLOR")

    def elapsed_s(self) -> float:
        return self._clock() - self._started_s

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        began_s = self._clock()
        step = Step(lambda text: self._show_running(f"{title}: {text}"))
        self._show_running(title)
        try:
            yield step
        except BaseException:
            self._finish("failed", title, "", began_s)
            raise
        self._finish("ok", title, step.result, began_s)

    def write(self, text: str = "") -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def _show_running(self, text: str) -> None:
        if self._live:
            room = shutil.get_terminal_size().columns - 1
            self._stream.write(_ERASE_LINE + f"{self.elapsed_s():6.1f} s  ...     {text}"[:room])
            self._stream.flush()

    def _finish(self, outcome: str, title: str, result: str, began_s: float) -> None:
        mark = f"{outcome:6}"
        if self._coloured:
            mark = f"{_GREEN if outcome == 'ok' else _RED}{mark}{_PLAIN}"
        text = f"{title}: {result}" if result else title
        took_s = self._clock() - began_s
        self.write(f"{_ERASE_LINE if self._live else ''}{self.elapsed_s():6.1f} s  {mark}  {text} ({took_s:.1f} s)")
