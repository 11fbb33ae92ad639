"""A stage and a camera in front of a simulated eye, without bytes or threads: for a clock that only they move.

Motions last as long as the simulated stage's do, frames come at the camera's rate one period after they were begun;
what the host computes in between takes no time. Everything else is promised by `hw.abc`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import trio

from firmware_app.config import Config, GrblConfig, SerialCameraConfig
from firmware_app.model import Eye, Frame, Position
from firmware_app.records.store import local_now
from firmware_app.services.hardware import DeviceSlot, DeviceState
from hw.abc import Identity, StageLimits, StampedPosition
from hw.errors import DeviceFault, Refused
from hw.sim.eye import NOMINAL_APEX, SimulatedHead
from hw.sim.instrument import SIM_STAGE_CONFIG, SimSettings
from hw.sim.motion import Motion, Profile, limited, straight
from hw.sim.optics import ROWS, UM_PER_PX

# Two status requests, the jog and its answer at 115200 baud, and Grbl's own 50 ms before a short block of motion ends.
OVERHEAD_S = 0.07
EXPOSURE_US = 8000


async def at_once(work: Callable[..., Any], /, *arguments: Any) -> Any:
    """Judges pictures without a thread: a virtual clock would run on while one works."""
    await trio.lowlevel.checkpoint()
    return work(*arguments)


class DirectStage:
    """`hw.abc.Stage` by the kinematics of the simulated board."""

    def __init__(self, settings: SimSettings, at: Position) -> None:
        self._settings = settings
        self._rest = at
        self._motion: Motion | None = None
        self._stops = 0
        self.homed = True
        self.identity = Identity("sim+direct", "direct", True)
        travel = (-1000 * each for each in settings.travel_mm)
        self.limits = StageLimits(Position(*travel), Position(-1000.0, -1000.0, -1000.0))
        self.outputs: tuple[str, ...] = ()
        self.outputs_lost = 0

    @property
    def moving(self) -> bool:
        return self._motion is not None

    def at(self, time_s: float) -> Position:
        if self._motion is None:
            return self._rest
        x, y, z = self._motion.position(time_s)
        return Position(1000 * x, 1000 * y, 1000 * z)

    async def home(self) -> Position:
        await trio.sleep(2.5)
        return self._rest

    async def position(self) -> Position:
        await trio.sleep(0.003)
        return self.at(trio.current_time())

    async def positions(self) -> AsyncGenerator[StampedPosition, None]:
        while True:
            yield StampedPosition(await self.position(), round(1e9 * trio.current_time()))
            await trio.sleep(0.1)

    async def move_to(self, target: Position) -> Position:
        low, high = self.limits.low, self.limits.high
        for axis in ("x_um", "y_um", "z_um"):
            if not getattr(low, axis) <= getattr(target, axis) <= getattr(high, axis):
                raise Refused(f"sim+direct: {axis} {getattr(target, axis):g} is outside the limits")
        start, end = (_mm(each, self._settings) for each in (self._rest, target))
        direction, length_mm = straight(start, end)
        speed = limited(self._settings.max_rate_mm_per_min, direction) / 60
        profile = Profile(length_mm, speed, limited(self._settings.acceleration_mm_per_s2, direction))
        stops = self._stops
        try:
            await trio.sleep(OVERHEAD_S / 2)
            if length_mm:
                self._motion = Motion(trio.current_time(), start, direction, profile)
                await trio.sleep(profile.duration_s)
        finally:
            self._rest = self.at(trio.current_time())
            self._motion = None
        if self._stops != stops:
            raise DeviceFault("stopped", "sim+direct was stopped")
        await trio.sleep(OVERHEAD_S / 2)
        return self._rest

    async def move_by(self, dx_um: float = 0.0, dy_um: float = 0.0, dz_um: float = 0.0) -> Position:
        here = self._rest
        return await self.move_to(Position(here.x_um + dx_um, here.y_um + dy_um, here.z_um + dz_um))

    async def stop(self) -> Position:
        self._stops += 1
        return await self.position()

    async def set_output(self, name: str, level: float) -> None:
        raise Refused(f"sim+direct has no output {name}")

    async def wait_lost(self) -> str:
        await trio.sleep_forever()
        return ""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class DirectCamera:
    """`hw.abc.Camera`: a frame is exposed at each tick and complete one period later."""

    def __init__(self, head: SimulatedHead, stage: DirectStage, frames_per_s: float = 20.0, rows: int = ROWS) -> None:
        """`rows` in the middle of the picture are read out."""
        self._head = head
        self._rows = slice((ROWS - rows) // 2, (ROWS + rows) // 2)
        self._stage = stage
        self._period_s = 1 / frames_per_s
        self._bits_stored = 8
        self.frames_rendered = 0
        self.identity = Identity("sim+direct camera", "direct", True)
        self.dropped = self.corrupt = 0

    async def configure(self, *, bits_stored: int, exposure_us: int | None = None) -> None:
        self._bits_stored = bits_stored
        await trio.lowlevel.checkpoint()

    async def frames(self) -> AsyncGenerator[Frame, None]:
        tick = math.ceil(trio.current_time() / self._period_s)
        while True:
            end_s = tick * self._period_s + EXPOSURE_US / 1e6
            await trio.sleep_until(end_s)
            pixels = self._head.render(self._stage.at(end_s), end_s, self._bits_stored, exposure_us=EXPOSURE_US)
            self.frames_rendered += 1
            await trio.sleep_until((tick + 1) * self._period_s)
            yield Frame(pixels[self._rows], self._bits_stored, tick, round(1e9 * trio.current_time()))
            tick += 1

    async def wait_lost(self) -> str:
        await trio.sleep_forever()
        return ""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@dataclass
class DirectInstrument:
    head: SimulatedHead
    stage: DirectStage
    camera: DirectCamera
    config: Config

    @property
    def slots(self) -> tuple[DeviceSlot[Any], DeviceSlot[Any]]:
        """As the supervisor leaves them when both devices are ready."""
        slots = DeviceSlot[Any]("stage", local_now), DeviceSlot[Any]("camera", local_now)
        for slot, device in zip(slots, (self.stage, self.camera), strict=True):
            slot._set(device, DeviceState.READY, device.identity.label)
        return slots


def direct_instrument(head: SimulatedHead, at: Position | None = None, rows: int = ROWS) -> DirectInstrument:
    """The stage homed, between the eyes unless told otherwise; the camera reads out so many rows."""
    settings = SimSettings()
    stage = DirectStage(settings, at or Position(-50_000.0, -20_000.0, -20_000.0))
    right, left = ([apex.x_um, apex.y_um, apex.z_um] for apex in (NOMINAL_APEX[Eye.RIGHT], NOMINAL_APEX[Eye.LEFT]))
    config = Config(
        stage=msgspec.convert(SIM_STAGE_CONFIG | {"right_eye_um": right, "left_eye_um": left}, GrblConfig),
        camera=SerialCameraConfig(simulated=True, um_per_px=UM_PER_PX),
    )
    return DirectInstrument(head, stage, DirectCamera(head, stage, rows=rows), config)


def _mm(position: Position, settings: SimSettings) -> tuple[float, float, float]:
    x, y, z = (
        round(um / 1000 * steps) / steps
        for um, steps in zip((position.x_um, position.y_um, position.z_um), settings.steps_per_mm, strict=True)
    )
    return (x, y, z)
