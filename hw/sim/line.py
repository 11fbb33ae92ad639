"""The line between a simulated board and its plug, and what can be wrong with it. Time is an argument."""

from __future__ import annotations

import math
from collections import deque


class Line:
    """Bytes from the board, in order, when they are due. Faults stay until they are taken back or `clear` is called."""

    def __init__(self) -> None:
        self.silent = False  # nothing arrives, in either direction
        self.delay_s = 0.0
        self._halves = 0
        self._waiting: deque[tuple[float, bytes]] = deque()

    def clear(self) -> None:
        """As on a new cable."""
        self.silent, self.delay_s, self._halves = False, 0.0, 0
        self._waiting.clear()

    def halve_next(self) -> None:
        """The next line loses its second half and its end."""
        self._halves += 1

    def carry(self, data: bytes, now_s: float) -> None:
        if not data or self.silent:
            return
        if self._halves:
            self._halves -= 1
            line, _, rest = data.partition(b"\r\n")
            while not line and rest:  # an empty line has no half
                line, _, rest = rest.partition(b"\r\n")
            data = line[: len(line) // 2] + rest
        due_s = max(now_s + self.delay_s, self._waiting[-1][0] if self._waiting else -math.inf)
        self._waiting.append((due_s, data))

    @property
    def due_s(self) -> float:
        return self._waiting[0][0] if self._waiting else math.inf

    def arrived(self, now_s: float) -> bytes:
        """What has come through by now."""
        out = b""
        while self._waiting and self._waiting[0][0] <= now_s:
            out += self._waiting.popleft()[1]
        return out
