"""Sangaboard v1.0: everything is answered during a move, and `stop` ends it."""

from __future__ import annotations

import math
from typing import Final

from hw.sim.firmware_sangaboard import Build, Handler, Memory, SangaboardFirmware, Steps, long, short
from hw.sim.motion import Slides

SEARCHING, LEAVING, RETURNING = "searching", "leaving", "returning"
NEXT_PHASE: Final = {SEARCHING: LEAVING, LEAVING: RETURNING, RETURNING: ""}


class NewSangaboard(SangaboardFirmware):
    def __init__(self, slides: Slides, memory: Memory, build: Build, now_s: float = 0.0) -> None:
        self._notify = False
        self._homing = ""
        self._homing_axes: tuple[int, ...] = ()
        self._homing_direction = -1
        super().__init__(slides, memory, build, now_s)

    def _known_commands(self) -> tuple[tuple[str, Handler], ...]:
        board: tuple[tuple[str, Handler], ...] = (("board", self._tell_board),) if self._build.board else ()
        return (
            ("version", self._tell_version),
            ("list_modules", self._list_modules),
            *board,
            ("help", self._help),
            ("mrx", lambda argument: self._move_axis(0, argument)),
            ("mry", lambda argument: self._move_axis(1, argument)),
            ("mrz", lambda argument: self._move_axis(2, argument)),
            ("mr", self._move),
            ("release", lambda _: self._say("done")),
            *self._led_commands(),
            ("p", self._tell_position),
            ("ramp_time?", lambda _: self._say(f"ramp_time {self.memory.ramp_us}")),
            ("ramp_time", self._set_ramp),
            ("min_step_delay?", self._tell_delay),
            ("min_step_delay", self._set_delay),
            ("dt?", self._tell_delay),
            ("dt", self._set_delay),
            ("zero", self._zero),
            ("stop", self._stop),
            ("moving", lambda _: self._say("true" if self.slides.moving else "false")),
            ("notify_on_stop", self._ask_to_notify),
            ("blocking_moves", self._blocking_moves),
            *self._endstop_commands(
                lambda argument: self._home(argument, -1), lambda argument: self._home(argument, 1)
            ),
        )

    @property
    def _listens(self) -> bool:
        return True

    @property
    def _next_s(self) -> float:
        if not self.slides.moving:
            return math.inf
        return min([self.slides.end_s, *(hit.at_s for hit in self._hits)])

    def _work(self) -> bool:
        if not self.slides.moving:
            return False
        if self._hits and self._hits[0].at_s <= self._now_s:
            hit = self._hits.pop(0)
            self.slides.cut(hit.axis, self._now_s)
            if not hit.soft:
                self._say(f"Endstop hit:{hit.direction * (hit.axis + 1)}")
            self._register(hit)
            return True
        if self.slides.end_s > self._now_s:
            return False
        self.slides.halt(self._now_s)
        if self._notify:
            self._notify = False
            self._say("stopped")
        self._go_on_homing()
        return True

    def _meet(self, axis: int) -> None:
        pass  # its loop looks at the switches, and stops that one axis

    # ------------------------------------------------------------------------------------------ moves

    def _move_axis(self, axis: int, argument: str) -> None:
        displacement = [0, 0, 0]
        displacement[axis] = short(argument)
        self._start((displacement[0], displacement[1], displacement[2]))

    def _move(self, argument: str) -> None:
        words = argument.split()
        if len(words) < 3:
            self._dead = True  # it follows pointers that were never set; recorded: nothing is heard of it again
            return
        x, y, z = (long(word) for word in words[:3])
        self._start((x, y, z))

    def _start(self, displacement: Steps) -> None:
        self.slides.halt(self._now_s)  # a new move takes the place of one that is under way
        self._begin(displacement)
        if self.memory.blocking:
            self._notify = True
        else:
            self._say("done.")
        if not self.slides.moving and self._notify:  # a move of no steps is over in the next turn of the loop
            self._notify = False
            self._say("stopped")

    def _stop(self, _: str) -> None:
        self.slides.halt(self._now_s)
        self._hits = []
        self._say("Move aborted")
        self._go_on_homing()  # homing takes a stopped move for one that has ended

    def _ask_to_notify(self, _: str) -> None:
        if self.slides.moving:
            self._notify = True
        else:
            self._say("Error: stage is not moving")

    def _blocking_moves(self, argument: str) -> None:
        if argument.startswith("?"):
            self._say(f"blocking_moves {str(self.memory.blocking).lower()}")
            return
        self.memory.blocking = argument.strip().startswith("t")
        self._say("done.")

    # ------------------------------------------------------------------------------------------ homing

    def _home(self, argument: str, direction: int) -> None:
        if ("min" if direction < 0 else "max") not in self._build.endstops:
            self._say("Min endstops not installed" if direction < 0 else "Max endstops not installed")
            return
        mask = long(argument) if argument.strip() else 7
        self._homing_axes = tuple(axis for axis in range(3) if mask >> axis & 1)
        self._homing_direction = direction
        self._homing = SEARCHING
        self._home_move(direction * self._build.search_steps)

    def _go_on_homing(self) -> None:
        if not self._homing:
            return
        away = -self._homing_direction * self._build.retreat_steps
        self._homing = NEXT_PHASE[self._homing]
        if self._homing == RETURNING:
            self._delay_us = self._build.slow_delay_us
            self._home_move(-2 * away)
            return
        self._delay_us = self.memory.delay_us
        self._home_move(away)
        if not self._homing:
            self._say("done.")

    def _home_move(self, steps: int) -> None:
        x, y, z = (steps if axis in self._homing_axes else 0 for axis in range(3))
        self._start((x, y, z))
