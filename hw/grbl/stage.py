"""A stage driven by Grbl 1.1: um and seconds outside, jogs inside.

Motion is `$J=` throughout: a jog beyond the travel is refused (`error:15`) where G-code would raise an alarm, and one
byte (0x85) stops it with the position kept. Whether the stage is homed is the driver's own knowledge: after a soft
reset Grbl is idle whether or not it knows where it is.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, repeat
from typing import Final

import trio

from firmware_app.model import Position
from hw.abc import Identity, StageLimits, StampedPosition
from hw.approach import SEATED, UNSEATED, Seats, legs
from hw.errors import Deadline, DeviceFault, ProtocolError, Refused
from hw.grbl import codec
from hw.grbl.codec import BuildInfo, BuildOptions, Setting, State, Status, Vector
from hw.grbl.dialogue import Phase
from hw.grbl.lamps import GrblLamps
from hw.grbl.link import GrblLink, Incidents
from hw.grbl.settings import (
    LATE_S,
    homing_due_seconds,
    homing_seconds,
    motion_seconds,
    reachable_box,
    require_settings,
    top_speed,
)
from hw.grbl.settings import GrblSettings as GrblSettings
from hw.lamp_levels import require_level
from hw.motion_guard import MotionGuard
from hw.opening import Step, opening_step
from hw.port_owner import running
from hw.position_stream import position_stream
from hw.stage_checks import require_as_configured, require_reachable
from hw.tty import Tty

POLL_S: Final = (0.01, 0.02, 0.04)  # after the planned end of a motion; then Grbl's limit of 10 Hz
SLOW_POLL_S: Final = 0.1
HALT_S: Final = 2.5  # the configured axes stop in a fraction of it; two reports that are lost take 2 s
CANCEL_AGAIN_S: Final = 0.2  # a cancel that overtook its jog in the buffer did nothing; the next one does


class GrblStage:
    """Made by `open_grbl`, which also closes it. One motion at a time, others wait for their turn."""

    def __init__(
        self,
        link: GrblLink,
        settings: GrblSettings,
        identity: Identity,
        device: dict[int, float],
        options: BuildOptions | None = None,
    ) -> None:
        self._link = link
        self._lamps = GrblLamps(link, device, options)
        self._settings = settings
        self._identity = identity
        self._device = device
        self._limits = reachable_box(device, settings.backlash_um)
        self._guard = MotionGuard(link.label, self._halt, self._lose_frame)
        self._homed_since: Incidents | None = None
        self._seated: Seats = UNSEATED

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def limits(self) -> StageLimits:
        return self._limits

    @property
    def homed(self) -> bool:
        """Every alarm, every restart and every stop that could not be confirmed ends it."""
        return self._link.port.failure is None and self._homed_since == self._link.incidents

    async def wait_lost(self) -> str:
        """Returns when the port is gone, with the reason; nothing else here works from then on."""
        return await self._link.port.wait_lost()

    async def position(self) -> Position:
        if self._guard.homing:
            raise Refused(f"{self.identity.label} is homing: no position until it ends")
        return _position(self._machine_mm(await self._link.status()))

    def positions(self) -> AsyncGenerator[StampedPosition, None]:
        """Also during jogs; a homing board answers nothing, so nothing comes until it has ended."""
        return position_stream(self._position_after_homing)

    async def _position_after_homing(self) -> Position:
        await self._guard.until_homed()
        return await self.position()

    # ------------------------------------------------------------------------------------------ lamps

    @property
    def outputs(self) -> tuple[str, ...]:
        return self._lamps.names

    @property
    def outputs_lost(self) -> int:
        return self._link.blackouts

    async def set_output(self, name: str, level: float) -> None:
        """Waits for a motion under way: a jogging Grbl takes no other line. A reset and an alarm put all out."""
        require_level(self.identity.label, self.outputs, name, level)
        async with self._guard.turn:
            await self._lamps.set(name, level)

    # ------------------------------------------------------------------------------------------ motion

    async def home(self) -> Position:
        """Also the way out of every alarm."""
        async with self._guard.motion_turn() as stops:
            self._homed_since = None
            await self._link.ready()
            if (await self._link.status()).state not in (State.IDLE, State.ALARM):
                await self._link.reset()  # a hold, an open door, a sleep: `$H` would wait for its end
            incidents = self._link.incidents
            async with self._guard.home(stops):
                await self._link.home(homing_due_seconds(self._device), homing_seconds(self._device))
            await self._link.command(codec.MILLIMETRES_ABSOLUTE)
            at_mm = await self._idle_mm()
            self._homed_since, self._seated = incidents, UNSEATED
            if not any(self._settings.backlash_um):
                return _position(at_mm)
            # The pull-off came from above, or, homed to the low end, has left no room to come from below.
            low = _um(self._limits.low)
            return await self._move(Position(*map(max, _um(_position(at_mm)), low)), stops)

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
        return _position(self._machine_mm(await self._link.status()))

    async def aclose(self) -> None:
        """Stops what moves and lets go of the port."""
        await self._guard.close()
        await self._link.port.aclose()

    async def _move(self, target: Position, stops: int) -> Position:
        incidents = self._link.incidents
        require_reachable(self.identity.label, self.homed, self.limits, target)
        at_mm = await self._idle_mm()
        start_um = _um(_position(at_mm))
        for leg_um in legs(start_um, _um(target), self._settings.backlash_um, self._seated):
            self._seated = UNSEATED
            x_um, y_um, z_um = leg_um
            at_mm = await self._jog(at_mm, (x_um / 1000, y_um / 1000, z_um / 1000), stops, incidents)
        self._seated = SEATED
        await self._link.pause(self._settings.settle_s, incidents)
        return _position(at_mm)

    async def _jog(self, start_mm: Vector, target_mm: Vector, stops: int, incidents: Incidents) -> Vector:
        jog = codec.encode_jog(target_mm, top_speed(self._settings, start_mm, target_mm))
        async with self._guard.motion(stops):
            await self._link.command(jog)
            self._guard.require_not_stopped(stops)
            end_mm = await self._arrival(motion_seconds(self._settings, start_mm, target_mm), incidents, stops)
        self._check_arrival(target_mm, end_mm)
        return end_mm

    async def _arrival(self, expected_s: float, since: Incidents, stops: int) -> Vector:
        """Where the stage stands once it stands; whoever is stopped is told at once, not at the planned end."""
        deadline_s = trio.current_time() + expected_s + LATE_S
        for pause_s in chain((expected_s,), POLL_S, repeat(SLOW_POLL_S)):
            await self._link.pause(pause_s, since, lambda: self._guard.stops != stops)
            self._guard.require_not_stopped(stops)
            status = await self._link.status()
            if status.state is not State.JOG:
                return self._require_idle(status)
            if trio.current_time() > deadline_s:
                break
        raise Deadline(f"{self.identity.label}: still moving {LATE_S:g} s after the motion should have ended")

    def _lose_frame(self) -> None:
        self._homed_since = None

    async def _halt(self) -> None:
        """At rest when it returns. Keeps the position of a jog; a reset, which does not, is the last resort."""
        if self._link.phase in (Phase.ALARMED, Phase.LOCKED):
            return  # an alarm has stopped the motors already
        with trio.move_on_after(HALT_S):
            while not self._guard.homing:
                try:
                    await self._cancel_jog()
                except (Deadline, ProtocolError):
                    continue  # the byte that cancels may be lost as well as the report: both again
                return
        self._homed_since = None
        await self._link.reset()

    async def _cancel_jog(self) -> None:
        await self._link.write(codec.JOG_CANCEL)
        if self._link.phase is Phase.WAITING:
            await self._link.answered()
            await self._link.write(codec.JOG_CANCEL)
        again_s = trio.current_time() + CANCEL_AGAIN_S
        while (status := await self._link.status()).state in (State.JOG, State.RUN, State.HOLD):
            if status.state is State.HOLD and status.substate == 0:
                await self._link.reset()  # in Hold:0 a reset keeps the position
            elif status.state is State.RUN:
                await self._link.write(codec.FEED_HOLD)
            elif trio.current_time() >= again_s:
                await self._link.write(codec.JOG_CANCEL)
                again_s += CANCEL_AGAIN_S
            await trio.sleep(POLL_S[0])

    # ------------------------------------------------------------------------------------------ checks

    def _check_arrival(self, target_mm: Vector, end_mm: Vector) -> None:
        error_um = max(abs(a - b) * 1000 for a, b in zip(target_mm, end_mm, strict=True))
        if error_um > self._settings.tolerance_um:
            ended, wanted = (", ".join(f"{value * 1000:.1f}" for value in vector) for vector in (end_mm, target_mm))
            raise DeviceFault("position", f"{self.identity.label} ended at {ended} um instead of {wanted} um")

    async def _idle_mm(self) -> Vector:
        return self._require_idle(await self._link.status())

    def _require_idle(self, status: Status) -> Vector:
        if status.state is not State.IDLE:
            raise DeviceFault(status.state, f"{self.identity.label} is in the state {status.state}, not idle")
        return self._machine_mm(status)

    def _machine_mm(self, status: Status) -> Vector:
        if status.machine_mm is None:
            raise ProtocolError(f"{self.identity.label}: a status report without MPos, $10 must have been changed")
        return status.machine_mm


def _um(position: Position) -> Vector:
    return (position.x_um, position.y_um, position.z_um)


def _position(machine_mm: Vector) -> Position:
    x, y, z = machine_mm
    return Position(round(x * 1000, 1), round(y * 1000, 1), round(z * 1000, 1))


# ------------------------------------------------------------------------------------------------- opening


@asynccontextmanager
async def open_grbl(port: str, settings: GrblSettings, *, simulated: bool) -> AsyncIterator[GrblStage]:
    """Open, identify, compare the board's settings. Leaving it stops the stage and closes the port."""
    link = GrblLink(await Tty.open(port, settings.baud), f"sim+grbl:{port}" if simulated else f"grbl:{port}")
    async with running(link.port):
        stage = await _identify(link, port, settings, simulated)
        try:
            yield stage
        finally:
            await stage.aclose()


