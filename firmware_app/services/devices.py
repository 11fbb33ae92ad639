"""From the configuration to an open device: which driver a kind is, and its settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from firmware_app.config import CameraConfig, GrblConfig, SerialCameraConfig, StageConfig
from hw.abc import Camera, Stage
from hw.errors import Refused
from hw.find_port import find_port, serial_ports
from hw.grbl.stage import GrblSettings, open_grbl
from hw.opening import Step, opening_step
from hw.serial_camera.camera import open_serial_camera

Restore = Callable[[Stage], Awaitable[None]]


async def nothing_to_restore(stage: Stage) -> None:
    """Of a stage that is only looked at."""


@asynccontextmanager
async def open_stage(config: StageConfig, restore: Restore = nothing_to_restore) -> AsyncIterator[Stage]:
    """Find, open, identify, `restore` its lamps; what is configured of its settings is compared, never written."""
    opening_step(Step.FINDING)
    port = await find_port(config.port, serial_ports)
    opening_step(Step.OPENING)
    async with _stage_driver(config, port) as stage:
        opening_step(Step.APPLYING)
        await restore(stage)
        yield stage


@asynccontextmanager
async def open_camera(config: CameraConfig) -> AsyncIterator[Camera]:
    """Find, open, apply the configured profile: also after every loss, as a replugged camera has forgotten it."""
    opening_step(Step.FINDING)
    port = await find_port(config.port, serial_ports)
    opening_step(Step.OPENING)
    async with _camera_driver(config, port) as camera:
        yield camera


def _stage_driver(config: StageConfig, port: str) -> AbstractAsyncContextManager[Stage]:
    match config:
        case GrblConfig():
            return open_grbl(port, _grbl(config), simulated=config.simulated)
    raise Refused(f"stage.kind: no driver for {config.kind}")


@asynccontextmanager
async def _serial_camera(config: SerialCameraConfig, port: str) -> AsyncIterator[Camera]:
    async with open_serial_camera(port, simulated=config.simulated) as camera:
        opening_step(Step.APPLYING)
        await camera.configure(bits_stored=config.bits_stored, exposure_us=config.exposure_us)
        yield camera


def _camera_driver(config: CameraConfig, port: str) -> AbstractAsyncContextManager[Camera]:
    match config:
        case SerialCameraConfig():
            return _serial_camera(config, port)
    raise Refused(f"camera.kind: no driver for {config.kind}")


def _grbl(config: GrblConfig) -> GrblSettings:
    return GrblSettings(
        baud=config.baud,
        steps_per_mm=config.steps_per_mm,
        max_rate_mm_per_min=config.max_rate_mm_per_min,
        acceleration_mm_per_s2=config.acceleration_mm_per_s2,
        travel_mm=config.travel_mm,
        tolerance_um=config.tolerance_um,
        settle_s=config.settle_s,
    )
