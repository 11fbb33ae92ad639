"""The `$n` settings of Grbl 1.1h: defaults, what is accepted, how they are printed."""

from __future__ import annotations

from typing import Final

Vector = tuple[float, float, float]

# config.h / defaults.h of the generic build, as the recorded board had them.
DEFAULTS: Final[dict[int, float]] = {
    0: 10,
    1: 25,
    2: 0,
    3: 0,
    4: 0,
    5: 0,
    6: 0,
    10: 1,
    11: 0.010,
    12: 0.002,
    13: 0,
    20: 0,
    21: 0,
    22: 0,
    23: 0,
    24: 25.0,
    25: 500.0,
    26: 250,
    27: 1.0,
    30: 1000,
    31: 0,
    32: 0,
    **dict.fromkeys((100, 101, 102), 250.0),
    **dict.fromkeys((110, 111, 112), 500.0),
    **dict.fromkeys((120, 121, 122), 10.0),
    **dict.fromkeys((130, 131, 132), 200.0),
}
THREE_DECIMALS: Final = frozenset({11, 12, 24, 25, 27}) | {n for n in DEFAULTS if n >= 100}
MIN_PULSE_US: Final = 3
LIMITS_NEED_HOMING: Final = 10


class Settings:
    def __init__(self, changed: dict[int, float] | None = None) -> None:
        self._values = DEFAULTS | (changed or {})

    def __getitem__(self, number: int) -> float:
        return self._values[number]

    def on(self, number: int) -> bool:
        return self._values[number] != 0

    def axes(self, first: int) -> Vector:
        return (self._values[first], self._values[first + 1], self._values[first + 2])

    def store(self, number: int, value: float) -> int:
        """0, or the error that Grbl answers with."""
        if value < 0:
            return 4
        if number not in self._values:
            return 3
        if number == 0 and value < MIN_PULSE_US:
            return 6
        if number == 20 and value and not self.on(22):
            return LIMITS_NEED_HOMING
        self._values[number] = value if number in THREE_DECIMALS or number in (30, 31) else int(value)
        if number == 22 and not value:
            self._values[20] = 0  # soft limits mean nothing without homing
        return 0

    def lines(self) -> list[str]:
        return [
            f"${number}={value:.3f}" if number in THREE_DECIMALS else f"${number}={value:.0f}"
            for number, value in sorted(self._values.items())
        ]
