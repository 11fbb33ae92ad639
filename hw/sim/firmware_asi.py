"""A simulated ASI MS-2000 or Tiger controller as a pure state machine: bytes and time in, bytes out.

Written from ASI's published documents (asiimaging.com/docs: commands/*, rs232_comm, tiger_ms2k_difference); no
recording of a real controller exists to compare it with. Each command replies in the form that its page shows, odd as
they are. It says in its version that it is a simulator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hw.sim.firmware_asi_axes import LOWER, UPPER, Axes, Parameters
from hw.sim.firmware_asi_words import (
    BANNER,
    BUILDS,
    CARDS,
    LED_CHANNELS,
    SHORTCUTS,
    TIGER_BUILD_DETAILS,
    TIGER_LEDS,
    Command,
    CommandError,
    Parameter,
    parse,
)
from hw.sim.motion import Slides

LETTERS: Final = "XYZ"
LINE_BYTES: Final = 200
UNITS_PER_MM: Final = 10000
MAX_SPEED_MM_PER_S: Final = 400.0
UNKNOWN, BAD_AXIS, MISSING, OUT_OF_RANGE, FAILED, UNDEFINED, BAD_CARD, HALTED = -1, -2, -3, -4, -5, -6, -7, -21
AXIS_PARAMETERS: Final = ("UM", "S", "AC", "B", "E", "PC", "SL", "SU", "HM")
TRAILING_A: Final = ("UM", "AC", "B")  # `:X=50 A`; the others `:A X=50`
REMEMBERED: Final = ("SL", "SU", "HM")  # kept without SAVESET


class Dialect(StrEnum):
    MS2000 = "ms2000"
    TIGER = "tiger"


@dataclass(slots=True)
class Memory:
    """What the controller keeps without power."""

    parameters: Parameters
    verbose: int = 0  # VB X of an MS-2000
    tiger_replies: bool = False  # VB F of a Tiger
    decimals: int = 1  # VB Z
    ttl_mode: int = 9  # TTL Y: 9 gives the LED command the TTL output


def factory_parameters(speed_mm_per_s: float = 5.745920, ramp_ms: float = 100.0) -> Parameters:
    one = {"UM": 10000.0, "S": speed_mm_per_s, "AC": ramp_ms, "B": 0.04, "E": 0.0004, "PC": 0.000024}
    one |= {"SL": -110.0, "SU": 110.0, "HM": 1000.0}
    return {(command, letter): value for command, value in one.items() for letter in LETTERS}


class AsiFirmware:
    """Give it every byte with `receive`, call `advance` at `wake_s` at the latest; both return what it says."""

    def __init__(
        self, slides: Slides, memory: Memory, *, dialect: Dialect, build_info: str = "", now_s: float = 0.0
    ) -> None:
        self.dialect = dialect
        self._memory = memory
        self._build_info = build_info
        self._now_s = now_s
        self._line = bytearray()
        self._mark = 0  # BU Z
        self._percent: dict[tuple[int, str], int] = {}  # of the LEDs, by card and channel
        self._axes = Axes(slides, LETTERS, dict(memory.parameters))
        self._unasked = b""
        if dialect is Dialect.TIGER:
            self._unasked = self._ended("\r".join(BANNER))

    # ------------------------------------------------------------------------------------------ from outside

    @property
    def wake_s(self) -> float:
        return self._axes.slides.end_s if self._axes.slides.moving else math.inf

    def receive(self, data: bytes, now_s: float) -> bytes:
        output = self.advance(now_s)
        for byte in data:
            if byte == 0x0D:
                line, self._line = bytes(self._line), bytearray()
                output += self._answer(line)
            elif byte != 0x0A and len(self._line) < LINE_BYTES:
                self._line.append(byte)
        return output

    def advance(self, now_s: float) -> bytes:
        self._now_s = max(self._now_s, now_s)
        was_moving = self._axes.slides.moving
        self._axes.settle(self._now_s)
        said, self._unasked = self._unasked, b""
        if was_moving and not self._axes.slides.moving and self.dialect is Dialect.MS2000 and self._memory.verbose & 1:
            said += b"N"
        return said

    def lamps(self) -> dict[str, float]:
        """How bright each LED is, 0..1, by the name that the driver gives it."""
        names = {(0, "X"): "led"} if self.dialect is Dialect.MS2000 else TIGER_LEDS
        return {name: self._percent.get(key, 0) / 100 for key, name in names.items()}

    def inject_alarm(self, code: int, now_s: float) -> bytes:
        """1 to 6: upper and lower switch of X, Y, Z; 7 to 9: their motors disabled; 10: restarts, coordinates lost."""
        output = self.advance(now_s)
        if code <= 6:
            axis, lower = divmod(code - 1, 2)
            self._axes.press(axis, LOWER if lower else UPPER, now_s)
        elif code <= 9:
            self._axes.stop_dead(now_s)
            self._axes.disabled.add(code - 7)
        else:
            output += self._restart()
        return output

    # ------------------------------------------------------------------------------------------ one line

    def _answer(self, line: bytes) -> bytes:
        if not line.strip():
            return b""
        try:
            command = parse(line.decode("latin-1"))
            if command is None:
                raise CommandError(self._unknown)
            return self._perform(command)
        except CommandError as error:
            return self._ended(f":N{error.code}")

    @property
    def _unknown(self) -> int:
        return UNKNOWN if self.dialect is Dialect.MS2000 else UNDEFINED  # a Tiger never says -1

    def _perform(self, command: Command) -> bytes:
        name = SHORTCUTS.get(command.name, command.name)
        if command.card is not None and (self.dialect is Dialect.MS2000 or command.card not in CARDS):
            raise CommandError(self._unknown if self.dialect is Dialect.MS2000 else BAD_CARD)
        if name in AXIS_PARAMETERS:
            return self._axis_parameter(name, command)
        actions: dict[str, Callable[[Command], bytes]] = {
            "M": self._move,
            "R": self._move_by,
            "W": self._where,
            "/": lambda _: self._ended("B" if self._axes.any_busy(self._now_s) else "N"),
            "\\": self._halt,
            "!": self._home,
            "H": self._here,
            "Z": self._zero,
            "RS": self._status,
            "RB": self._status_bytes,
            "V": self._version,
            "BU": self._build,
            "N": self._who,
            "CD": lambda _: self._ended("Nov 30 2026:12:00:00"),
            "VB": self._verbose_modes,
            "LED": self._led,
            "TTL": self._ttl,
            "SS": self._save,
            "~": lambda _: self._restart(),
            "MC": self._motor_control,
        }
        if name not in actions:
            raise CommandError(self._unknown)
        return actions[name](command)

    # ------------------------------------------------------------------------------------------ motion

    def _move(self, command: Command) -> bytes:
        self._axes.start(self._distances_mm(command), self._now_s)
        return self._done()

    def _move_by(self, command: Command) -> bytes:
        ways = self._distances_mm(command)
        self._axes.start({axis: self._axes.at_mm(axis, self._now_s) + mm for axis, mm in ways.items()}, self._now_s)
        return self._done()

    def _home(self, command: Command) -> bytes:
        axes = [self._axis(parameter) for parameter in self._required(command)]
        self._axes.start({axis: self._axes.parameters["HM", LETTERS[axis]] for axis in axes}, self._now_s)
        return self._done()

    def _halt(self, _: Command) -> bytes:
        busy = self._axes.any_busy(self._now_s)
        self._axes.brake(self._now_s)
        return self._ended(f":N{HALTED}") if busy else self._done()

    def _here(self, command: Command) -> bytes:
        if self._axes.slides.moving:
            raise CommandError(FAILED)
        self._axes.call(self._distances_mm(command), self._now_s)
        return self._done()

    def _zero(self, _: Command) -> bytes:
        self._axes.call(dict.fromkeys(range(3), 0.0), self._now_s)
        return self._done()

    def _where(self, command: Command) -> bytes:
        """In the controller's order of axes, whatever was asked for."""
        axes = sorted(self._axis(parameter) for parameter in self._required(command))
        units = [f"{self._axes.at_mm(axis, self._now_s) * UNITS_PER_MM:.{self._memory.decimals}f}" for axis in axes]
        if self._tiger_replies:
            units = [f"{LETTERS[axis]}={unit}" for axis, unit in zip(axes, units, strict=True)]
        return self._ended(f":A {' '.join(units)} ")

    def _motor_control(self, command: Command) -> bytes:
        for parameter in self._required(command):
            axis = self._axis(parameter)
            if parameter.sign == "?":
                return self._ended(f":A {int(axis not in self._axes.disabled)}")
            (self._axes.disabled.discard if parameter.sign == "+" else self._axes.disabled.add)(axis)
        return self._done()

    # ------------------------------------------------------------------------------------------ status

    def _status(self, command: Command) -> bytes:
        words = []
        for parameter in self._required(command):
            axis = self._axis(parameter)
            busy, switch = self._axes.busy(axis, self._now_s), self._axes.switch(axis, self._now_s)
            if parameter.sign == "?":
                words.append("B" if busy else "N")
            elif parameter.sign == "-":
                words.append({UPPER: "U", LOWER: "L", 0: "D" if axis in self._axes.disabled else " "}[switch])
            elif parameter.sign == "+":
                words.append("M" if busy else " ")
            else:
                words.append(f"{LETTERS[axis]}=" * self._tiger_replies + str(self._status_byte(axis)))
        return self._ended(f":A {' '.join(words)}")

    def _status_bytes(self, command: Command) -> bytes:
        axes = [self._axis(parameter) for parameter in self._required(command)]
        return b":" + bytes(self._status_byte(axis) for axis in axes) + b"\r\n"

    def _status_byte(self, axis: int) -> int:
        busy, switch = self._axes.busy(axis, self._now_s), self._axes.switch(axis, self._now_s)
        bits = (busy, axis not in self._axes.disabled, busy, True, False, False, switch == UPPER, switch == LOWER)
        return sum(bit << place for place, bit in enumerate(bits))

    def _version(self, command: Command) -> bytes:
        mark = f" {self._build_info}".rstrip()
        if self.dialect is Dialect.MS2000:
            return self._ended(f":A Version: USB-9.53{mark} ")
        return self._ended(f":A v{'3.45' if command.card else '3.39'}{mark} ")

    def _build(self, command: Command) -> bytes:
        letters = [parameter.letter for parameter in command.parameters]
        if "Z" in letters and self.dialect is Dialect.MS2000:
            return self._volatile(command.parameters[0])
        name = BUILDS[command.card or 0] if self.dialect is Dialect.TIGER else "STD_XYZ_LED"
        if letters != ["X"]:
            return self._ended(name)
        if self.dialect is Dialect.TIGER:
            return self._ended("\r".join((name, *TIGER_BUILD_DETAILS)))
        return self._ended("\r".join((name, "Motor Axes: X Y Z", "CMDS: XYZFTR", "BootLdr V:0", "LL COMMANDS", "LED")))

    def _volatile(self, parameter: Parameter) -> bytes:
        if parameter.sign == "?":
            return self._ended(f":A {self._mark}")
        self._mark = int(parameter.value or 0) % 65536
        return self._done()

    def _who(self, _: Command) -> bytes:
        return self._ended("\r".join(BANNER) if self.dialect is Dialect.TIGER else ":A ASI-MS2000-XYZ-USB")

    # ------------------------------------------------------------------------------------------ settings

    def _axis_parameter(self, name: str, command: Command) -> bytes:
        asked = []
        for parameter in self._required(command):
            letter = LETTERS[self._axis(parameter)]
            if parameter.sign == "?":
                asked.append(f"{letter}={self._axes.parameters[name, letter]:.6f}")
                continue
            value = parameter.value or 0.0
            if name in ("UM", "S", "AC", "B") and value < 0:
                raise CommandError(OUT_OF_RANGE)
            # A speed above the motor's is told as the motor's own.
            self._axes.parameters[name, letter] = min(value, MAX_SPEED_MM_PER_S) if name == "S" else value
            if name in REMEMBERED:
                self._memory.parameters[name, letter] = value
        if not asked:
            return self._done()
        pairs = " ".join(asked)
        return self._ended(f":{pairs} A" if name in TRAILING_A and not self._tiger_replies else f":A {pairs}")

    def _save(self, _: Command) -> bytes:
        kept = {key: value for key, value in self._axes.parameters.items() if key[0] not in REMEMBERED}
        self._memory.parameters.update(kept)
        return self._done()

    def _verbose_modes(self, command: Command) -> bytes:
        for parameter in self._required(command):
            if parameter.sign == "?":
                values = {"X": self._memory.verbose, "Z": self._memory.decimals, "F": int(self._memory.tiger_replies)}
                return self._ended(f":A {values.get(parameter.letter, 0)}")
            value = int(parameter.value or 0)
            if parameter.letter == "X":
                self._memory.verbose = value
            elif parameter.letter == "Z" and 0 <= value <= 3:
                self._memory.decimals = value
            elif parameter.letter == "F" and self.dialect is Dialect.TIGER:
                self._memory.tiger_replies = bool(value)
            else:
                raise CommandError(OUT_OF_RANGE)
        return self._done()

    def _led(self, command: Command) -> bytes:
        card = self._led_card(command)
        asked = []
        for parameter in self._required(command):
            if parameter.letter not in LED_CHANNELS.get(card, ""):
                raise CommandError(BAD_AXIS)
            key = card, parameter.letter
            if parameter.sign == "?":
                asked.append(f"{parameter.letter}={self._percent.get(key, 0)}")
                continue
            percent = parameter.value or 0.0
            if not 0 <= percent <= 100:
                raise CommandError(OUT_OF_RANGE)
            self._percent[key] = int(percent)
        return self._ended(f"{' '.join(asked)} :A") if asked else self._done()

    def _led_card(self, command: Command) -> int:
        if self.dialect is Dialect.MS2000:
            return 0
        if command.card is None:
            raise CommandError(BAD_CARD)  # a command without the letter of an axis needs the address of a card
        return command.card

    def _ttl(self, command: Command) -> bytes:
        for parameter in self._required(command):
            if parameter.letter == "Y" and parameter.sign == "?":
                return self._ended(f":A {self._memory.ttl_mode}")
            if parameter.letter == "Y":
                self._memory.ttl_mode = int(parameter.value or 0)
        return self._done()

    def _restart(self) -> bytes:
        self._axes.slides.power_off(self._now_s)
        self._axes = Axes(self._axes.slides, LETTERS, dict(self._memory.parameters))
        self._mark = 0
        self._line.clear()
        self._percent.clear()
        return self._who(Command(None, "N", ())) if self.dialect is Dialect.TIGER else b""

    # ------------------------------------------------------------------------------------------ words

    def _required(self, command: Command) -> tuple[Parameter, ...]:
        if not command.parameters:
            raise CommandError(MISSING)
        return command.parameters

    def _axis(self, parameter: Parameter) -> int:
        if parameter.letter not in LETTERS:
            raise CommandError(BAD_AXIS)
        return LETTERS.index(parameter.letter)

    def _distances_mm(self, command: Command) -> dict[int, float]:
        """A letter without a number means 0, as everywhere here."""
        return {self._axis(parameter): (parameter.value or 0.0) / UNITS_PER_MM for parameter in self._required(command)}

    @property
    def _tiger_replies(self) -> bool:
        return self.dialect is Dialect.TIGER and self._memory.tiger_replies

    def _done(self) -> bytes:
        return self._ended(":A ")

    def _ended(self, text: str) -> bytes:
        if self._tiger_replies:
            text = text.removeprefix(":A").removesuffix(":A").strip()
        bare = self.dialect is Dialect.MS2000 and self._memory.verbose & 8
        return text.encode("ascii") + (b"\r" if bare else b"\r\n")
