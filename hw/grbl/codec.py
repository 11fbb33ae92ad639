"""Grbl 1.1 on the wire: bytes <-> events. Pure; a driver and a transcript use it alike.

Grbl answers each line with `ok` or `error:N` and pushes everything else when it likes. Any bytes at all, split
anywhere, become events: a line that is none of Grbl's is `Unrecognised` with its bytes, for the driver to judge.
Positions are in mm, as Grbl writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hw.line_splitter import LineSplitter

Vector = tuple[float, float, float]

# Grbl's longest line is a status with every field on (about 150 characters) or an echoed 80-character line.
MAX_RECEIVED_LINE: Final = 256
# LINE_BUFFER_SIZE 80 with the terminator; a longer line is error:11.
MAX_SENT_LINE: Final = 79
# "[OPT:V,15,128]": what may be on its way and unanswered, newlines included.
RX_BUFFER_BYTES: Final = 128

# Real-time bytes: taken from the line at once, never buffered, never acknowledged.
STATUS_QUERY: Final = b"?"
FEED_HOLD: Final = b"!"
RESUME: Final = b"~"
RESET: Final = b"\x18"
SAFETY_DOOR: Final = b"\x84"
JOG_CANCEL: Final = b"\x85"

ALARMS: Final = {
    1: "hard limit: a limit switch was hit, the position is lost",
    2: "soft limit: the target is outside the travel, the position is kept",
    3: "reset in motion: the position is lost",
    4: "probe: not in the expected state before the probing move",
    5: "probe: no contact within the programmed travel",
    6: "homing: reset while homing",
    7: "homing: safety door opened while homing",
    8: "homing: the pull-off did not clear the limit switch",
    9: "homing: no limit switch found within the search distance",
    10: "homing: second switch of a dual axis not found",
}
# After these Grbl is silent to everything until a reset.
CRITICAL_ALARMS: Final = frozenset({1, 2})

ERRORS: Final = {
    1: "G-code word without its letter",
    2: "bad number format",
    3: "unknown $ command",
    4: "negative value",
    5: "homing is not enabled ($22)",
    6: "step pulse shorter than 3 us",
    7: "settings memory could not be read, defaults restored",
    8: "command needs an idle machine",
    9: "locked: alarm or jog state",
    10: "soft limits need homing ($22)",
    11: "line too long",
    12: "step rate above the board's maximum",
    13: "safety door open",
    14: "start-up line or build info too long",
    15: "jog target outside the travel",
    16: "jog command malformed or not allowed",
    17: "laser mode needs PWM output",
    20: "unsupported or invalid G-code command",
    21: "two commands of one modal group in a line",
    22: "no feed rate",
    23: "command needs an integer value",
    24: "two commands that need axis words in a line",
    25: "word repeated in a line",
    26: "no axis words for a command that needs them",
    27: "line number out of range",
    28: "required value word missing",
    29: "work coordinate system not supported",
    30: "G53 needs G0 or G1",
    31: "axis words without a command that uses them",
    32: "no axis words in the arc's plane",
    33: "invalid target",
    34: "arc radius error",
    35: "no offset words in the arc's plane",
    36: "unused value words",
    37: "tool length offset not on the configured axis",
    38: "tool number too large",
}


class State(StrEnum):
    IDLE = "Idle"
    RUN = "Run"
    HOLD = "Hold"
    JOG = "Jog"
    ALARM = "Alarm"
    DOOR = "Door"
    CHECK = "Check"
    HOME = "Home"
    SLEEP = "Sleep"


STATES: Final = frozenset(state.value for state in State)


@dataclass(frozen=True, slots=True)
class Ok:
    pass


@dataclass(frozen=True, slots=True)
class Error:
    code: int

    @property
    def text(self) -> str:
        return ERRORS.get(self.code, "an error this driver has no words for")


@dataclass(frozen=True, slots=True)
class Alarm:
    code: int

    @property
    def text(self) -> str:
        return ALARMS.get(self.code, "an alarm this driver has no words for")

    @property
    def critical(self) -> bool:
        return self.code in CRITICAL_ALARMS


@dataclass(frozen=True, slots=True)
class Status:
    """`<...>`: one of the two positions is always there, all else only now and then."""

    state: State
    substate: int | None = None
    machine_mm: Vector | None = None
    work_mm: Vector | None = None
    work_offset_mm: Vector | None = None
    planner_free: int | None = None
    rx_free: int | None = None
    feed: float | None = None
    spindle: float | None = None
    pins: str = ""
    overrides_percent: Vector | None = None
    accessories: str = ""


@dataclass(frozen=True, slots=True)
class Banner:
    """The board has started, or was reset: nothing sent before will be answered."""

    version: str


@dataclass(frozen=True, slots=True)
class Message:
    text: str


@dataclass(frozen=True, slots=True)
class Setting:
    number: int
    value: str


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """`[VER:version:info]`; `info` is the line that the board's owner may store."""

    version: str
    info: str


