"""Sangaboard v0.4, v0.5 and v1.0 on the wire: bytes <-> events. Pure; a driver and a transcript use it alike.

Replies carry no tag and no checksum: what a line answers follows only from the order. Any bytes at all, split
anywhere, become events: a line that is none of the board's is `Unrecognised` with its bytes, for the driver to judge.
Positions are in steps, as the board counts them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hw.line_splitter import LineSplitter

Steps = tuple[int, int, int]

# The longest lines are those of `help`, about 80 characters.
MAX_RECEIVED_LINE: Final = 128
# INPUT_BUFFER_LENGTH is 64 with the terminator; what is longer is taken for two commands.
MAX_SENT_LINE: Final = 63
# Counts and distances are 32-bit signed on the board, and wrap silently.
MAX_STEPS: Final = 2**31 - 1
MAX_MODULES: Final = 32


@dataclass(frozen=True, slots=True)
class Version:
    """The answer to `version`, and what the board says by itself when it starts. `text` is the whole line."""

    text: str
    number: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Done:
    """`done.` or `done`: the end of a move, or only its begin (v1.0, not blocking), or a setting was taken."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """v1.0: a move has ended; only where it was asked for, or where moves are blocking."""


@dataclass(frozen=True, slots=True)
class MoveAborted:
    """v1.0: the answer to `stop`, in motion or not."""


@dataclass(frozen=True, slots=True)
class NotMoving:
    """v1.0: `notify_on_stop` came too late."""


@dataclass(frozen=True, slots=True)
class Triple:
    """Three numbers: the answer to `p?`, `endstops?` and `max_p?`."""

    values: Steps


@dataclass(frozen=True, slots=True)
class PositionReset:
    """The answer to `zero`."""


@dataclass(frozen=True, slots=True)
class MotorsReleased:
    pass


@dataclass(frozen=True, slots=True)
class Moving:
    moving: bool


@dataclass(frozen=True, slots=True)
class BlockingMoves:
    blocking: bool


@dataclass(frozen=True, slots=True)
class StepDelay:
    us: int


@dataclass(frozen=True, slots=True)
class RampTime:
    us: int


@dataclass(frozen=True, slots=True)
class EndstopHit:
    """v1.0 pushes it, in every turn of its loop while the switch is pressed. `axis` 0..2, `direction` -1 min, 1 max."""

    axis: int
    direction: int


@dataclass(frozen=True, slots=True)
class Module:
    """A line of `list_modules`, such as `Endstops: min soft`."""

    name: str
    details: str


@dataclass(frozen=True, slots=True)
class EndOfList:
    pass


@dataclass(frozen=True, slots=True)
class CcLed:
    level: float


@dataclass(frozen=True, slots=True)
class PwmLeds:
    """Every channel, or one with its number."""

    levels: tuple[float, ...]
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class LedChannels:
    cc: int
    pwm: int


@dataclass(frozen=True, slots=True)
class LedFrequency:
    hz: int


@dataclass(frozen=True, slots=True)
class UnknownCommand:
    """The board knows no such command; nothing was done."""


@dataclass(frozen=True, slots=True)
class BoardError:
    text: str


@dataclass(frozen=True, slots=True)
class BoardName:
    """The answer to `board` (v0.5 on)."""

    name: str


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """Bytes that are no line of a Sangaboard; cut to `MAX_RECEIVED_LINE`."""

    line: bytes


Event = (
    Version
    | Done
    | Stopped
    | MoveAborted
    | NotMoving
    | Triple
    | PositionReset
    | MotorsReleased
    | Moving
    | BlockingMoves
    | StepDelay
    | RampTime
    | EndstopHit
    | Module
    | EndOfList
    | CcLed
    | PwmLeds
    | LedChannels
    | LedFrequency
    | UnknownCommand
    | BoardError
    | BoardName
    | Unrecognised
)


# ------------------------------------------------------------------------------------------------- bytes -> events

FIXED: Final[dict[str, Event]] = {
    "done.": Done(),
    "done": Done(),
    "stopped": Stopped(),
    "Move aborted": MoveAborted(),
    "Error: stage is not moving": NotMoving(),
    "position reset to 0 0 0": PositionReset(),
    "motors released": MotorsReleased(),
    "true": Moving(True),
    "false": Moving(False),
    "blocking_moves true": BlockingMoves(True),
    "blocking_moves false": BlockingMoves(False),
    "--END--": EndOfList(),
    "Type 'help' for a list of commands.": UnknownCommand(),
    "Invalid command": UnknownCommand(),
}
LEVEL = r"\d{1,3}(?:\.\d{1,6})?"
VERSION_PATTERN = re.compile(r"(?:OpenFlexure Motor Board|Sangaboard Firmware) v(\d{1,3})\.(\d{1,3})\S{0,60}")
TRIPLE_PATTERN = re.compile(r"(-?\d{1,10}) (-?\d{1,10}) (-?\d{1,10})")
STEP_DELAY_PATTERN = re.compile(r"minimum step delay (-?\d{1,10})")
RAMP_TIME_PATTERN = re.compile(r"ramp[ _]time (-?\d{1,10})")
ENDSTOP_PATTERN = re.compile(r"Endstop hit:(-?)([123])")
CC_PATTERN = re.compile(f"CC LED:({LEVEL})")
PWM_ALL_PATTERN = re.compile(f"PWM:((?:{LEVEL};){{1,16}})")
PWM_ONE_PATTERN = re.compile(rf"PWM:(\d{{1,2}}):({LEVEL})")
CHANNELS_PATTERN = re.compile(r"CC:(\d{1,2}) PWM:(\d{1,2})")
FREQUENCY_PATTERN = re.compile(r"PWM Frequency:(\d{1,9})Hz")
ERROR_PATTERN = re.compile(r"Error: (.*)")
# What a board's maker may add is not known; what looks like it and is an answer of another kind is.
MODULE_PATTERN = re.compile(r"(?!CC |PWM|Endstop hit)([A-Z][A-Za-z ]{0,30}): ?(.*)")
BOARD_PATTERN = re.compile(r"Sangaboard v\S{1,40}")


class Decoder:
    """Bytes in, events out, any split. Holds at most one unfinished line."""

    def __init__(self) -> None:
        self._lines = LineSplitter(MAX_RECEIVED_LINE)

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that `data` completes. The iterator must be used up before the next call."""
        for line, overlong in self._lines.feed(data):
            if overlong:
                yield Unrecognised(line)
            elif stripped := line.strip(b"\r"):
                yield decode_line(stripped)


