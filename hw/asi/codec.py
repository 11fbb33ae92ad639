"""ASI MS-2000 and Tiger (TG-1000) on the wire: bytes <-> replies. Pure.

From ASI's published documents (asiimaging.com/docs: rs232_comm, tiger_ms2k_difference, commands/*), not from
recordings: none of a real controller exist here.

A command is a line ended by CR, and each gets one reply, in order, ended by CR LF; the lines of a longer reply (`BU X`)
are separated by CR alone. Success is `:A`, an error `:N-2`, and values come in as many forms as there are commands:
`:A 10 20`, `:A X=10 Y=20`, `:X=10 Y=20 A`, `X=10 Y=20 :A`. In "Tiger reply syntax" (`VB F=1`) the `:A` is left out, and
an empty line is success. All of them are read, so that nothing on a controller has to be changed for us.

Positions are in 0.1 um on the wire, limits and backlash in mm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hw.line_splitter import LineSplitter

# `BU X` and `WHO` of a Tiger with 16 cards are about 1500 characters; Micro-Manager allows 2048.
MAX_RECEIVED_REPLY: Final = 4096
# The documents name no limit; `M` with three axes has 45 characters.
MAX_SENT_LINE: Final = 100
UNITS_PER_UM: Final = 10
# What `UM` must say for that: units per mm. It can be changed, and is kept by the controller.
UNITS_PER_MM: Final = 10000.0

HALTED: Final = -21
ERRORS: Final = {
    -1: "unknown command",
    -2: "unrecognised axis letter",
    -3: "missing parameters",
    -4: "parameter out of range",
    -5: "operation failed",
    -6: "undefined error",
    -7: "invalid card address",
    HALTED: "command stopped by HALT",
}


@dataclass(frozen=True, slots=True)
class Done:
    """`:A`."""


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing but the end of a line: success in the Tiger reply syntax, and otherwise nothing."""


@dataclass(frozen=True, slots=True)
class Failed:
    """`:N-2`."""

    code: int

    @property
    def text(self) -> str:
        return ERRORS.get(self.code, "an error this driver has no words for")


@dataclass(frozen=True, slots=True)
class Motors:
    """`B` or `N`, the reply to `/`: whether a commanded move is in progress on any axis."""

    busy: bool


@dataclass(frozen=True, slots=True)
class Values:
    """`:A 10 20`: numbers without their axes, in the controller's order of axes whatever was asked for."""

    numbers: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Assignments:
    """`:A X=10 Y=20` in any of its forms."""

    values: tuple[tuple[str, float], ...]

    def get(self, letter: str) -> float | None:
        return dict(self.values).get(letter)


@dataclass(frozen=True, slots=True)
class Text:
    """Any other plain reply, without its `:A`: versions, builds, names."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Banner:
    """A Tiger lists its cards: the reply to `WHO`, and unasked when it starts."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """Bytes that are no reply of an ASI controller; cut to `MAX_RECEIVED_REPLY`."""

    line: bytes


Reply = Done | Empty | Failed | Motors | Values | Assignments | Text | Banner
Event = Reply | Unrecognised


# ------------------------------------------------------------------------------------------------- bytes -> replies

NUMBER = r"-?\d{1,9}(?:\.\d{1,9})?"
FAILED_PATTERN = re.compile(r":N(-\d{1,3})")
VALUES_PATTERN = re.compile(rf":A( ?{NUMBER}(?: {NUMBER})*)")
ASSIGNMENTS = rf"((?:[A-Z]={NUMBER} ?)+)"
ASSIGNMENTS_PATTERNS = tuple(
    re.compile(pattern) for pattern in (rf":A {ASSIGNMENTS}", rf":{ASSIGNMENTS}A", rf"{ASSIGNMENTS}:A", ASSIGNMENTS)
)
BANNER_PATTERN = re.compile(r"At [0-9A-F]{2}: ")


class Decoder:
    """Bytes in, replies out, any split. Holds at most one unfinished reply."""

    def __init__(self) -> None:
        self._replies = LineSplitter(MAX_RECEIVED_REPLY)

    @property
    def unfinished(self) -> bytes:
        """What came since the last LF."""
        return self._replies.unfinished

    def clear(self) -> None:
        self._replies.clear()

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that `data` completes. The iterator must be used up before the next call."""
        for reply, overlong in self._replies.feed(data):
            yield Unrecognised(reply) if overlong else decode_reply(reply)


def decode_reply(reply: bytes) -> Event:
    """One reply without its LF; its CR and the blanks before it are optional."""
    reply = reply.rstrip(b"\r ")
    if not all(0x20 <= byte < 0x7F or byte == 0x0D for byte in reply):
        return Unrecognised(reply)
    lines = tuple(line.strip(" ") for line in reply.decode("ascii").split("\r"))
    return _decode_line(lines[0]) if len(lines) == 1 else _decode_lines(lines)


def _decode_line(line: str) -> Event:
    if line in ("", ":A"):
        return Done() if line else Empty()
    if line in ("B", "N"):
        return Motors(line == "B")
    if match := FAILED_PATTERN.fullmatch(line):
        return Failed(int(match[1]))
    if match := VALUES_PATTERN.fullmatch(line):
        return Values(tuple(float(number) for number in match[1].split()))
    for pattern in ASSIGNMENTS_PATTERNS:
        if match := pattern.fullmatch(line):
            pairs = (pair.partition("=") for pair in match[1].split())
            return Assignments(tuple((letter, float(number)) for letter, _, number in pairs))
    return _decode_lines((line,))


