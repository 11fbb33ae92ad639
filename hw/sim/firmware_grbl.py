"""A board with Grbl 1.1h as a pure state machine: bytes and time in, bytes out.

It behaves as the recorded firmware did, including what its documents do not mention. Known differences: no look-ahead
(each block starts and ends at rest), an override acts from the next block on, no serial latency, and the G-code subset
of `firmware_gcode`.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Generator
from dataclasses import replace
from typing import Final

from hw.sim.firmware_controller import (
    PLANNER_BLOCKS,
    RX_BYTES,
    SOFT_LIMIT,
    SUSPENDED_STATES,
    Controller,
    PlannedBlock,
    Steps,
)
from hw.sim.firmware_gcode import AXES, Block, GcodeError, Modal, clean, interpret
from hw.sim.firmware_homing import homing_cycle
from hw.sim.firmware_reports import HELP, offset_lines
from hw.sim.firmware_settings import Settings
from hw.sim.motion import STILL, Slides, Vector

Answer = Generator[float, None, int]  # returns 0 for ok, otherwise the error number

LINE_CHARACTERS: Final = 79
RAW_LINE_BYTES: Final = 256  # Grbl drops spaces and comments before it counts; without a bound a line could grow
SETTING: Final = re.compile(r"\$(\d{1,3})=(-?\d*\.?\d+)")
STARTUP_LINE: Final = re.compile(r"\$N([01])=(.*)")
OK: Final = 0
BAD_NUMBER: Final = 2
INVALID_STATEMENT: Final = 3
HOMING_DISABLED: Final = 5
NOT_IDLE: Final = 8
LOCKED: Final = 9
LINE_OVERFLOW: Final = 11
UNSUPPORTED: Final = 20
MIST: Final = "M"
TRAVEL_EXCEEDED: Final = 15


class GrblFirmware(Controller):
    """Give it every byte with `receive`, call `advance` at `wake_s` at the latest; both return what the board says."""

    def __init__(
        self, slides: Slides, settings: Settings, *, build_info: str = "", now_s: float = 0.0, mist: bool = False
    ) -> None:
        self._build_info = build_info
        self._options = "VM" if mist else "V"  # ENABLE_M7 is chosen when the firmware is built
        self._coordinates: dict[str, Vector] = {f"G{number}": STILL for number in range(54, 60)}
        self._startup_lines = ["", ""]
        self._rx: deque[int] = deque()
        self._line = bytearray()
        self._task: Steps | None = None
        self._task_wake_s = math.inf
        self._after_line = ""  # "sleep", "reset": what a line asked for, done once it is acknowledged
        self._g92_mm: Vector = STILL
        super().__init__(slides, settings, now_s)
        self._start()

    # ------------------------------------------------------------------------------------------ from outside

    @property
    def wake_s(self) -> float:
        """When something happens next if nobody says anything."""
        if self._interrupt is not None:
            return self._interrupt_wake_s
        moving = self.slides.moving and self._state != "Home"
        moved_s = min(self._switch_s, self.slides.end_s) if moving else math.inf
        return min(moved_s, self._task_wake_s if self._task is not None else math.inf)

    def receive(self, data: bytes, now_s: float) -> bytes:
        output = self.advance(now_s)
        for byte in data:
            if not self._realtime(byte) and len(self._rx) < RX_BYTES:  # a full buffer loses bytes without a word
                self._rx.append(byte)
            self._settle()
        output += self.advance(now_s)
        if self._state != "Home":
            self._answer_status()
        return output + self._spoken()

    def advance(self, now_s: float) -> bytes:
        self._settle()
        while (due_s := self.wake_s) <= now_s:
            self._now_s = max(self._now_s, due_s)
            self._settle()
        self._now_s = max(self._now_s, now_s)
        return self._spoken()

    def inject_alarm(self, code: int, now_s: float) -> bytes:
        """What a tripped switch or a fault of the board does."""
        output = self.advance(now_s)
        self._stop_dead()
        self._alarm(code)
        return output + self._spoken()

    # ------------------------------------------------------------------------------------------ the loop

    def _settle(self) -> None:
        """Do everything that can be done at this moment."""
        while self._run_interrupt() or self._run_motion() or self._run_line() or self._take_line():
            pass

    def _run_line(self) -> bool:
        if self._task is None or self._interrupt is not None:
            return False
        try:
            self._task_wake_s = next(self._task)
        except StopIteration:
            self._task = None
            wanted, self._after_line = self._after_line, ""
            if wanted == "reset":
                self._abort()
            elif wanted == "sleep":
                self._state = "Sleep"
                self._say("[MSG:Sleeping]")
            return True
        return self._interrupt is not None

    def _take_line(self) -> bool:
        suspended = self._state in SUSPENDED_STATES or self._braking  # then the loop stands still
        if self._interrupt is not None or self._task is not None or suspended:
            return False
        while self._rx:
            byte = self._rx.popleft()
            if byte not in b"\r\n":
                if len(self._line) <= RAW_LINE_BYTES:
                    self._line.append(byte)
                continue
            raw, self._line = bytes(self._line), bytearray()
            self._answer_status()
            self._run(self._answer(raw))
            return True
        return False

    def _run(self, task: Steps) -> None:
        self._task, self._task_wake_s = task, self._now_s

    @property
    def _rx_free(self) -> int:
        return RX_BYTES - len(self._rx)

    @property
    def _offset_mm(self) -> Vector:
        return added(self._coordinates[self._modal.coordinates], self._g92_mm)

    def _drop_line(self) -> None:
        if self._task is not None:
            self._task.close()
            self._task = None
            self._say("ok")  # the line returns without an error of its own: the stray ok before the banner
        self._rx.clear()
        self._line.clear()
        self._g92_mm = STILL

    def _start_up(self) -> None:
        self._run(self._run_startup_lines())

    def _run_startup_lines(self) -> Steps:
        for line in filter(None, self._startup_lines):
            code = yield from self._caught(self._gcode(line))
            self._say(f">{line}:" + (f"error:{code}" if code else "ok"))

    def _answer(self, raw: bytes) -> Steps:
        code = yield from self._caught(self._perform(raw))
        self._say(f"error:{code}" if code else "ok")

    def _caught(self, answer: Answer) -> Answer:
        try:
            return (yield from answer)
        except GcodeError as error:
            return error.code

    def _perform(self, raw: bytes) -> Answer:
        line = clean(raw.decode("latin-1"))
        if len(line) > LINE_CHARACTERS or len(raw) > RAW_LINE_BYTES:
            return LINE_OVERFLOW
        if line.startswith("$"):
            return (yield from self._system(line))
        if line and self._state in ("Alarm", "Jog"):
            return LOCKED
        return (yield from self._gcode(line)) if line else OK

    # ------------------------------------------------------------------------------------------ $ commands

    def _system(self, line: str) -> Answer:
        if line.startswith("$J"):
            return (yield from self._jog(line))
        if line in ("$", "$G", "$$", "$C", "$X"):
            return self._simple(line)
        if self._state not in ("Idle", "Alarm"):
            return NOT_IDLE
        if line == "$H":
            return (yield from self._home())
        if line == "$SLP":
            self._after_line = "sleep"
        elif line == "$#":
            self._say_all(offset_lines(self._coordinates, self._g92_mm, self.settings))
        elif line == "$I":
            self._say_all(
                [f"[VER:1.1h.20190830:{self._build_info}]", f"[OPT:{self._options},{PLANNER_BLOCKS},{RX_BYTES}]"]
            )
        elif line == "$N":
            self._say_all([f"$N{index}={stored}" for index, stored in enumerate(self._startup_lines)])
        else:
            return self._store(line)
        return OK

    def _simple(self, line: str) -> int:
        if line == "$":
            self._say(HELP)
        elif line == "$G":
            self._say(self._modal.describe())
        elif line == "$$":
            if self._state in ("Run", "Hold"):
                return NOT_IDLE
            self._say_all(self.settings.lines())
        elif line == "$X" and self._state == "Alarm":
            self._state = "Idle"
            self._say("[MSG:Caution: Unlocked]")
        elif line == "$C" and self._state == "Check":
            self._say("[MSG:Disabled]")
            self._after_line = "reset"
        elif line == "$C":
            if self._state != "Idle":
                return NOT_IDLE
            self._state = "Check"
            self._say("[MSG:Enabled]")
        return OK

    def _store(self, line: str) -> int:
        if match := STARTUP_LINE.fullmatch(line):
            interpret(match[2], Modal())  # refused with its own error number when it is no G-code
            self._startup_lines[int(match[1])] = match[2]
            return OK
        if line.startswith("$I="):
            self._build_info = line[3:]
            return OK
        match = SETTING.fullmatch(line)
        if match is None:
            # A letter after $ is read as the number of a setting: the documents' "unknown $ command" never comes.
            return INVALID_STATEMENT if line[1].isdigit() else BAD_NUMBER
        self._status.offset_in = 0
        return self.settings.store(int(match[1]), float(match[2]))

    def _home(self) -> Answer:
        if not self.settings.on(22):
            return HOMING_DISABLED
        self._state = "Home"
        code = yield from homing_cycle(self.slides, self.settings, lambda: self._now_s)
        if code:
            self._alarm(code)
            while True:  # until the reset that follows drops this line
                yield math.inf
        self._planned_mm = self.slides.machine_mm(self._now_s)
        self._answer_status()
        self._state = "Idle"
        yield from self._run_startup_lines()
        return OK

    def _say_all(self, lines: list[str]) -> None:
        for line in lines:
            self._say(line)

    # ------------------------------------------------------------------------------------------ motion and modes

    def _jog(self, line: str) -> Answer:
        if self._state not in ("Idle", "Jog"):
            return NOT_IDLE
        if not line.startswith("$J="):
            return INVALID_STATEMENT
        block = interpret(line[3:], self._modal, jog=True)
        target_mm = block.target_mm(self._planned_mm, self._offset_mm)
        if self._outside(target_mm):
            return TRAVEL_EXCEEDED
        yield from self._room()
        self._enqueue(PlannedBlock(target_mm, block.modal.feed_mm_per_min / 60))
        self._begin("Jog")
        return OK

    def _gcode(self, line: str) -> Answer:
        block = interpret(line, self._modal)
        if "M7" in block.modal.coolant and MIST not in self._options:
            return UNSUPPORTED
        checking = self._state == "Check"
        waits = block.action in ("G4", "G10") or block.changes_spindle or block.program
        if waits and not checking:
            yield from self._synchronised()
        previous, self._modal = self._modal, block.modal
        if block.modal.coordinates != previous.coordinates:
            self._status.offset_in = 0
        if block.changes_spindle:
            self._status.overrides_in = 0
        if block.action == "G4" and not checking:
            yield from self._wait(block.values["P"])
        elif block.action in ("G10", "G92", "G92.1"):
            self._set_offset(block)
        elif block.action == "move":
            yield from self._move(block, checking)
        if block.program in ("M2", "M30"):
            self._modal = replace(Modal(), feed_mm_per_min=self._modal.feed_mm_per_min)
            self._say("[MSG:Pgm End]")
        return OK

    def _move(self, block: Block, checking: bool) -> Steps:
        target_mm = block.target_mm(self._planned_mm, self._offset_mm)
        if self._outside(target_mm):
            yield from self._soft_limit()
        if checking:
            self._planned_mm = target_mm
            return
        yield from self._room()
        rapid = block.modal.motion == "G0"
        speed = math.inf if rapid else block.modal.feed_mm_per_min / 60
        self._enqueue(PlannedBlock(target_mm, speed, rapid))
        self._begin("Run")

    def _soft_limit(self) -> Steps:
        if self._state == "Run":
            self._hold("Hold")
            while self._braking:
                yield math.inf
        self._stop_dead()
        self._alarm(SOFT_LIMIT)
        while True:  # until the reset drops this line
            yield math.inf

    def _outside(self, target_mm: Vector) -> bool:
        travel = self.settings.axes(130)
        return self.settings.on(20) and any(
            value > 0 or value < -reach for value, reach in zip(target_mm, travel, strict=True)
        )

    def _room(self) -> Steps:
        while len(self._planner) >= PLANNER_BLOCKS:
            yield math.inf

    def _synchronised(self) -> Steps:
        while self._planner:
            yield math.inf

    def _wait(self, seconds: float) -> Steps:
        resume_s = self._now_s + seconds
        while self._now_s < resume_s:
            yield resume_s

    def _set_offset(self, block: Block) -> None:
        self._status.offset_in = 0
        if block.action == "G92.1":
            self._g92_mm = STILL
            return
        number = int(block.values.get("P", 0))
        name = f"G{53 + number}" if block.action == "G10" and number else self._modal.coordinates
        coordinates = self._coordinates[name]
        absolute = block.values.get("L") == 2
        offset = list(coordinates if block.action == "G10" else self._g92_mm)
        other = self._g92_mm if block.action == "G10" else coordinates
        for letter, value in block.axes_mm.items():
            axis = AXES.index(letter)
            offset[axis] = value if absolute else self._planned_mm[axis] - other[axis] - value
        moved = (offset[0], offset[1], offset[2])
        if block.action == "G10":
            self._coordinates[name] = moved
        else:
            self._g92_mm = moved


def added(left: Vector, right: Vector) -> Vector:
    x, y, z = (a + b for a, b in zip(left, right, strict=True))
    return (x, y, z)