def decode_line(line: bytes) -> Event:
    """One line without its end."""
    if not all(0x20 <= byte < 0x7F for byte in line):
        return Unrecognised(line)
    text = line.decode("ascii")
    return FIXED.get(text) or _decode_numbers(text) or _decode_leds(text) or _decode_words(text) or Unrecognised(line)


def _decode_numbers(text: str) -> Event | None:
    if match := TRIPLE_PATTERN.fullmatch(text):
        values = (int(match[1]), int(match[2]), int(match[3]))
        return Triple(values) if all(-MAX_STEPS - 1 <= value <= MAX_STEPS for value in values) else None
    if match := STEP_DELAY_PATTERN.fullmatch(text):
        return StepDelay(int(match[1]))
    if match := RAMP_TIME_PATTERN.fullmatch(text):
        return RampTime(int(match[1]))
    if match := ENDSTOP_PATTERN.fullmatch(text):
        return EndstopHit(int(match[2]) - 1, -1 if match[1] else 1)
    return None


def _decode_leds(text: str) -> Event | None:
    if match := CC_PATTERN.fullmatch(text):
        return CcLed(float(match[1]))
    if match := PWM_ALL_PATTERN.fullmatch(text):
        return PwmLeds(tuple(map(float, match[1].rstrip(";").split(";"))))
    if match := PWM_ONE_PATTERN.fullmatch(text):
        return PwmLeds((float(match[2]),), int(match[1]))
    if match := CHANNELS_PATTERN.fullmatch(text):
        return LedChannels(int(match[1]), int(match[2]))
    if match := FREQUENCY_PATTERN.fullmatch(text):
        return LedFrequency(int(match[1]))
    return None


def _decode_words(text: str) -> Event | None:
    if match := VERSION_PATTERN.fullmatch(text):
        return Version(text, (int(match[1]), int(match[2])))
    if BOARD_PATTERN.fullmatch(text):
        return BoardName(text)
    if match := ERROR_PATTERN.fullmatch(text):
        return BoardError(match[1])
    if match := MODULE_PATTERN.fullmatch(text):
        return Module(match[1], match[2].strip())
    return None


# ------------------------------------------------------------------------------------------------- commands -> bytes

VERSION: Final = b"version\n"
LIST_MODULES: Final = b"list_modules\n"
POSITION: Final = b"p?\n"
ZERO: Final = b"zero\n"
STOP: Final = b"stop\n"
IS_MOVING: Final = b"moving?\n"
NOTIFY_ON_STOP: Final = b"notify_on_stop\n"
HOW_BLOCKING: Final = b"blocking_moves?\n"
STEP_DELAY: Final = b"dt?\n"
RAMP_TIME: Final = b"ramp_time?\n"
ENDSTOPS: Final = b"endstops?\n"
LIMIT_POSITIONS: Final = b"max_p?\n"
LED_CHANNELS: Final = b"led_channels?\n"
CC_LEVEL: Final = b"led_cc?\n"
PWM_LEVELS: Final = b"led_pwm?\n"


def encode_move(steps: Steps) -> bytes:
    """Relative, always with three numbers: fewer crash v1.0-beta, and v0.4 moves by what its stack happens to hold."""
    if any(abs(value) > MAX_STEPS for value in steps):
        raise ValueError(f"{steps}: the board counts to {MAX_STEPS} steps")
    return b"mr %d %d %d\n" % steps


def encode_home(direction: int, axes: int) -> bytes:
    """`home_min` (-1) or `home_max` (1) of the axes in the mask: 1 x, 2 y, 4 z."""
    if direction not in (-1, 1) or not 1 <= axes <= 7:
        raise ValueError(f"direction {direction}, axes {axes}: -1 or 1, and 1 to 7")
    return b"home_%s %d\n" % (b"min" if direction < 0 else b"max", axes)


def encode_cc(level: float) -> bytes:
    """Constant-current LED, 0..1."""
    return b"led_cc %.3f\n" % _checked_level(level)


def encode_pwm(channel: int, level: float) -> bytes:
    """PWM channel, 0..1."""
    if not 0 <= channel < 16:
        raise ValueError(f"channel {channel}: 0 to 15")
    return b"led_pwm %d %.3f\n" % (channel, _checked_level(level))


def _checked_level(level: float) -> float:
    if not 0.0 <= level <= 1.0:
        raise ValueError(f"level {level}: 0 to 1")
    return level