@dataclass(frozen=True, slots=True)
class BuildOptions:
    options: str
    planner_blocks: int | None
    rx_bytes: int | None


@dataclass(frozen=True, slots=True)
class StoredLine:
    """`$N0=`: a start-up line as stored."""

    index: int
    line: str


@dataclass(frozen=True, slots=True)
class StartupResult:
    """`>line:ok`: a start-up line was run after a reset. Not the answer to anything that was sent."""

    line: str
    error: int | None


@dataclass(frozen=True, slots=True)
class Feedback:
    """Any other `[TAG:text]`: G54..G59, G28, G30, G92, TLO, PRB, GC, HLP, echo."""

    tag: str
    text: str


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """Bytes that are no line of Grbl 1.1; cut to `MAX_RECEIVED_LINE`."""

    line: bytes


Event = (
    Ok
    | Error
    | Alarm
    | Status
    | Banner
    | Message
    | Setting
    | BuildInfo
    | BuildOptions
    | StoredLine
    | StartupResult
    | Feedback
    | Unrecognised
)


# ------------------------------------------------------------------------------------------------- bytes -> events

NUMBER = r"-?\d{1,9}(?:\.\d{1,6})?"
NUMBER_PATTERN = re.compile(NUMBER)
VECTOR_PATTERN = re.compile(f"({NUMBER}),({NUMBER}),({NUMBER})")
ERROR_PATTERN = re.compile(r"error:(\d{1,3})")
ALARM_PATTERN = re.compile(r"ALARM:(\d{1,3})")
SETTING_PATTERN = re.compile(r"\$(\d{1,3})=(.*)")
STORED_PATTERN = re.compile(r"\$N(\d)=(.*)")
STARTUP_PATTERN = re.compile(r">(.*):(?:ok|error:(\d{1,3}))")
BANNER_PATTERN = re.compile(r"Grbl (\S+) \[.*\]")
FEEDBACK_PATTERN = re.compile(r"\[([A-Za-z0-9]{1,8}):(.*)\]")
STATUS_PATTERN = re.compile(r"<([A-Z][a-z]+)(?::(\d))?((?:\|[A-Za-z]+:[^|<>]*)+)>")
ACCESSORIES_PATTERN = re.compile(r"[SCFM]*")
PINS_PATTERN = re.compile(r"[XYZPDHRS]*")


class Decoder:
    """Bytes in, events out, any split. Holds at most one unfinished line."""

    def __init__(self) -> None:
        self._lines = LineSplitter(MAX_RECEIVED_LINE)

    @property
    def unfinished(self) -> bytes:
        """What came since the last line's end."""
        return self._lines.unfinished

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
    return _decode_text(line.decode("ascii")) or Unrecognised(line)


def _decode_text(text: str) -> Event | None:
    if text == "ok":
        return Ok()
    if text.startswith("<"):
        return _decode_status(text)
    if text.startswith("["):
        return _decode_feedback(text)
    if match := ERROR_PATTERN.fullmatch(text):
        return Error(int(match[1]))
    if match := ALARM_PATTERN.fullmatch(text):
        return Alarm(int(match[1]))
    if match := SETTING_PATTERN.fullmatch(text):
        return Setting(int(match[1]), match[2])
    if match := STORED_PATTERN.fullmatch(text):
        return StoredLine(int(match[1]), match[2])
    if match := STARTUP_PATTERN.fullmatch(text):
        return StartupResult(match[1], int(match[2]) if match[2] else None)
    if match := BANNER_PATTERN.fullmatch(text):
        return Banner(match[1])
    return None


