"""From the configuration to an open device: which driver a kind is, and its settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from firmware_app.config import (
    AsiConfig,
    CameraConfig,
    FolderCameraConfig,
    GrblConfig,
    SangaboardConfig,
    SerialCameraConfig,
    StageConfig,
    V4l2Config,
)
from hw.abc import Camera, Stage
from hw.asi.stage import AsiSettings, open_asi
from hw.errors import Refused
from hw.find_port import find_port, serial_ports, video_ports
from hw.folder_camera.camera import FolderSettings, open_folder_camera
from hw.grbl.stage import GrblSettings, open_grbl
from hw.opening import Step, opening_step
from hw.sangaboard.stage import SangaboardSettings, open_sangaboard
from hw.serial_camera.camera import open_serial_camera
from hw.v4l2.camera import V4l2Settings, open_v4l2

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
    port = await find_port(config.port, video_ports if isinstance(config, V4l2Config) else serial_ports)
    opening_step(Step.OPENING)
    async with _camera_driver(config, port) as camera:
        yield camera


def _stage_driver(config: StageConfig, port: str) -> AbstractAsyncContextManager[Stage]:
    match config:
        case GrblConfig():
            return open_grbl(port, _grbl(config), simulated=config.simulated)
        case SangaboardConfig():
            return open_sangaboard(port, _sangaboard(config), simulated=config.simulated)
        case AsiConfig():
            return open_asi(port, _asi(config), simulated=config.simulated)
    raise Refused(f"stage.kind: no driver for {config.kind}")


def _camera_driver(config: CameraConfig, port: str) -> AbstractAsyncContextManager[Camera]:
    match config:
        case SerialCameraConfig():
            return _serial_camera(config, port)
        case V4l2Config():
            return open_v4l2(port, _v4l2(config), simulated=config.simulated)
        case FolderCameraConfig():
            settings = FolderSettings(frames_per_s=config.frames_per_s, bits_stored=config.bits_stored)
            return open_folder_camera(port, settings, simulated=config.simulated)
    raise Refused(f"camera.kind: no driver for {config.kind}")


@asynccontextmanager
async def _serial_camera(config: SerialCameraConfig, port: str) -> AsyncIterator[Camera]:
    async with open_serial_camera(port, simulated=config.simulated) as camera:
        opening_step(Step.APPLYING)
        await camera.configure(bits_stored=config.bits_stored, exposure_us=config.exposure_us)
        yield camera


def _grbl(config: GrblConfig) -> GrblSettings:
    return GrblSettings(
        baud=config.baud,
        steps_per_mm=config.steps_per_mm,
        max_rate_mm_per_min=config.max_rate_mm_per_min,
        acceleration_mm_per_s2=config.acceleration_mm_per_s2,
        travel_mm=config.travel_mm,
        backlash_um=config.backlash_um,
        tolerance_um=config.tolerance_um,
        settle_s=config.settle_s,
    )


def _sangaboard(config: SangaboardConfig) -> SangaboardSettings:
    return SangaboardSettings(
        baud=config.baud,
        um_per_step=config.um_per_step,
        min_step_delay_us=config.min_step_delay_us,
        ramp_time_us=config.ramp_time_us,
        frame=config.frame,
        low_um=config.low_um,
        high_um=config.high_um,
        backlash_um=config.backlash_um,
        tolerance_um=config.tolerance_um,
        settle_s=config.settle_s,
    )


def _asi(config: AsiConfig) -> AsiSettings:
    return AsiSettings(
        baud=config.baud,
        axes=config.axes,
        speed_mm_per_s=config.speed_mm_per_s,
        ramp_ms=config.ramp_ms,
        board_backlash_mm=config.board_backlash_mm,
        backlash_um=config.backlash_um,
        travel_mm=config.travel_mm,
        home_ends=config.home_ends,
        pull_off_mm=config.pull_off_mm,
        tolerance_um=config.tolerance_um,
        settle_s=config.settle_s,
    )


def _v4l2(config: V4l2Config) -> V4l2Settings:
    return V4l2Settings(
        bits_stored=config.bits_stored,
        width_px=config.width_px,
        height_px=config.height_px,
        frames_per_s=config.frames_per_s,
        pixel_format=config.pixel_format,
        exposure_us=config.exposure_us or None,
        gain=None if config.gain < 0 else config.gain,
        controls=config.controls,
    )
