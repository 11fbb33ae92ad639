"""The G-code that the simulated Grbl understands: one line -> what it asks for, or Grbl's error number.

Left out, and answered with error 20 as an unknown command is: arcs, probing, G28/G30, tool length offsets and inverse
time feed. A stage has no use for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from hw.sim.motion import Vector

WORD = re.compile(r"([A-Z])([-+]?(?:\d+\.?\d*|\.\d+))?")
INCH_MM: Final = 25.4
AXES: Final = "XYZ"

# G-code -> modal group, by the NIST names that Grbl uses.
GROUPS: Final = {
    **dict.fromkeys(("G0", "G1", "G80"), "motion"),
    **dict.fromkeys(("G17", "G18", "G19"), "plane"),
    **dict.fromkeys(("G90", "G91"), "distance"),
    "G91.1": "arc distance",
    "G94": "feed mode",
    **dict.fromkeys(("G20", "G21"), "units"),
    "G40": "cutter",
    "G49": "tool length",
    **dict.fromkeys(("G54", "G55", "G56", "G57", "G58", "G59"), "coordinates"),
    "G61": "path",
    **dict.fromkeys(("G4", "G10", "G53", "G92", "G92.1"), "non-modal"),
    **dict.fromkeys(("M0", "M2", "M30"), "program"),
    **dict.fromkeys(("M3", "M4", "M5"), "spindle"),
    **dict.fromkeys(("M7", "M8", "M9"), "coolant"),
}
JOG_COMMANDS: Final = frozenset({"G20", "G21", "G90", "G91", "G53"})
VALUE_LETTERS: Final = frozenset("FLNPSTXYZ")
NEVER_NEGATIVE: Final = frozenset("FNPST")


class GcodeError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"error:{code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Modal:
    """What `$G` shows."""

    motion: str = "G0"
    coordinates: str = "G54"
    plane: str = "G17"
    units: str = "G21"
    distance: str = "G90"
    spindle: str = "M5"
    coolant: str = "M9"  # "M7 M8" where both are on
    tool: int = 0
    feed_mm_per_min: float = 0.0
    spindle_rpm: float = 0.0

    def describe(self) -> str:
        return (
            f"[GC:{self.motion} {self.coordinates} {self.plane} {self.units} {self.distance} G94 {self.spindle} "
            f"{self.coolant} T{self.tool} F{self.feed_mm_per_min:.0f} S{self.spindle_rpm:.0f}]"
        )


@dataclass(frozen=True, slots=True)
class Block:
    """One line, understood. `axes_mm` holds the given axes in mm, as written: absolute or relative, work or machine."""

    modal: Modal
    action: str  # "", "move", "G4", "G10", "G92", "G92.1"
    axes_mm: dict[str, float] = field(default_factory=dict)
    machine_frame: bool = False
    values: dict[str, float] = field(default_factory=dict)
    program: str = ""
    changes_spindle: bool = False

    def target_mm(self, at_mm: Vector, offset_mm: Vector) -> Vector:
        """Where the axes go, in the machine frame, from `at_mm` with the work offset in force."""
        target = list(at_mm)
        for letter, value in self.axes_mm.items():
            axis = AXES.index(letter)
            if self.machine_frame:
                target[axis] = value
            elif self.modal.distance == "G91":
                target[axis] += value
            else:
                target[axis] = value + offset_mm[axis]
        return (target[0], target[1], target[2])


def clean(line: str) -> str:
    """What is left of a line once Grbl's reader is done: no spaces, comments or block delete, upper case."""
    without = re.sub(r"\([^)]*\)?|;.*", "", line)
    return "".join(character for character in without.upper() if character > " " and character != "/")


def split_words(line: str) -> list[tuple[str, float]]:
    words, at = [], 0
    while at < len(line):
        match = WORD.match(line, at)
        if match is None:
            raise GcodeError(1)
        if match[2] is None:
            raise GcodeError(2)
        words.append((match[1], float(match[2])))
        at = match.end()
    return words


