"""A flood of the same event is counted, not written a thousand times. Pure: the clock is given."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

WINDOW_S = 60.0
# The same words: what comes more often within the window is only counted.
SAME_MAX = 5
# The same kind with other words, as a UID in them: 30 exams a minute are in full, and a peer gone mad is not.
KIND_MAX = 300
# Different words within a window; beyond it the oldest is forgotten, which only means that it is written again.
KEYS_MAX = 2048


@dataclass(frozen=True, slots=True)
class Repeated:
    """What was not written: events of this kind, with these words where it was always the same."""

    kind: str
    text: str
    count: int
    seconds: float


@dataclass(slots=True)
class _Window:
    began_s: float
    written: int = 0
    held_back: int = 0


class RepeatFilter:
    def __init__(self, window_s: float = WINDOW_S, same_max: int = SAME_MAX, kind_max: int = KIND_MAX) -> None:
        self._window_s = window_s
        self._same_max = same_max
        self._kind_max = kind_max
        self._windows: OrderedDict[tuple[str, str], _Window] = OrderedDict()  # by when they began

    def admits(self, kind: str, text: str, now_s: float) -> bool:
        """Whether to write this event. Ask `ended` first: it empties windows that are over."""
        same, kinds = self._window((kind, text), now_s), self._window((kind, ""), now_s)
        if same.written >= self._same_max:
            same.held_back += 1
            return False
        if kinds.written >= self._kind_max:
            kinds.held_back += 1
            return False
        same.written += 1
        kinds.written += 1
        return True

    def ended(self, now_s: float) -> list[Repeated]:
        """What was held back in the windows that are over by now."""
        told = []
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if now_s < window.began_s + self._window_s and len(self._windows) <= KEYS_MAX:
                break
            del self._windows[key]
            if window.held_back:
                told.append(Repeated(*key, window.held_back, now_s - window.began_s))
        return told

    def next_end_s(self) -> float:
        """When something that was held back is to be told; infinite where nothing was."""
        return min((w.began_s + self._window_s for w in self._windows.values() if w.held_back), default=float("inf"))

    def _window(self, key: tuple[str, str], now_s: float) -> _Window:
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(now_s)
        return window