def _decode_feedback(text: str) -> Event | None:
    match = FEEDBACK_PATTERN.fullmatch(text)
    if match is None:
        return None
    tag, rest = match[1], match[2]
    if tag == "MSG":
        return Message(rest)
    if tag == "VER":
        version, _, info = rest.partition(":")
        return BuildInfo(version, info)
    if tag == "OPT":
        options, *counts = rest.split(",")
        sizes = [int(count) if re.fullmatch(r"\d{1,4}", count) else None for count in counts]
        planner_blocks, rx_bytes, *_ = [*sizes, None, None]
        return BuildOptions(options, planner_blocks, rx_bytes)
    return Feedback(tag, rest)


def _decode_status(text: str) -> Status | None:
    match = STATUS_PATTERN.fullmatch(text)
    if match is None or match[1] not in STATES:
        return None
    fields: dict[str, object] = {}
    for field in match[3][1:].split("|"):
        name, _, value = field.partition(":")
        decoded = _decode_status_field(name, value)
        if decoded is None or not fields.keys().isdisjoint(decoded):
            return None
        fields |= decoded
    if "machine_mm" not in fields and "work_mm" not in fields:
        return None
    return Status(State(match[1]), int(match[2]) if match[2] else None, **fields)  # type: ignore[arg-type]


VECTOR_FIELDS: Final = {
    "MPos": "machine_mm",
    "WPos": "work_mm",
    "WCO": "work_offset_mm",
    "Ov": "overrides_percent",
}


def _decode_status_field(name: str, value: str) -> dict[str, object] | None:
    """What one field says; {} for a field we do not know, None for one that is broken."""
    if name in VECTOR_FIELDS:
        match = VECTOR_PATTERN.fullmatch(value)
        return {VECTOR_FIELDS[name]: (float(match[1]), float(match[2]), float(match[3]))} if match else None
    if name == "Pn":
        return {"pins": value} if PINS_PATTERN.fullmatch(value) else None
    if name == "A":
        return {"accessories": value} if ACCESSORIES_PATTERN.fullmatch(value) else None
    if name not in ("Bf", "FS", "F"):
        return {}
    numbers = value.split(",")
    if len(numbers) != (1 if name == "F" else 2) or not all(NUMBER_PATTERN.fullmatch(number) for number in numbers):
        return None
    if name == "Bf":
        return {"planner_free": int(float(numbers[0])), "rx_free": int(float(numbers[1]))}
    return dict(zip(("feed", "spindle"), map(float, numbers), strict=False))


# ------------------------------------------------------------------------------------------------- commands -> bytes

HOME: Final = b"$H\n"
UNLOCK: Final = b"$X\n"
VIEW_SETTINGS: Final = b"$$\n"
VIEW_BUILD_INFO: Final = b"$I\n"
MILLIMETRES_ABSOLUTE: Final = b"G21 G90\n"

FLOOD_ON: Final = b"M8\n"
MIST_ON: Final = b"M7\n"
COOLANT_OFF: Final = b"M9\n"

# They would be taken out of the line and acted upon.
REALTIME_CHARACTERS: Final = frozenset("?!~")


def encode_line(text: str) -> bytes:
    """A line for Grbl's buffer, ended by LF alone: CR LF would be two lines and get two answers."""
    if len(text) > MAX_SENT_LINE:
        raise ValueError(f"{len(text)} characters, Grbl takes at most {MAX_SENT_LINE}: {text[:32]!r}...")
    if not all(" " <= character <= "~" for character in text) or REALTIME_CHARACTERS & set(text):
        raise ValueError(f"not a plain line for Grbl: {text!r}")
    return text.encode("ascii") + b"\n"


def encode_jog(target_mm: Vector, feed_mm_per_min: float) -> bytes:
    """Jog to a place in the machine frame. Carries its own modes: whatever was set before does not matter."""
    x, y, z = target_mm
    return encode_line(f"$J=G53G21G90X{x:.3f}Y{y:.3f}Z{z:.3f}F{feed_mm_per_min:.1f}")


def encode_spindle(speed: float) -> bytes:
    """The spindle output at S `speed`, off at 0."""
    return encode_line(f"M3 S{speed:.1f}") if speed else encode_line("M5")
