"""The command lines of an ASI controller, and what a simulated one says of itself. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

SHORTCUTS: Final = {
    "MOVE": "M",
    "MOVREL": "R",
    "WHERE": "W",
    "STATUS": "/",
    "HALT": "\\",
    "HOME": "!",
    "HERE": "H",
    "ZERO": "Z",
    "RDSTAT": "RS",
    "RDSBYTE": "RB",
    "VERSION": "V",
    "BUILD": "BU",
    "WHO": "N",
    "CDATE": "CD",
    "SPEED": "S",
    "ACCEL": "AC",
    "BACKLASH": "B",
    "ERROR": "E",
    "PCROS": "PC",
    "SETLOW": "SL",
    "SETUP": "SU",
    "SETHOME": "HM",
    "SAVESET": "SS",
    "MOTCTRL": "MC",
    "RESET": "~",
}

CARDS: Final = (0, 1, 2, 3)
BUILDS: Final = {0: "TIGER_COMM", 1: "STD_XY", 2: "STD_ZF", 3: "TGLED_4"}
LED_CHANNELS: Final = {0: "X", 3: "XYZF"}  # by card; an MS-2000 has one on its TTL output
TIGER_LEDS: Final = {(3, channel): f"led{number}@L" for number, channel in enumerate("XYZF", start=1)}
TIGER_BUILD_DETAILS: Final = (
    "Motor Axes: X Y Z L",
    "Axis Types: x x z i",
    "Axis Addr: 1 1 2 3",
    "Hex Addr: 31 31 32 33",
    "Axis Props:   0   0   0   0",
)
BANNER: Final = (
    "At 30: Comm v3.39 TIGER_COMM Nov 30 2026:12:00:00",
    "At 31: X:XYMotor,Y:XYMotor v3.45 STD_XY Nov 30 2026:12:00:00",
    "At 32: Z:ZMotor v3.45 STD_ZF Nov 30 2026:12:00:00",
    "At 33: L:TGLED v3.45 TGLED_4 Nov 30 2026:12:00:00",
)

LINE: Final = re.compile(r"([0-9\x81-\xf5]?) ?([\\/!~]|[A-Z]+) ?(.*)", re.IGNORECASE)
PARAMETER: Final = re.compile(r"([A-Z])(?:=(-?[0-9]{1,10}(?:\.[0-9]{0,10})?)|([?+-]))?", re.IGNORECASE)


class CommandError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Parameter:
    """`X=12.5`, `X?`, `X+`, `X-` or `X`."""

    letter: str
    value: float | None
    sign: str


@dataclass(frozen=True, slots=True)
class Command:
    card: int | None
    name: str
    parameters: tuple[Parameter, ...]


def parse(line: str) -> Command | None:
    """None for what is no command. Case does not matter; blanks around `=` do not either."""
    match = LINE.fullmatch(" ".join(line.split()))
    if match is None:
        return None
    card = None if not match[1] else int(match[1]) if match[1].isdecimal() else ord(match[1]) - 0x30
    parameters = []
    for word in re.sub(r" ?= ?", "=", match[3]).split():
        found = PARAMETER.fullmatch(word)
        if found is None:
            return None
        parameters.append(Parameter(found[1].upper(), None if found[2] is None else float(found[2]), found[3] or ""))
    return Command(card, match[2].upper(), tuple(parameters))
