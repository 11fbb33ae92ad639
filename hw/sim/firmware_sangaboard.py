"""A Sangaboard as a pure state machine, the half that all firmwares share: bytes and time in, bytes out.

It behaves as the recorded firmware did, and where nothing was recorded (endstops, LEDs) as its source says. Known
differences: no serial latency, no time for EEPROM writes, and a hit switch is reported once or twice, not in every
turn of the loop. Counts grow away from the min switch, which is the home switch of the slides.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from hw.sim.motion import STILL, Motion, Profile, Slides, Vector

Handler = Callable[[str], None]
Steps = tuple[int, int, int]

RX_BYTES: Final = 64
COMMAND_BYTES: Final = 63
HALF_LINE_S: Final = 1.0  # Serial's time-out: what came by then is taken for a whole command
UNKNOWN: Final = "Type 'help' for a list of commands."
BLANK: Final = -1


@dataclass
class Memory:
    """The EEPROM. As it leaves the factory every long in it is -1, which the firmware replaces only for its times."""

    position: list[int] = field(default_factory=lambda: [BLANK] * 3)
    delay_us: int = 1000
    ramp_us: int = 0
    maxima: list[int] = field(default_factory=lambda: [BLANK] * 3)
    blocking: bool = False  # v1.0; a blank byte reads as not blocking


@dataclass(frozen=True, slots=True)
class Build:
    """What was compiled into the firmware."""

    version: str
    board: str = ""
    endstops: tuple[str, ...] = ()
    pwm_channels: int = 0
    illumination: bool = False
    search_steps: int = 100_000
    retreat_steps: int = 5_000
    slow_delay_us: int = 4_000


@dataclass(frozen=True, slots=True)
class Hit:
    """When a moving axis meets a switch, or the soft end of its travel."""

    at_s: float
    axis: int
    direction: int
    soft: bool


class SangaboardFirmware(ABC):
    """Give it every byte with `receive`, call `advance` at `wake_s` at the latest; both return what the board says."""

    def __init__(self, slides: Slides, memory: Memory, build: Build, now_s: float = 0.0) -> None:
        self.slides = slides
        self.memory = memory
        self._build = build
        self._now_s = now_s
        self._output = bytearray()
        self._rx: deque[int] = deque()
        self._line = bytearray()
        self._heard_s = now_s
        self._dead = False
        self._hits: list[Hit] = []
        self._touched: int | None = None
        self._delay_us = memory.delay_us
        self._offset = [0, 0, 0]
        self._cc = 0.0
        self._pwm = [0.0] * build.pwm_channels
        self._pwm_hz = 64000
        self._commands = self._known_commands()
        for axis in range(3):
            self._set_count(axis, memory.position[axis])
        self._say(build.version)

    # ------------------------------------------------------------------------------------------ from outside

    @property
    def wake_s(self) -> float:
        """When something happens next if nobody says anything."""
        if self._dead:
            return math.inf
        half_s = self._heard_s + HALF_LINE_S if self._line and self._listens else math.inf
        return min(half_s, self._next_s)

    def receive(self, data: bytes, now_s: float) -> bytes:
        output = self.advance(now_s)
        for byte in data:
            if len(self._rx) < RX_BYTES:  # a full buffer loses bytes without a word
                self._rx.append(byte)
            self._heard_s = self._now_s
            self._settle()
        return output + self.advance(now_s)

    def advance(self, now_s: float) -> bytes:
        self._settle()
        while (due_s := self.wake_s) <= now_s:
            self._now_s = max(self._now_s, due_s)
            self._settle()
        self._now_s = max(self._now_s, now_s)
        output, self._output = bytes(self._output), bytearray()
        return output

    def inject_alarm(self, code: int, now_s: float) -> bytes:
        """The min switch of axis `code` (1 x, 2 y, 3 z) closes until a move has met it. At rest nobody looks at it."""
        output = self.advance(now_s)
        self._touched = code - 1
        if self.slides.moving:
            self._touch()
            self._meet(code - 1)
        return output + self.advance(now_s)

    def lamps(self) -> dict[str, float]:
        """How bright each LED is, 0..1."""
        if not self._build.illumination:
            return {}
        return {"cc": self._cc} | {f"pwm{channel}": value for channel, value in enumerate(self._pwm)}

    # ------------------------------------------------------------------------------------------ of each version

    @abstractmethod
    def _known_commands(self) -> tuple[tuple[str, Handler], ...]:
        """Beginnings of commands, in the order in which the firmware compares them."""

    @property
    @abstractmethod
    def _listens(self) -> bool:
        """Whether it reads commands now."""

    @property
    @abstractmethod
    def _next_s(self) -> float: ...

    @abstractmethod
    def _work(self) -> bool:
        """Do one thing that is due; False when nothing is."""

    @abstractmethod
    def _meet(self, axis: int) -> None:
        """Stop what a switch of this axis stops."""

    # ------------------------------------------------------------------------------------------ the loop

    def _settle(self) -> None:
        while not self._dead and (self._work() or self._take_line()):
            pass

    def _take_line(self) -> bool:
        if not self._listens:
            return False
        while self._rx:
            byte = self._rx.popleft()
            if byte != 0x0A and len(self._line) < COMMAND_BYTES:
                self._line.append(byte)
                continue
            return self._obey_line()
        if self._line and self._now_s >= self._heard_s + HALF_LINE_S:
            return self._obey_line()
        return False

    def _obey_line(self) -> bool:
        raw, self._line = bytes(self._line), bytearray()
        command = raw.decode("latin-1")
        for beginning, handler in self._commands:
            if command.startswith(beginning):
                handler(command[len(beginning) :])
                return True
        self._unknown(command)
        return True

    def _unknown(self, command: str) -> None:
        self._say(UNKNOWN)

    def _say(self, line: str) -> None:
        self._output += line.encode("ascii") + b"\r\n"

    # ------------------------------------------------------------------------------------------ counting and moving

    def count(self, axis: int) -> int:
        return self._raw(axis) + self._offset[axis]

    def _raw(self, axis: int) -> int:
        return -round(self.slides.machine_mm(self._now_s)[axis] * self.slides.steps_per_mm[axis])

    def _set_count(self, axis: int, value: int) -> None:
        self._offset[axis] = value - self._raw(axis)

    def _begin(self, displacement: Steps) -> None:
        """Start the motion and work out which switches it will meet."""
        longest = max(map(abs, displacement))
        self._hits = []
        motions = []
        for axis, steps in enumerate(displacement):
            if not steps:
                continue
            distance_mm = abs(steps) / self.slides.steps_per_mm[axis]
            speed = distance_mm / (longest * max(self._delay_us, 1) / 1e6)
            acceleration = speed / (self.memory.ramp_us / 1e6) if self.memory.ramp_us > 0 else math.inf
            profile = Profile(distance_mm, speed, acceleration)
            self._look_ahead(axis, steps, profile)
            motions.append(Motion(self._now_s, self.slides.machine_mm(self._now_s), _unit(axis, steps), profile))
        self.slides.start(*motions)
        self._touch()

    def _touch(self) -> None:
        if self._touched is not None and self.slides.moving:
            self._hits.insert(0, Hit(self._now_s, self._touched, -1, soft=False))
            self._touched = None

    def _look_ahead(self, axis: int, steps: int, profile: Profile) -> None:
        direction = 1 if steps > 0 else -1
        kind = "max" if direction > 0 else "min"
        if kind in self._build.endstops:
            way_mm = self.slides.distance_to_switch(axis, -direction)
        elif "soft" in self._build.endstops:
            left = self.memory.maxima[axis] - self.count(axis) if direction > 0 else self.count(axis)
            way_mm = max(0, left) / self.slides.steps_per_mm[axis]
        else:
            return
        if way_mm <= profile.distance:
            self._hits.append(
                Hit(self._now_s + profile.time_at(way_mm), axis, direction, kind not in self._build.endstops)
            )
            self._hits.sort(key=lambda hit: hit.at_s)

    def _register(self, hit: Hit) -> None:
        """What a switch makes of the counts."""
        if hit.soft:
            return
        if hit.direction < 0:
            self._set_count(hit.axis, 0)
        elif {"min", "max"} <= set(self._build.endstops):
            self.memory.maxima[hit.axis] = self.count(hit.axis)

    # ------------------------------------------------------------------------------------------ what all know

    def _tell_version(self, _: str) -> None:
        self._say(self._build.version)

    def _tell_board(self, _: str) -> None:
        self._say(self._build.board)

    def _list_modules(self, _: str) -> None:
        if self._build.endstops:
            self._say("Endstops: " + " ".join(self._build.endstops))
        if self._build.illumination:
            self._say("Illumination: default")
        self._say("--END--")

    def _tell_position(self, _: str) -> None:
        self._say(" ".join(str(self.count(axis)) for axis in range(3)))

    def _zero(self, _: str) -> None:
        for axis in range(3):
            self._set_count(axis, 0)
        self.memory.position = [0, 0, 0]
        self._say("position reset to 0 0 0")

    def _tell_delay(self, _: str) -> None:
        self._say(f"minimum step delay {self._delay_us}")

    def _set_delay(self, argument: str) -> None:
        self._delay_us = self.memory.delay_us = long(argument)
        self._say("done.")

    def _set_ramp(self, argument: str) -> None:
        self.memory.ramp_us = long(argument)
        self._say("done.")

    def _help(self, _: str) -> None:
        for line in ("", self._build.version, "", "Commands (terminated by a newline character):"):
            self._say(line)
        for beginning, _handler in self._commands:
            self._say(beginning.strip())
        self._say("--END--")

    # ------------------------------------------------------------------------------------------ endstops and LEDs

    def _endstop_commands(self, home_min: Handler, home_max: Handler) -> tuple[tuple[str, Handler], ...]:
        if not self._build.endstops:
            return ()
        return (
            ("endstops?", self._tell_endstops),
            ("home_min", home_min),
            ("home_max", home_max),
            ("max_p?", self._tell_maxima),
            ("max ", self._set_maxima),
        )

    def _tell_endstops(self, _: str) -> None:
        self._say(" ".join(str(self._endstop(axis)) for axis in range(3)))

    def _endstop(self, axis: int) -> int:
        have, count = self._build.endstops, self.count(axis)
        pressed = "XYZ"[axis] in self.slides.pressed(self._now_s)
        at_home = pressed and self.slides.physical_mm(self._now_s)[axis] > -self.slides.travel_mm[axis] / 2
        if (pressed and at_home) if "min" in have else ("soft" in have and count < 1):
            return -1
        if (pressed and not at_home) if "max" in have else ("soft" in have and count >= self.memory.maxima[axis]):
            return 1
        return 0

    def _tell_maxima(self, _: str) -> None:
        self._say(" ".join(map(str, self.memory.maxima)))

    def _set_maxima(self, argument: str) -> None:
        words = argument.split() + ["0"] * 3
        self.memory.maxima = [long(word) for word in words[:3]]
        self._say("done")

    def _led_commands(self) -> tuple[tuple[str, Handler], ...]:
        if not self._build.illumination:
            return ()
        return (
            ("led_channels?", lambda _: self._say(f"CC:1 PWM:{len(self._pwm)}")),
            ("led_cc", self._led_cc),
            ("led_pwm", self._led_pwm),
            ("led_frequency", self._led_frequency),
        )

    def _led_cc(self, argument: str) -> None:
        if not argument.startswith("?"):
            self._cc = level(argument)
        self._say(f"CC LED:{self._cc:.2f}")

    def _led_pwm(self, argument: str) -> None:
        words = argument.split()
        if argument.startswith("?") or len(words) < 2:
            self._say("PWM:" + "".join(f"{value:.2f};" for value in self._pwm))
            return
        channel = long(words[0])
        if not 0 <= channel < len(self._pwm):
            self._say("Error: no such channel")
            return
        self._pwm[channel] = level(words[1])
        self._say(f"PWM:{channel}:{self._pwm[channel]:.2f}")

    def _led_frequency(self, argument: str) -> None:
        if not argument.startswith("?"):
            self._pwm_hz = long(argument)
        self._say(f"PWM Frequency:{self._pwm_hz}Hz")


def long(text: str) -> int:
    """As C reads a long of 32 bits: what is no digit ends it, and it wraps."""
    match = re.match(r"\s*([-+]?\d{1,20})", text)
    return (int(match[1]) + 2**31) % 2**32 - 2**31 if match else 0


def short(text: str) -> int:
    """The int of an AVR has 16 bits."""
    return (long(text) + 2**15) % 2**16 - 2**15


def level(text: str) -> float:
    match = re.match(r"\s*(\d{1,9}(?:\.\d{0,9})?)", text)
    return min(1.0, float(match[1])) if match else 0.0


def _unit(axis: int, steps: int) -> Vector:
    """Counts grow downwards in the frame of the slides."""
    unit = list(STILL)
    unit[axis] = -1.0 if steps > 0 else 1.0
    return (unit[0], unit[1], unit[2])