async def _identify(link: GrblLink, port: str, settings: GrblSettings, simulated: bool) -> GrblStage:
    opening_step(Step.IDENTIFYING)
    await link.reset()
    told = await link.command(codec.VIEW_BUILD_INFO)
    build = next((event for event in told if isinstance(event, BuildInfo)), None)
    options = next((event for event in told if isinstance(event, BuildOptions)), None)
    if build is None:
        raise ProtocolError(f"{port}: no [VER:] in the answer to $I")
    require_as_configured(build.info, port, simulated=simulated)
    opening_step(Step.APPLYING)
    device = _numbers([event for event in await link.command(codec.VIEW_SETTINGS) if isinstance(event, Setting)], port)
    require_settings(device, settings, link.label)
    if (await link.status()).state is State.IDLE:
        await link.command(codec.MILLIMETRES_ABSOLUTE)  # a locked board would refuse it; homing comes first there
    firmware = f"Grbl {build.version} {build.info}".strip()
    return GrblStage(link, settings, Identity(link.label, firmware, simulated), device, options)


def _numbers(listed: list[Setting], port: str) -> dict[int, float]:
    numbers: dict[int, float] = {}
    for setting in listed:
        if re.fullmatch(r"-?\d{1,9}(\.\d{1,6})?", setting.value) is None:
            raise ProtocolError(f"{port}: ${setting.number} in the answer to $$ is no number: {setting.value!r}")
        numbers[setting.number] = float(setting.value)
    return numbers
