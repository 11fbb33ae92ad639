"""What a test or a person may do to the simulated instrument: one line of text, one fault. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

COMMANDS: Final = (
    "unplug stage|camera, replug stage|camera, eio stage|camera, silence [stage|camera] [on|off], "
    "garbage [stage|camera], half [stage|camera], slow [stage|camera] SECONDS|off, alarm N, restart, "
    "stuck x|y|z|off, lost x|y|z UM, drop N, corrupt N, gaze X_DEG Y_DEG"
)
DEVICES: Final = ("stage", "camera")
AXES: Final = "xyz"
MAX_SLOW_S: Final = 60.0
MAX_LOST_UM: Final = 100_000.0
MAX_FRAMES: Final = 1000
MAX_GAZE_DEG: Final = 360.0


@dataclass(frozen=True, slots=True)
class Fault:
    """`value` is what the verb is done with: on (1) or off (0), seconds, um, how many frames, which alarm, degrees.

    `vertical_deg` is of a gaze alone, whose `value` is the horizontal one.
    """

    verb: str
    device: str = "stage"
    axis: int = 0
    value: float = 0.0
    vertical_deg: float = 0.0


def parse(line: str) -> Fault:
    """`ValueError` says what is possible."""
    verb, *words = line.split() or [""]
    fault = _of_plug(verb, words) or _of_line(verb, words) or _of_stage(verb, words) or _of_camera(verb, words)
    fault = fault or _of_eye(verb, words)
    if fault is None:
        raise ValueError(f"unknown command {line.strip()!r}; there are: {COMMANDS}")
    return fault


def _of_plug(verb: str, words: list[str]) -> Fault | None:
    if verb in ("unplug", "replug", "eio") and len(words) == 1 and words[0] in DEVICES:
        return Fault(verb, words[0])
    return None


def _of_line(verb: str, words: list[str]) -> Fault | None:
    """What happens between a device and its plug; of the stage where no device is named."""
    device = words.pop(0) if words and words[0] in DEVICES else "stage"
    match verb, words:
        case (("garbage" | "half"), []):
            return Fault(verb, device)
        case "silence", [] | ["on"]:
            return Fault(verb, device, value=1)
        case "silence", ["off"]:
            return Fault(verb, device)
        case "slow", ["off"]:
            return Fault(verb, device)
        case "slow", [seconds] if (value := _number(seconds, MAX_SLOW_S)) is not None and value > 0:
            return Fault(verb, device, value=value)
    return None


def _of_stage(verb: str, words: list[str]) -> Fault | None:
    match verb, words:
        case "alarm", [number] if number.isdecimal() and len(number) < 3:
            return Fault(verb, value=int(number))
        case "restart", []:
            return Fault(verb)
        case "stuck", ["off"]:
            return Fault("free")
        case "stuck", [axis] if axis in AXES and len(axis) == 1:
            return Fault(verb, axis=AXES.index(axis))
        case "lost", [axis, um] if axis in AXES and len(axis) == 1 and (value := _number(um, MAX_LOST_UM)) is not None:
            return Fault(verb, axis=AXES.index(axis), value=value)
    return None


def _of_camera(verb: str, words: list[str]) -> Fault | None:
    if verb in ("drop", "corrupt") and len(words) == 1 and words[0].isdecimal() and int(words[0][:6]) <= MAX_FRAMES:
        return Fault(verb, "camera", value=int(words[0][:6]))
    return None


def _of_eye(verb: str, words: list[str]) -> Fault | None:
    if verb != "gaze" or len(words) != 2:
        return None
    degrees = [_number(word, MAX_GAZE_DEG) for word in words]
    left, up = degrees
    if left is None or up is None:
        raise ValueError(f"gaze: {words[degrees.index(None)]!r} is no number of degrees")
    return Fault(verb, "camera", value=left, vertical_deg=up)


def _number(text: str, largest: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= largest else None