def interpret(line: str, modal: Modal, *, jog: bool = False) -> Block:
    """`line` as `clean` left it. Checks in Grbl's order, so that a line with two mistakes gets Grbl's answer."""
    commands, values = _sort(split_words(line))
    if jog and not set(commands.values()) <= JOG_COMMANDS:
        raise GcodeError(16)
    if jog:
        modal = replace(modal, motion="G1", feed_mm_per_min=0.0)
    modal = replace(
        modal,
        plane=commands.get("plane", modal.plane),
        units=commands.get("units", modal.units),
        distance=commands.get("distance", modal.distance),
        coordinates=commands.get("coordinates", modal.coordinates),
        motion=commands.get("motion", modal.motion),
        spindle=commands.get("spindle", modal.spindle),
        coolant=_coolant(modal.coolant, commands.get("coolant", "")),
    )
    modal = _with_values(modal, values)
    scale = INCH_MM if modal.units == "G20" else 1.0
    axes = {letter: values.pop(letter) * scale for letter in AXES if letter in values}
    action, machine_frame = _action(commands, axes, jog)
    _check(action, commands, modal, axes, values, jog=jog)
    return Block(
        modal,
        action,
        axes,
        machine_frame,
        values,
        commands.get("program", ""),
        not {"spindle", "coolant"}.isdisjoint(commands),
    )


def _coolant(before: str, command: str) -> str:
    """Mist and flood add up, M9 ends both."""
    if command in ("", "M9"):
        return command or before
    return " ".join(sorted({*before.split(), command} - {"M9"}))


def _sort(words: list[tuple[str, float]]) -> tuple[dict[str, str], dict[str, float]]:
    commands: dict[str, str] = {}
    values: dict[str, float] = {}
    for letter, value in words:
        if letter in "GM":
            name = f"{letter}{value:g}"
            if name not in GROUPS:
                raise GcodeError(20)
            if GROUPS[name] in commands:
                raise GcodeError(21)
            commands[GROUPS[name]] = name
        elif letter not in VALUE_LETTERS:
            raise GcodeError(20)
        elif letter in values:
            raise GcodeError(25)
        elif value < 0 and letter in NEVER_NEGATIVE:
            raise GcodeError(4)
        else:
            values[letter] = value
    return commands, values


def _with_values(modal: Modal, values: dict[str, float]) -> Modal:
    values.pop("N", None)
    scale = INCH_MM if modal.units == "G20" else 1.0
    if "F" in values:
        modal = replace(modal, feed_mm_per_min=values.pop("F") * scale)
    if "S" in values:
        modal = replace(modal, spindle_rpm=values.pop("S"))
    if "T" in values:
        modal = replace(modal, tool=int(values.pop("T")))
    return modal


def _action(commands: dict[str, str], axes: dict[str, float], jog: bool) -> tuple[str, bool]:
    non_modal = commands.get("non-modal", "")
    if non_modal in ("G10", "G92") and "motion" in commands:
        raise GcodeError(24)
    if non_modal in ("G4", "G10", "G92", "G92.1"):
        return non_modal, False
    if axes or jog:
        return "move", non_modal == "G53"
    return "", non_modal == "G53"


def _check(
    action: str,
    commands: dict[str, str],
    modal: Modal,
    axes: dict[str, float],
    values: dict[str, float],
    *,
    jog: bool,
) -> None:
    if action == "G4" and "P" not in values:
        raise GcodeError(28)
    if action in ("G92", "G10") and not axes:
        raise GcodeError(26)
    if action == "G10" and (values.get("L") not in (2, 20) or values.get("P", 0) not in range(7)):
        raise GcodeError(20)
    if commands.get("non-modal") == "G53" and modal.motion not in ("G0", "G1"):
        raise GcodeError(30)
    if action == "move" and modal.motion == "G80":
        raise GcodeError(31)
    moves = action == "move" or commands.get("motion") == "G1"
    if moves and modal.motion == "G1" and modal.feed_mm_per_min == 0:
        raise GcodeError(22)
    if jog and not axes:
        raise GcodeError(26)
    if set(values) - {"G4": {"P"}, "G10": {"L", "P"}}.get(action, set()):
        raise GcodeError(36)
