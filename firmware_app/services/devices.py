"""From the configuration to an open device: which driver a kind is, and its settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import fields
from typing import TypeVar

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

SettingsT = TypeVar("SettingsT", GrblSettings, SangaboardSettings, AsiSettings)
WithStage = Callable[[Stage], Awaitable[None]]


async def nothing(stage: Stage) -> None:
    """To be done with a stage that is only looked at."""


@asynccontextmanager
async def open_stage(
    config: StageConfig, restore: WithStage = nothing, put_out: WithStage = nothing
) -> AsyncIterator[Stage]:
    """Find, open, identify, `restore` its lamps; what is configured of its settings is compared, never written.

    `put_out` is called before the stage is let go, lost or not: a board keeps its lamps lit when nobody is there.
    """
    opening_step(Step.FINDING)
    port = await find_port(config.port, serial_ports)
    opening_step(Step.OPENING)
    async with _stage_driver(config, port) as stage:
        opening_step(Step.APPLYING)
        try:
            await restore(stage)
            yield stage
        finally:
            await put_out(stage)


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
            return open_grbl(port, stage_settings(GrblSettings, config), simulated=config.simulated)
        case SangaboardConfig():
            return open_sangaboard(port, stage_settings(SangaboardSettings, config), simulated=config.simulated)
        case AsiConfig():
            return open_asi(port, stage_settings(AsiSettings, config), simulated=config.simulated)
    raise Refused(f"stage.kind: no driver for {config.kind}")


def _camera_driver(config: CameraConfig, port: str) -> AbstractAsyncContextManager[Camera]:
    match config:
        case SerialCameraConfig():
            return _serial_camera(config, port)
        case V4l2Config():
            return open_v4l2(port, v4l2_settings(config), simulated=config.simulated)
        case FolderCameraConfig():
            return open_folder_camera(port, folder_settings(config), simulated=config.simulated)
    raise Refused(f"camera.kind: no driver for {config.kind}")


@asynccontextmanager
async def _serial_camera(config: SerialCameraConfig, port: str) -> AsyncIterator[Camera]:
    async with open_serial_camera(port, simulated=config.simulated) as camera:
        opening_step(Step.APPLYING)
        await camera.configure(bits_stored=config.bits_stored, exposure_us=config.exposure_us)
        yield camera


def stage_settings(kind: type[SettingsT], config: StageConfig) -> SettingsT:
    """A driver's settings have the names of the configuration's keys; what has no key stays the driver's own."""
    names = {field.name for field in fields(kind)}
    return kind(**{key: getattr(config, key) for key in config.__struct_fields__ if key in names})


def v4l2_settings(config: V4l2Config) -> V4l2Settings:
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


def folder_settings(config: FolderCameraConfig) -> FolderSettings:
    return FolderSettings(frames_per_s=config.frames_per_s, bits_stored=config.bits_stored)
