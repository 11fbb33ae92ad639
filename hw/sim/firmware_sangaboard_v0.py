"""Sangaboard v0.4 and v0.5: one command at a time, deaf from the first step of a move to its last."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Final

from hw.sim.firmware_sangaboard import Build, Handler, Hit, Memory, SangaboardFirmware, Steps, long
from hw.sim.motion import Slides

Task = Generator[float, None, None]

# What v0.4 took from its stack where `mr` had fewer than three numbers: recorded.
STACK: Final = (1, 3, 0)
MR_ERROR: Final = "Error: command is mr <int> <int> <int>"
SETTLE_S: Final = 0.2


class OldSangaboard(SangaboardFirmware):
    def __init__(self, slides: Slides, memory: Memory, build: Build, now_s: float = 0.0) -> None:
        self._task: Task | None = None
        self._task_wake_s = math.inf
        super().__init__(slides, memory, build, now_s)

    def _known_commands(self) -> tuple[tuple[str, Handler], ...]:
        board: tuple[tuple[str, Handler], ...] = (("board", self._tell_board),) if self._build.board else ()
        return (
            ("mrx ", lambda argument: self._move_axis(0, argument)),
            ("mry ", lambda argument: self._move_axis(1, argument)),
            ("mrz ", lambda argument: self._move_axis(2, argument)),
            ("list_modules", self._list_modules),
            ("move_rel ", self._move),
            ("mr ", self._move),
            ("release", lambda _: self._say("motors released")),
            ("p?", self._tell_position),
            ("position?", self._tell_position),
            ("ramp_time ", self._set_ramp),
            ("ramp_time?", lambda _: self._say(f"ramp time {self.memory.ramp_us}")),
            ("min_step_delay ", self._set_delay),
            ("dt ", self._set_delay),
            ("min_step_delay?", self._tell_delay),
            ("dt?", self._tell_delay),
            ("zero", self._zero),
            *self._endstop_commands(self._home_min, self._home_max),
            *self._led_commands(),
            ("version", self._tell_version),
            *board,
            ("help", self._help),
        )

    def _unknown(self, command: str) -> None:
        if command:  # an empty line is none
            super()._unknown(command)

    @property
    def _listens(self) -> bool:
        return self._task is None

    @property
    def _next_s(self) -> float:
        return self._task_wake_s if self._task is not None else math.inf

    def _work(self) -> bool:
        if self._task is None or self._now_s < self._task_wake_s:
            return False
        try:
            self._task_wake_s = next(self._task)
        except StopIteration:
            self._task = None
        return True

    def _run(self, task: Task) -> None:
        self._task, self._task_wake_s = task, self._now_s

    def _meet(self, axis: int) -> None:
        self.slides.cut(None, self._now_s)
        self._task_wake_s = self._now_s

    # ------------------------------------------------------------------------------------------ moves

    def _move_axis(self, axis: int, argument: str) -> None:
        displacement = [0, 0, 0]
        displacement[axis] = long(argument)
        self._run(self._moved((displacement[0], displacement[1], displacement[2]), "done"))

    def _move(self, argument: str) -> None:
        # Numbers stand after single spaces; a missing one is what the stack held there.
        words = argument.split(" ")
        x, y, z = (long(words[axis]) if axis < len(words) else STACK[axis] for axis in range(3))
        if len(words) < 3:
            self._say(MR_ERROR)
        self._run(self._moved((x, y, z), "done."))

    def _moved(self, displacement: Steps, reply: str) -> Task:
        yield from self._travel(displacement)
        self._say(reply)

    def _travel(self, displacement: Steps) -> Generator[float, None, Hit | None]:
        """The first switch ends the whole move, and without a word."""
        self._begin(displacement)
        if self._hits:
            for axis in range(3):
                self.slides.cut(axis, self._hits[0].at_s)
        while self._now_s < self.slides.end_s:
            yield self.slides.end_s
        hit = self._hits[0] if self._hits and self._hits[0].at_s <= self._now_s else None
        self.slides.halt(self._now_s)
        if hit is not None:
            self._register(hit)
        self.memory.position = [self.count(axis) for axis in range(3)]
        return hit

    # ------------------------------------------------------------------------------------------ homing

    def _home_min(self, argument: str) -> None:
        self._run(self._home(long(argument) if argument.strip() else 7, -1))

    def _home_max(self, argument: str) -> None:
        self._run(self._home(long(argument) if argument.strip() else 7, 1))

    def _home(self, mask: int, direction: int) -> Task:
        """Search, pull off, half the way back, then slowly to the switch; without one that last part never ends."""
        if ("min" if direction < 0 else "max") in self._build.endstops:
            axes = [axis for axis in range(3) if mask >> axis & 1]
            search = [direction * self._build.search_steps if axis in axes else 0 for axis in range(3)]
            for _ in range(3):
                hit = yield from self._travel((search[0], search[1], search[2]))
                if hit is not None:
                    search[hit.axis] = 0
            away = [-direction * self._build.retreat_steps if axis in axes else 0 for axis in range(3)]
            yield from self._travel((away[0], away[1], away[2]))
            yield from self._travel((-away[0] // 2, -away[1] // 2, -away[2] // 2))
            resume_s = self._now_s + SETTLE_S
            while self._now_s < resume_s:
                yield resume_s
            for axis in axes:
                yield from self._creep(axis, direction)
            if direction < 0:
                yield from self._travel((away[0], away[1], away[2]))
        self._say("done.")

    def _creep(self, axis: int, direction: int) -> Task:
        fast, self._delay_us = self._delay_us, self._build.slow_delay_us
        steps = [0, 0, 0]
        steps[axis] = direction * self._build.search_steps
        hit = yield from self._travel((steps[0], steps[1], steps[2]))
        self._delay_us = fast
        while hit is None:
            yield math.inf
        if direction > 0:
            self.memory.maxima[axis] = self.count(axis)