def _decode_lines(lines: tuple[str, ...]) -> Event:
    first = lines[0]
    if first.startswith((":N", ":A")) and not first.startswith(":A "):
        return Unrecognised("\r".join(lines).encode("ascii"))
    if BANNER_PATTERN.match(first):
        return Banner(lines)
    return Text((first.removeprefix(":A ").strip(), *lines[1:]))


@dataclass(frozen=True, slots=True)
class AxisStatus:
    """The status byte of one axis, as `RS` prints it in decimal.

    `RB` sends the same byte raw: its commonest value, 0x0A, is the LF that ends a reply, so it is never asked for.
    """

    moving: bool
    enabled: bool
    motor_on: bool
    joystick: bool
    ramping: bool
    ramping_up: bool
    upper_limit: bool
    lower_limit: bool

    @classmethod
    def from_byte(cls, value: int) -> AxisStatus:
        return cls(*(bool(value >> bit & 1) for bit in range(8)))

    @property
    def byte(self) -> int:
        low = (self.moving, self.enabled, self.motor_on, self.joystick)
        high = (self.ramping, self.ramping_up, self.upper_limit, self.lower_limit)
        return sum(bit << place for place, bit in enumerate((*low, *high)))


# ------------------------------------------------------------------------------------------------- the build

LED_PROPERTY: Final = 1 << 6  # of "Axis Props": this card has an LED output (Tiger 2.87 and later)
LED_CARD: Final = "i"  # of "Axis Types": a TGLED card


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the build. `card` is the byte that goes before a card-addressed command; 0 on an MS-2000."""

    letter: str
    kind: str = ""
    card: int = 0
    properties: int = 0


@dataclass(frozen=True, slots=True)
class Build:
    """The reply to `BU X`: what the firmware was built for."""

    name: str
    axes: tuple[Axis, ...]
    modules: tuple[str, ...]

    @property
    def tiger(self) -> bool:
        return self.name.startswith("TIGER_COMM")


def decode_build(lines: Sequence[str]) -> Build | None:
    """None where a line about the axes is broken or says less than another."""
    columns: dict[str, list[str]] = {}
    modules = []
    for line in lines[1:]:
        title, colon, rest = line.partition(":")
        if colon and title in ("Motor Axes", "Axis Types", "Axis Addr", "Hex Addr", "Axis Props"):
            columns[title] = rest.split()
        else:
            modules.append(line)
    letters = [letter.upper() for letter in columns.get("Motor Axes", [])]
    kinds = columns.get("Axis Types", [""] * len(letters))
    cards = columns.get("Hex Addr", ["0"] * len(letters))
    properties = columns.get("Axis Props", ["0"] * len(letters))
    if any(len(letter) != 1 for letter in letters) or not len(letters) == len(kinds) == len(cards) == len(properties):
        return None
    if any(re.fullmatch("[0-9A-Fa-f]{1,2}", card) is None for card in cards):
        return None
    if any(re.fullmatch("[0-9]{1,3}", number) is None for number in properties):
        return None
    rows = zip(letters, kinds, cards, properties, strict=True)
    axes = tuple(Axis(letter, kind, int(card, 16), int(number)) for letter, kind, card, number in rows)
    return Build(lines[0], axes, tuple(modules))


# ------------------------------------------------------------------------------------------------- commands -> bytes

HALT: Final = b"\\\r"
STATUS: Final = b"/\r"
BUILD: Final = b"BU\r"
BUILD_DETAILS: Final = b"BU X\r"
VERSION: Final = b"V\r"
TIGER_VERSION: Final = b"0V\r"  # of the COMM card, whose address is 0
VERBOSE_MODES: Final = b"VB X?\r"
RESTART_MARK: Final = b"BU Z?\r"


def encode_command(text: str, *, card: int = 0) -> bytes:
    """A line for the controller, `card` before it where it is for one card of a Tiger.

    An axis-specific command must not have an address: its behaviour is then undefined (tiger_ms2k_difference).
    """
    if len(text) > MAX_SENT_LINE:
        raise ValueError(f"{len(text)} characters, more than {MAX_SENT_LINE}: {text[:32]!r}...")
    if not text or not all(" " <= character <= "~" for character in text):
        raise ValueError(f"not a plain line for an ASI controller: {text!r}")
    if card and not (0x31 <= card <= 0x39 or 0x81 <= card <= 0xF5):
        raise ValueError(f"0x{card:02x} is no address of a card")
    return (bytes([card]) if card else b"") + text.encode("ascii") + b"\r"


def encode_move(targets_um: Mapping[str, float]) -> bytes:
    """To a place in the controller's coordinates; each axis goes at its own speed."""
    return encode_command(f"M {_in_units(targets_um)}")


def encode_move_by(distances_um: Mapping[str, float]) -> bytes:
    return encode_command(f"R {_in_units(distances_um)}")


def encode_here(positions_um: Mapping[str, float]) -> bytes:
    """Call the place where the axes are by other coordinates; limits and home stay where they are."""
    return encode_command(f"H {_in_units(positions_um)}")


def encode_where(letters: str) -> bytes:
    """The reply is in the controller's order of axes: ask in that order."""
    return encode_command(f"W {' '.join(letters)}")


def encode_query(command: str, letter: str, *, card: int = 0) -> bytes:
    return encode_command(f"{command} {letter}?", card=card)


def encode_status_query(letter: str) -> bytes:
    return encode_command(f"RS {letter}")


def encode_led(letter: str, percent: int, *, card: int = 0) -> bytes:
    return encode_command(f"LED {letter}={percent}", card=card)


def _in_units(values_um: Mapping[str, float]) -> str:
    return " ".join(f"{letter}={value * UNITS_PER_UM:.1f}" for letter, value in values_um.items())
