"""A stage on a Sangaboard: um and seconds outside, relative steps inside.

What stopping means depends on the firmware. v1.0 has `stop`: the motors halt within a few milliseconds wherever they
are, and the count is kept. v0.4 and v0.5 have nothing of the kind: from the first step of a move to its last they read
no command. Their moves are therefore sent in slices of at most `SLICE_S`, each confirmed, so a stop acts at the end of
the slice under way, within 0.1 s, with the count kept; only cutting the motors' power is quicker. The board writes its
count to EEPROM after every move, so a slice is also one write (its memory is good for 100,000 of them).

Where the stage is, is the driver's own knowledge. The count that a board starts with is what its EEPROM held: -1 -1 -1
when it was blank, a stale one when the power went during a move, and for v1.0-beta that of the last `zero`. It is never
taken for a place. `homed` means, with endstops, that the min switches were found since the board started; with a frame
set by hand, that a person has put the stage to its origin before `home` was called, and that every step was counted
since. A restart, a hit switch or a count that is not the commanded one ends it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio

from firmware_app.model import Position
from hw.abc import Identity, StageLimits, StampedPosition
from hw.approach import SEATED, UNSEATED, Seats, legs
from hw.errors import Deadline, DeviceFault, Refused
from hw.lamp_levels import require_level
from hw.motion_guard import MotionGuard
from hw.port_owner import running
from hw.position_stream import position_stream
from hw.sangaboard import codec
from hw.sangaboard.board import Board, identify, require_setup
from hw.sangaboard.codec import Done, Moving, PositionReset, Steps
from hw.sangaboard.homing import home_by_board, home_in_slices
from hw.sangaboard.lamps import set_lamp
from hw.sangaboard.link import Incidents, SangaboardLink
from hw.sangaboard.settings import SLICE_S as SLICE_S
from hw.sangaboard.settings import (
    SangaboardSettings as SangaboardSettings,
)
from hw.sangaboard.settings import (
    motion_seconds,
    origin_steps,
    reachable_box,
    require_sound,
    slices,
    to_steps,
    to_um,
)
from hw.stage_checks import require_reachable
from hw.tty import Tty

POLL_S: Final = 0.02
LATE_S: Final = 2.0  # how much later than planned a motion may end
HALT_TRIES: Final = 8  # `stop` ends one phase of a homing, which has four, and the next one begins


class SangaboardStage:
    """Made by `open_sangaboard`, which also closes it. One motion at a time, others wait for their turn."""

    def __init__(self, link: SangaboardLink, settings: SangaboardSettings, board: Board) -> None:
        self._link = link
        self._settings = settings
        self._board = board
        how = "" if board.stoppable else f" (at the end of a slice of {SLICE_S:g} s: it has no stop command)"
        self._guard = MotionGuard(link.label, self._halt, self._lose_frame, how)
        self._homed_since: Incidents | None = None
        self._origin_was_set = False
        self._seated: Seats = UNSEATED

    @property
    def identity(self) -> Identity:
        return self._board.identity

    @property
    def limits(self) -> StageLimits:
        return reachable_box(self._settings)

    @property
    def homed(self) -> bool:
        return self._link.port.failure is None and self._homed_since == self._link.incidents

    async def wait_lost(self) -> str:
        """Returns when the port is gone, with the reason; nothing else here works from then on."""
        return await self._link.port.wait_lost()

    async def position(self) -> Position:
        """Between two slices where the board does not answer in motion. `Refused` while it is homing."""
        if self._guard.homing:
            raise Refused(f"{self.identity.label} is homing: no position until it ends")
        return self._place(await self._link.count())

    def positions(self) -> AsyncGenerator[StampedPosition, None]:
        return position_stream(self._position_after_homing)

    async def _position_after_homing(self) -> Position:
        await self._guard.until_homed()
        return self._place(await self._link.count())

    # ------------------------------------------------------------------------------------------ lamps

    @property
    def outputs(self) -> tuple[str, ...]:
        return self._board.lamps

    @property
    def outputs_lost(self) -> int:
        return self._link.incidents.restarts

    async def set_output(self, name: str, level: float) -> None:
        """Also during a motion: at once with v1.0, after the slice under way with older firmware."""
        require_level(self.identity.label, self.outputs, name, level)
        await set_lamp(self._link, name, level)

    # ------------------------------------------------------------------------------------------ motion

    async def home(self) -> Position:
        """Find the min switches; with a frame set by hand, call this place the origin, or return to it.

        By hand, the first `home` after the board was opened takes the word of whoever set `frame = "by_hand"` that the
        stage has been put to its origin, and sends `zero`; later ones drive back to it. Once that origin is lost they
        are `Refused`: only a person can put the stage back, and say so by opening it anew.
        """
        async with self._guard.motion_turn() as stops:
            if self._settings.frame == "by_hand":
                await self._set_or_seek_origin()
            else:
                self._homed_since = None
                await require_setup(self._link, self._settings, self._board.endstops, stoppable=self._board.stoppable)
                await self._find_switches(stops)
            end = await self._travel(origin_steps(self._settings), stops)
            return self._place(end)

    async def _set_or_seek_origin(self) -> None:
        self._link.port.require_open()
        if self.homed:
            return
        if self._origin_was_set:
            raise Refused(f"{self.identity.label} has lost its origin: put the stage there by hand, then open it anew")
        incidents = self._link.incidents
        await self._link.ask(codec.ZERO, PositionReset)
        self._homed_since, self._seated, self._origin_was_set = incidents, UNSEATED, True

    async def _find_switches(self, stops: int) -> None:
        self._seated = UNSEATED
        async with self._guard.home(stops):
            if self._board.stoppable:
                await home_by_board(self._link, self._settings, partial(self._guard.require_not_stopped, stops))
            else:
                await home_in_slices(self._link, self._settings, partial(self._slice_of_homing, stops))
            self._homed_since = self._link.incidents

    async def move_to(self, target: Position) -> Position:
        async with self._guard.motion_turn() as stops:
            return await self._move(target, stops)

    async def move_by(self, dx_um: float = 0.0, dy_um: float = 0.0, dz_um: float = 0.0) -> Position:
        async with self._guard.motion_turn() as stops:
            at = await self.position()
            return await self._move(Position(at.x_um + dx_um, at.y_um + dy_um, at.z_um + dz_um), stops)

    async def stop(self) -> Position:
        """Stops whoever moves it; that caller gets a `DeviceFault("stopped", ...)`.

        v1.0 stops at once. v0.4 and v0.5 have no stop command: there the slice under way, at most 0.08 s, is the last.
        """
        await self._guard.stop()
        return self._place(await self._link.count())

    async def aclose(self) -> None:
        """Stops what moves and lets go of the port."""
        await self._guard.close()
        await self._link.port.aclose()

    async def _move(self, target: Position, stops: int) -> Position:
        require_reachable(self.identity.label, self.homed, self.limits, target)
        wanted = to_steps(self._settings, (target.x_um, target.y_um, target.z_um))
        end = await self._travel(wanted, stops)
        incidents = self._link.incidents
        await self._link.pause(self._settings.settle_s, lambda: self._link.incidents != incidents)
        self._check_frame()
        return self._place(end)

    async def _travel(self, target: Steps, stops: int) -> Steps:
        """By one straight line, or by two so that every axis arrives from below. Returns the count at the end."""
        start = await self._link.count()
        way = legs(
            to_um(self._settings, start), to_um(self._settings, target), self._settings.backlash_um, self._seated
        )
        at = start
        async with self._guard.motion(stops):
            self._seated = UNSEATED
            for leg in way:
                goal = to_steps(self._settings, leg)
                at = await self._straight(at, goal, stops)
            self._seated = SEATED
        return at

    async def _straight(self, start: Steps, goal: Steps, stops: int) -> Steps:
        distance = _minus(goal, start)
        if not any(distance):
            return start
        if self._board.stoppable:
            at = await self._whole_move(distance, stops)
            self._check_arrival(at, goal)
            return at
        at = start
        for part in slices(self._settings, distance):
            self._guard.require_not_stopped(stops)
            at = await self._slice(at, part)
        return at

    async def _slice(self, at: Steps, part: Steps) -> Steps:
        """v0.4 and v0.5: nothing is answered until it ends, so its planned duration is what the deadline is made of."""
        await self._link.ask(codec.encode_move(part), Done, motion_seconds(self._settings, part))
        now = await self._link.count()
        self._check_arrival(now, _plus(at, part))
        return now

    async def _slice_of_homing(self, stops: int, part: Steps) -> None:
        """The count changes at the switch, so it is not compared."""
        self._guard.require_not_stopped(stops)
        await self._link.ask(codec.encode_move(part), Done, motion_seconds(self._settings, part))

    async def _whole_move(self, distance: Steps, stops: int) -> Steps:
        """v1.0: it answers in motion. `notify_on_stop` says when to look; `moving?` says whether it is true."""
        seen, before = self._link.stops, self._link.incidents
        if self._board.silent_start:
            await self._link.tell(codec.encode_move(distance))
        else:
            await self._link.ask(codec.encode_move(distance), Done)
            await self._link.tell(codec.NOTIFY_ON_STOP)
        expected_s = motion_seconds(self._settings, distance)
        deadline_s = trio.current_time() + expected_s + LATE_S
        pause_s = expected_s
        while True:
            self._guard.require_not_stopped(stops)
            await self._link.pause(pause_s, partial(self._something_happened, seen, before, stops))
            self._guard.require_not_stopped(stops)
            self._check_frame()
            seen = self._link.stops
            if not (await self._link.ask(codec.IS_MOVING, Moving)).moving:
                return await self._link.count()
            if trio.current_time() > deadline_s:
                label = self.identity.label
                raise Deadline(f"{label}: still moving {LATE_S:g} s after the motion should have ended")
            pause_s = POLL_S

    def _something_happened(self, seen: int, before: Incidents, stops: int) -> bool:
        return self._link.stops != seen or self._link.incidents != before or self._guard.stops != stops

    def _lose_frame(self) -> None:
        self._homed_since = None

    async def _halt(self) -> None:
        """At rest when it returns, with the count kept."""
        if not self._board.stoppable:
            await self._link.count()  # answered when the slice under way has ended; nobody sends another
            return
        for _ in range(HALT_TRIES):
            await self._link.interrupt(codec.STOP)
            if not (await self._link.ask(codec.IS_MOVING, Moving)).moving:
                return
        raise DeviceFault("stop", f"{self.identity.label} still moves after {HALT_TRIES} times `stop`")

    # ------------------------------------------------------------------------------------------ checks

    def _check_frame(self) -> None:
        """A restart and a hit switch change the count."""
        since, now = self._homed_since, self._link.incidents
        if since is None or since == now:
            return
        if since.restarts != now.restarts:
            raise DeviceFault("restart", f"{self.identity.label} restarted by itself, its count is not to be trusted")
        axes = "".join(axis for axis, a, b in zip("xyz", since.endstops, now.endstops, strict=True) if a != b)
        raise DeviceFault("endstop", f"{self.identity.label} ran into the switch of {axes}: home it again")

    def _check_arrival(self, at: Steps, goal: Steps) -> None:
        self._check_frame()
        if at != goal:
            # A board without soft limits counts what it steps; another count means that it lost or reset it.
            self._homed_since = None
            ended, wanted = (", ".join(f"{um:.1f}" for um in to_um(self._settings, count)) for count in (at, goal))
            raise DeviceFault("position", f"{self.identity.label} ended at {ended} um instead of {wanted} um")

    def _place(self, count: Steps) -> Position:
        x, y, z = to_um(self._settings, count)
        return Position(round(x, 3), round(y, 3), round(z, 3))


def _minus(left: Steps, right: Steps) -> Steps:
    return (left[0] - right[0], left[1] - right[1], left[2] - right[2])


def _plus(left: Steps, right: Steps) -> Steps:
    return (left[0] + right[0], left[1] + right[1], left[2] + right[2])


# ------------------------------------------------------------------------------------------------- opening


@asynccontextmanager
async def open_sangaboard(
    port: str, settings: SangaboardSettings, *, simulated: bool
) -> AsyncIterator[SangaboardStage]:
    """Open, identify, compare the board's settings. Leaving it stops the stage and closes the port."""
    require_sound(settings)
    link = SangaboardLink(
        await Tty.open(port, settings.baud), f"sim+sangaboard:{port}" if simulated else f"sangaboard:{port}"
    )
    async with running(link.port):
        board = await identify(link, port, settings, simulated=simulated)
        stage = SangaboardStage(link, settings, board)
        try:
            yield stage
        finally:
            await stage.aclose()
