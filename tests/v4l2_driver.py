"""The V4L2 driver before the stand-in for the kernel: what its tests do again and again."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import trio
from kernel_camera import KernelCamera

from firmware_app.model import Frame
from hw.v4l2.camera import V4l2Camera, V4l2Settings, open_v4l2

PERIOD_S = 0.005


async def shoot_for_ever(kernel: KernelCamera) -> None:
    while True:
        await trio.sleep(PERIOD_S)
        kernel.shoot()


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - what is waited for happens in a thread
        await trio.sleep(0.001)


async def one(camera: V4l2Camera) -> Frame:
    async with aclosing(camera.frames()) as stream:
        return await anext(stream)


async def opened_and_closed(kernel: KernelCamera, settings: V4l2Settings, *, simulated: bool = False) -> None:
    async with open_v4l2(kernel.path, settings, simulated=simulated):
        pass


def put(offset: int, value: int) -> Callable[[bytearray], None]:
    return lambda raw: struct.pack_into("=I", raw, offset, value)


async def take_into(camera: V4l2Camera, frames: list[Frame], count: int = 1) -> None:
    async with aclosing(camera.frames()) as stream:
        while len(frames) < count:
            frames.append(await anext(stream))


async def shoot_and_settle(kernel: KernelCamera, **how: int) -> None:
    """One exposure, and all that the driver does with it."""
    kernel.shoot(**how)
    await until(lambda: len(kernel.queued) == 4)


def opened(path: str) -> int:
    """How often this process has it open."""
    return [os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()].count(path)
