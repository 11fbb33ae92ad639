"""From the configuration to an open device."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from firmware_app.config import CameraConfig, StageConfig
from hw.abc import Camera, Stage
from hw.grbl.stage import GrblSettings, open_grbl
from hw.serial_camera.camera import open_serial_camera


def open_stage(config: StageConfig) -> AbstractAsyncContextManager[Stage]:
    settings = GrblSettings(
        baud=config.baud,
        steps_per_mm=config.steps_per_mm,
        max_rate_mm_per_min=config.max_rate_mm_per_min,
        acceleration_mm_per_s2=config.acceleration_mm_per_s2,
        travel_mm=config.travel_mm,
        tolerance_um=config.tolerance_um,
        settle_s=config.settle_s,
    )
    return open_grbl(config.port, settings, simulated=config.simulated)


@asynccontextmanager
async def open_camera(config: CameraConfig) -> AsyncIterator[Camera]:
    """Open and apply the configured profile: also after every loss, because a replugged camera has forgotten it."""
    async with open_serial_camera(config.port, simulated=config.simulated) as camera:
        await camera.configure(bits_stored=config.bits_stored, exposure_us=config.exposure_us)
        yield camera
