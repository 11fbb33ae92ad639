"""The camera contract on the serial camera driver in front of the simulated camera's firmware, over a pty."""

from __future__ import annotations

import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from camera_contract import CHECKS, PATIENCE_S, CameraRig, Check

from firmware_app.model import Eye
from hw.serial_camera.camera import open_serial_camera
from hw.sim.camera import DEPTHS, CameraFaults, serve_camera
from hw.sim.eye import SimulatedHead

FRAMES_PER_S = 30.0


@pytest.fixture(scope="module")
def head() -> SimulatedHead:
    return SimulatedHead(2)


@asynccontextmanager
async def simulated_camera(head: SimulatedHead, nursery: trio.Nursery) -> AsyncIterator[CameraRig]:
    """A pty with the simulated camera on its master; `unplug` closes the master."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    faults = CameraFaults()
    plugged = [master]

    def spoil(frames: int) -> None:
        faults.corrupt_frames = frames

    def lose(frames: int) -> None:
        faults.lost_frames = frames

    def unplug() -> None:
        while plugged:
            trio.lowlevel.notify_closing(master)
            os.close(plugged.pop())

    power, off = trio.CancelScope(), trio.Event()

    async def serve() -> None:
        with power:
            await serve_camera(master, head, lambda: head.focus(Eye.RIGHT), frames_per_s=FRAMES_PER_S, faults=faults)
        off.set()

    nursery.start_soon(serve)
    try:
        async with open_serial_camera(os.ttyname(slave), simulated=True) as camera:
            yield CameraRig(camera, DEPTHS, spoil, lose, unplug, FRAMES_PER_S)
    finally:
        power.cancel()
        with trio.CancelScope(shield=True):
            await off.wait()  # until then it may look at the fd, which would be another's
        unplug()
        os.close(slave)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_serial_camera(check: Check, head: SimulatedHead, nursery: trio.Nursery) -> None:
    with trio.fail_after(PATIENCE_S):
        await check(partial(simulated_camera, head, nursery))
