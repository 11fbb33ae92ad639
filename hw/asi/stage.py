"""A stage driven by an ASI MS-2000 or Tiger controller: um and seconds outside, 0.1 um inside.

The controller has encoders but no machine frame: after power-up it calls the place where it stands 0. Homing makes the
frame: each axis goes to its limit switch, which must say that it is pressed, and that place becomes 0 (`H`). Its own
HOME (`!`) is not used: it drives towards a place a metre away and trusts that a switch will stop it.

Every axis goes at its own speed, not along a straight line together. HALT stops them with the position kept. Reaching a
limit switch anywhere but in homing means that the frame is not where it was thought, so the stage must be homed again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, repeat
from typing import Final

import trio

from firmware_app.model import Position
from hw.abc import Identity, StageLimits, StampedPosition
from hw.approach import UNSEATED, Seats, legs
from hw.asi import codec
from hw.asi.controller import Controller, firmware_limits_mm, identify, require_set_up
from hw.asi.link import AsiLink
from hw.asi.settings import (
    LIMITS_ADVICE,
    Vector,
    as_vector,
    homed_um,
    motion_seconds,
    reachable_box,
    require_limits_outside,
    require_sound,
    search_um,
)
from hw.asi.settings import AsiSettings as AsiSettings
from hw.errors import Deadline, DeviceFault, ProtocolError, Refused
from hw.lamp_levels import require_level
from hw.motion_guard import MotionGuard
from hw.port_owner import running
from hw.position_stream import position_stream
from hw.stage_checks import require_reachable
from hw.tty import Tty

POLL_S: Final = (0.01, 0.02, 0.04)  # after the planned end of a motion
WATCH_S: Final = 0.25  # on the way: a switch, or whoever stops it, may end a motion of minutes at any time
SLOW_POLL_S: Final = 0.05  # a question and its reply take 5 ms at 9600 baud
LATE_S: Final = 2.0  # how much later than planned a motion may end: the final approach of the servo is not documented
HALT_S: Final = 1.0  # the axes stop within their ramps, tenths of a second
LEVEL_TOLERANCE: Final = 0.006  # the LED command takes whole percents
SMALLEST_STEP_UM: Final = 0.05  # below half a unit of the wire an axis is where it should be
SEATED_UM: Final = 0.5  # what a servo at rest may wander
OFF_TRIES: Final = 6  # more pull-offs until a slide that was pushed past its switch must be off it
RESTART_MARK: Final = 21331  # any number but the 0 that BU Z has after power-up or a reset


class AsiStage:
    """Made by `open_asi`, which also closes it. One motion at a time, others wait for their turn."""

    def __init__(self, link: AsiLink, settings: AsiSettings, identity: Identity, controller: Controller) -> None:
        self._link = link
        self._settings = settings
        self._identity = identity
        self._controller = controller
        self._limits = reachable_box(settings)
        self._guard = MotionGuard(link.label, self._halt, self._lose_frame)
        self._homed_since: int | None = None
        self._seated_um: Vector | None = None  # where the last move came to from below
        self._marked = False
        self._restarts_found = 0  # that it did not tell of

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def limits(self) -> StageLimits:
        return self._limits

    @property
    def homed(self) -> bool:
        """Every limit switch, disabled axis, restart, and stop that could not be confirmed ends it."""
        return self._link.port.failure is None and self._homed_since == self._link.restarts

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(lamp.name for lamp in self._controller.lamps)

    async def wait_lost(self) -> str:
        """Returns when the port is gone, with the reason; nothing else here works from then on."""
        return await self._link.port.wait_lost()

    async def position(self) -> Position:
        if self._guard.homing:
            raise Refused(f"{self.identity.label} is homing: no position until it ends")
        at = _position(await self._at_um())
        if self.homed and not self._is_inside(at):
            await self._require_same_power()  # 0, where it stands after a restart, is on the switches
        return at

    def _is_inside(self, at: Position) -> bool:
        spans = zip(as_vector(self.limits.low), as_vector(at), as_vector(self.limits.high), strict=True)
        return all(low <= place <= high for low, place, high in spans)

    def positions(self) -> AsyncGenerator[StampedPosition, None]:
        """Also during moves; none while homing, when there is no frame."""
        return position_stream(self._position_after_homing)

    async def _position_after_homing(self) -> Position:
        await self._guard.until_homed()
        return await self.position()

    @property
    def outputs_lost(self) -> int:
        return self._link.restarts + self._restarts_found

    async def set_output(self, name: str, level: float) -> None:
        """In whole percents, and read back."""
        require_level(self.identity.label, self.outputs, name, level)
        lamp = self._controller.lamps[self.outputs.index(name)]
        await self._link.do(codec.encode_led(lamp.letter, round(level * 100), card=lamp.card))
        is_level = await self._link.setting("LED", lamp.letter, card=lamp.card) / 100
        if abs(is_level - level) > LEVEL_TOLERANCE:
            raise DeviceFault("output", f"{self.identity.label}: {name} is at {is_level:g} instead of {level:g}")

    # ------------------------------------------------------------------------------------------ motion

    async def home(self) -> Position:
        """z first, then x and y together. Also the way out of every fault."""
        async with self._guard.motion_turn() as stops:
            self._homed_since = None
            restarts = self._link.restarts
            await require_set_up(self._link, self._settings)
            async with self._guard.home(stops):
                for axes in ((2,), (0, 1)):
                    await self._home_axes(axes, stops, restarts)
            limits_mm = await firmware_limits_mm(self._link, self._settings)
            require_limits_outside(self._limits, limits_mm, self._settings, self.identity.label)
            await self._mark_power()
            at = _position(await self._at_um())
            self._link.require_not_restarted(restarts)
            self._guard.require_not_stopped(stops)
            self._homed_since, self._seated_um = restarts, None
            return await self._move(at, stops) if any(self._settings.backlash_um) else at

    async def move_to(self, target: Position) -> Position:
        async with self._guard.motion_turn() as stops:
            return await self._move(target, stops)

    async def move_by(self, dx_um: float = 0.0, dy_um: float = 0.0, dz_um: float = 0.0) -> Position:
        async with self._guard.motion_turn() as stops:
            at = await self.position()
            return await self._move(Position(at.x_um + dx_um, at.y_um + dy_um, at.z_um + dz_um), stops)

    async def stop(self) -> Position:
        """Stops whoever moves it; that caller gets a `DeviceFault("stopped", ...)`."""
        await self._guard.stop()
        return _position(await self._at_um())

    async def aclose(self) -> None:
        """Stops what moves and lets go of the port."""
        await self._guard.close()
        await self._link.port.aclose()

    async def _move(self, target: Position, stops: int) -> Position:
        restarts = self._link.restarts
        require_reachable(self.identity.label, self.homed, self.limits, target)
        await self._require_same_power()
        target_um, at_um = as_vector(target), await self._at_um()
        seats, self._seated_um = self._seats(at_um), None
        async with self._guard.motion(stops):
            for place_um in legs(at_um, target_um, self._settings.backlash_um, seats):
                if changed := self._changed(at_um, place_um):
                    await self._link.do(codec.encode_move(changed))
                    self._guard.require_not_stopped(stops)
                    await self._until_still(motion_seconds(self._settings, at_um, place_um), stops, restarts)
                await self._require_clear_of_limits()
                at_um = place_um
            end_um = await self._at_um()
        self._check_arrival(target_um, end_um)
        self._seated_um = end_um
        await self._link.pause(self._settings.settle_s, restarts)
        return _position(end_um)

    async def _home_axes(self, axes: tuple[int, ...], stops: int, restarts: int) -> None:
        """To the switches, off them, and slowly - it is a short way - on again: there is 0; then off for good.

        A slide may have been pushed past its switch: it goes off by one pull-off after the other, so that the way back
        is short whatever came before.
        """
        search = {axis: search_um(self._settings, axis) for axis in axes}
        off = {axis: -self._settings.pull_off_mm * 1000 * (1 if way > 0 else -1) for axis, way in search.items()}
        again = {axis: -2 * way for axis, way in off.items()}
        await self._go(search, stops, restarts)
        await self._require_switches(axes, pressed=True)
        await self._go(off, stops, restarts)
        for _ in range(OFF_TRIES):
            pressed = [axis for axis in axes if await self._is_on_switch(axis)]
            if not pressed:
                break
            await self._go({axis: off[axis] for axis in pressed}, stops, restarts)
        else:
            await self._require_switches(axes, pressed=False)
        await self._go(again, stops, restarts)
        await self._require_switches(axes, pressed=True)
        await self._link.do(codec.encode_here({self._settings.axes[axis]: 0.0 for axis in axes}))
        await self._go({axis: homed_um(self._settings, axis) for axis in axes}, stops, restarts)
        await self._require_switches(axes, pressed=False)

    async def _go(self, ways_um: dict[int, float], stops: int, restarts: int) -> None:
        """Relative, and at most so far; a switch may end it at any time."""
        letters = self._settings.axes
        await self._link.do(codec.encode_move_by({letters[axis]: way for axis, way in ways_um.items()}))
        self._guard.require_not_stopped(stops)
        end: Vector = (ways_um.get(0, 0.0), ways_um.get(1, 0.0), ways_um.get(2, 0.0))
        expected_s = motion_seconds(self._settings, (0.0, 0.0, 0.0), end)
        await self._until_still(expected_s, stops, restarts, at_any_time=True)

    async def _until_still(self, expected_s: float, stops: int, restarts: int, *, at_any_time: bool = False) -> None:
        """Whoever is stopped is told at once, not at the next look."""
        deadline_s = trio.current_time() + expected_s + LATE_S
        watched = int(expected_s / WATCH_S)
        planned = () if at_any_time else (*repeat(WATCH_S, watched), expected_s - watched * WATCH_S)
        for pause_s in chain(planned, POLL_S, repeat(SLOW_POLL_S)):
            await self._link.pause(pause_s, restarts, lambda: self._guard.stops != stops)
            self._guard.require_not_stopped(stops)
            if not await self._link.moving():
                break
            if trio.current_time() > deadline_s:
                raise Deadline(f"{self.identity.label}: still moving {LATE_S:g} s after the motion should have ended")
        self._guard.require_not_stopped(stops)

    def _lose_frame(self) -> None:
        self._homed_since = None

    async def _halt(self) -> None:
        """At rest when it returns."""
        await self._link.halt()
        deadline_s = trio.current_time() + HALT_S
        while await self._link.moving():
            if trio.current_time() > deadline_s:
                raise Deadline(f"{self.identity.label}: still moving {HALT_S:g} s after it was stopped")
            await trio.sleep(POLL_S[0])

    # ------------------------------------------------------------------------------------------ checks

    def _check_arrival(self, target_um: Vector, end_um: Vector) -> None:
        error_um = max(abs(a - b) for a, b in zip(target_um, end_um, strict=True))
        if error_um > self._settings.tolerance_um:
            ended, wanted = (", ".join(f"{value:.1f}" for value in vector) for vector in (end_um, target_um))
            raise DeviceFault("position", f"{self.identity.label} ended at {ended} um instead of {wanted} um")

    async def _require_clear_of_limits(self) -> None:
        """`DeviceFault` for an axis that is on a limit switch or switched off."""
        for letter in self._settings.axes:
            status = await self._link.axis_status(letter)
            if not status.enabled:
                self._homed_since = None
                raise DeviceFault(
                    "disabled", f"{self.identity.label}: axis {letter} is disabled (motor error or clutch)"
                )
            if status.upper_limit or status.lower_limit:
                self._homed_since = None
                which = "upper" if status.upper_limit else "lower"
                raise DeviceFault("limit", f"{self.identity.label}: axis {letter} is on its {which} limit switch")

    async def _is_on_switch(self, axis: int) -> bool:
        """Whether the switch at the axis's home end is pressed."""
        letter = self._settings.axes[axis]
        status = await self._link.axis_status(letter)
        if not status.enabled:
            raise DeviceFault("disabled", f"{self.identity.label}: axis {letter} is disabled (motor error or clutch)")
        return status.upper_limit if self._settings.home_ends[axis] == "high" else status.lower_limit

    async def _require_switches(self, axes: tuple[int, ...], pressed: bool) -> None:
        for axis in axes:
            letter, end = self._settings.axes[axis], self._settings.home_ends[axis]
            if await self._is_on_switch(axis) is pressed:
                continue
            limits_mm = await firmware_limits_mm(self._link, self._settings)
            how = "did not reach" if pressed else "did not get off"
            span = f"SL {limits_mm['SL', letter]:g} to SU {limits_mm['SU', letter]:g} mm"
            raise DeviceFault(
                "homing",
                f"{self.identity.label}: axis {letter} {how} its limit switch at the {end} end"
                f" (firmware limits {span}; {LIMITS_ADVICE})",
            )

    async def _mark_power(self) -> None:
        """BU Z keeps a number until power-up or a reset: MS-2000 firmware 9.53, older ones say what they like to it."""
        self._marked = False
        if self._controller.tiger:
            return  # tells by its banner that it restarted
        try:
            await self._link.setting("BU", "Z")
            await self._link.do(codec.encode_command(f"BU Z={RESTART_MARK}"))
            self._marked = await self._link.setting("BU", "Z") == RESTART_MARK
        except (DeviceFault, ProtocolError):
            return

    async def _require_same_power(self) -> None:
        """A controller that was switched off and on again behind its USB plug stands at 0 and knows no better."""
        if self._marked and await self._link.setting("BU", "Z") != RESTART_MARK:
            self._homed_since = None
            self._restarts_found += 1
            raise DeviceFault(
                "restart", f"{self.identity.label} has restarted since it was homed, the position is lost"
            )

    async def _at_um(self) -> Vector:
        at_um = await self._link.positions_um(self._controller.letters)
        x, y, z = (at_um[letter] for letter in self._settings.axes)
        return (x, y, z)

    def _seats(self, at_um: Vector) -> Seats:
        """An axis that was moved since - by the joystick, by a stopped move - may have been come to from above."""
        if self._seated_um is None:
            return UNSEATED
        x, y, z = (abs(at - was) <= SEATED_UM for at, was in zip(at_um, self._seated_um, strict=True))
        return (x, y, z)

    def _changed(self, at_um: Vector, place_um: Vector) -> dict[str, float]:
        triples = zip(self._settings.axes, at_um, place_um, strict=True)
        return {letter: place for letter, at, place in triples if abs(place - at) > SMALLEST_STEP_UM}


def _position(at_um: Vector) -> Position:
    x, y, z = at_um
    return Position(round(x, 2), round(y, 2), round(z, 2))


# ------------------------------------------------------------------------------------------------- opening


@asynccontextmanager
async def open_asi(port: str, settings: AsiSettings, *, simulated: bool) -> AsyncIterator[AsiStage]:
    """Open, identify, compare the controller's settings. Leaving it stops the stage and closes the port."""
    label = f"sim+asi:{port}" if simulated else f"asi:{port}"
    require_sound(settings, label)
    link = AsiLink(await Tty.open(port, settings.baud), label)
    async with running(link.port):
        controller = await identify(link, port, settings, simulated)
        stage = AsiStage(link, settings, Identity(label, controller.firmware, simulated), controller)
        try:
            if await link.moving():
                await stage.stop()  # whoever started that is no longer here
            yield stage
        finally:
            await stage.aclose()
