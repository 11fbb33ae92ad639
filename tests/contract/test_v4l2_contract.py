"""The camera contract on the V4L2 driver: in front of a stand-in for the kernel, and on hardware.

    .venv/bin/python -m pytest tests/contract/test_v4l2_contract.py --camera-port /dev/video0

deploy/kernel-bench runs it on the kernel's own test device.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial

import pytest
import trio
from camera_contract import CHECKS, PATIENCE_S, CameraRig, Check
from kernel_camera import Camera, KernelCamera, kernel_camera

from hw.v4l2.camera import V4l2Settings, open_v4l2

FRAMES_PER_S = 100.0

MakeKernel = Callable[[], AbstractContextManager[KernelCamera]]


async def shoot_for_ever(kernel: KernelCamera) -> None:
    level = 0
    while True:
        await trio.sleep(1 / FRAMES_PER_S)
        level += kernel.shoot(level % 200)


@asynccontextmanager
async def camera_of_the_kernel(make: MakeKernel, nursery: trio.Nursery) -> AsyncIterator[CameraRig]:
    with make() as kernel:
        nursery.start_soon(shoot_for_ever, kernel)
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            yield CameraRig(
                camera,
                camera.depths,
                spoil_frames=partial(setattr, kernel, "spoiled"),
                lose_frames=partial(setattr, kernel, "skipped"),
                unplug=kernel.unplug,
                nominal_frames_per_s=camera.frames_per_s,
            )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_v4l2_camera(check: Check, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery) -> None:
    with trio.fail_after(PATIENCE_S):
        await check(partial(camera_of_the_kernel, lambda: kernel_camera(Camera(), monkeypatch), nursery))


@asynccontextmanager
async def real_camera(port: str) -> AsyncIterator[CameraRig]:
    async with open_v4l2(port, V4l2Settings(), simulated=False) as camera:
        yield CameraRig(camera, camera.depths, nominal_frames_per_s=camera.frames_per_s or None)


@pytest.mark.real_camera
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_v4l2_hardware(check: Check, request: pytest.FixtureRequest) -> None:
    port = request.config.getoption("camera_port")
    with trio.fail_after(PATIENCE_S):
        await check(partial(real_camera, port))
