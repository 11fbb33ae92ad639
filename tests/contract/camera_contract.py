"""What every camera driver must do (`hw.abc.Camera`). `await check_camera(make)` raises where one does not.

`make()` is an async context manager that yields a `CameraRig`: an open camera, and the means to disturb it. A camera
that cannot be disturbed (real hardware) leaves those means None and the checks that need them are passed over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass

import numpy as np
import pytest
import trio

from firmware_app.model import Frame
from hw.abc import Camera
from hw.errors import DeviceError, DeviceFault, DeviceLost, Refused

PATIENCE_S = 20
RATE_FRAMES = 10
AHEAD_NS = 500_000_000  # vivid's stamps are up to 0.2 s ahead of now


@dataclass
class CameraRig:
    camera: Camera
    depths: tuple[int, ...]
    spoil_frames: Callable[[int], None] | None = None  # the next n frames arrive damaged
    lose_frames: Callable[[int], None] | None = None  # at least n frames are exposed and never arrive
    unplug: Callable[[], None] | None = None
    nominal_frames_per_s: float | None = None


Make = Callable[[], AbstractAsyncContextManager[CameraRig]]
Check = Callable[[Make], Awaitable[None]]


async def take(camera: Camera, count: int) -> list[Frame]:
    frames: list[Frame] = []
    async with aclosing(camera.frames()) as stream:
        async for frame in stream:
            frames.append(frame)
            if len(frames) == count:
                break
    return frames


async def check_identity(make: Make) -> None:
    """The label says what kind of camera it is and whether it is a simulator."""
    async with make() as rig:
        identity = rig.camera.identity
        assert identity.label.startswith("sim+") is identity.simulated
        assert identity.firmware


async def check_sequence_and_stamps(make: Make) -> None:
    async with make() as rig:
        before = await take(rig.camera, 1)
        frames = before + await take(rig.camera, 4)
        sequences, stamps = [frame.sequence for frame in frames], [frame.monotonic_ns for frame in frames]
        assert sequences == sorted(set(sequences))
        assert stamps == sorted(set(stamps))
        for frame in frames:
            assert frame.pixels.ndim == 2
            assert min(frame.rows, frame.columns) > 0
            assert not frame.pixels.flags.writeable


async def check_frame_rate(make: Make) -> None:
    """On the camera's own stamps and numbers: a third to three times. A simulator is as slow as its machine is busy."""
    async with make() as rig:
        frames = await take(rig.camera, RATE_FRAMES)
        if rig.nominal_frames_per_s is None:
            return
        counted = frames[-1].sequence - frames[0].sequence
        rate_per_s = counted / ((frames[-1].monotonic_ns - frames[0].monotonic_ns) / 1e9)
        assert rate_per_s < rig.nominal_frames_per_s * 3
        assert rig.camera.identity.simulated or rate_per_s > rig.nominal_frames_per_s / 3


async def check_stamps_are_of_the_monotonic_clock(make: Make) -> None:
    """A frame was complete after it was asked for, and not later than now."""
    async with make() as rig:
        for _ in range(3):
            asked_ns = time.monotonic_ns()
            (frame,) = await take(rig.camera, 1)
            assert asked_ns <= frame.monotonic_ns <= time.monotonic_ns() + AHEAD_NS


async def check_depth(make: Make) -> None:
    """`configure` holds for every `frames()` after it; what the camera has not got is a fault in its own words."""
    async with make() as rig:
        for bits in rig.depths:
            await rig.camera.configure(bits_stored=bits)
            for frame in await take(rig.camera, 2):
                assert frame.bits_stored == bits
                assert frame.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
                assert int(frame.pixels.max()) < 1 << bits
        with pytest.raises((DeviceFault, Refused)):
            await rig.camera.configure(bits_stored=5)
        assert (await take(rig.camera, 1))[0].bits_stored == rig.depths[-1]


async def check_latest_frame(make: Make) -> None:
    """A slow consumer gets the newest frame, not the next one, and is told how many it missed."""
    async with make() as rig:
        camera = rig.camera
        async with aclosing(camera.frames()) as fast, aclosing(camera.frames()) as slow:
            first = await anext(slow)
            last = await anext(fast)
            while last.sequence < first.sequence + 4:
                last = await anext(fast)
            missed = camera.dropped
            then = await anext(slow)
            assert then.sequence >= last.sequence
            assert camera.dropped > missed


async def check_two_consumers(make: Make) -> None:
    """Capture and live view look at the same stream; neither takes frames from the other."""
    async with make() as rig:
        seen: dict[str, list[int]] = {"capture": [], "view": []}

        async def look(who: str) -> None:
            seen[who] = [frame.sequence for frame in await take(rig.camera, 3)]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look, "capture")
            nursery.start_soon(look, "view")
        assert seen["capture"] == seen["view"]


async def check_lost_frames(make: Make) -> None:
    """What is missing between two frames is in their numbers, and all of it is counted."""
    async with make() as rig:
        if rig.lose_frames is None:
            return
        camera = rig.camera
        async with aclosing(camera.frames()) as stream:
            first = await anext(stream)
            before = camera.dropped
            rig.lose_frames(3)
            missing, last = 0, first
            while missing < 3:
                frame = await anext(stream)
                missing += frame.sequence - last.sequence - 1
                last = frame
            assert camera.dropped - before == missing


async def check_spoilt_frames(make: Make) -> None:
    """Damaged frames are counted and never shown; the next good one is."""
    async with make() as rig:
        if rig.spoil_frames is None:
            return
        await take(rig.camera, 1)
        rig.spoil_frames(2)
        while rig.camera.corrupt < 2:
            await take(rig.camera, 1)
        assert rig.camera.corrupt == 2
        assert len(await take(rig.camera, 2)) == 2


async def check_stop(make: Make) -> None:
    """Closing in the middle of the stream is clean, and a second close does nothing."""
    async with make() as rig:
        await take(rig.camera, 1)
        await rig.camera.aclose()
        await rig.camera.aclose()
        with pytest.raises(DeviceLost):
            await take(rig.camera, 1)


async def check_nothing_is_left_open(make: Make) -> None:
    """Neither by a clean stop nor by one in the middle of a wait."""
    async with make() as rig:  # whatever is opened once and for all
        await take(rig.camera, 1)
    before = open_files()
    for frames in (0, 2):
        async with make() as rig, aclosing(rig.camera.frames()) as stream:
            for _ in range(frames):
                await anext(stream)
            await rig.camera.aclose()
            with pytest.raises(DeviceLost):
                await anext(stream)
    assert open_files() == before


def open_files() -> list[str]:
    """What this process has open, by name where it has one."""
    names = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing itself
            names.append(os.readlink(f"/proc/self/fd/{fd}").partition(":[")[0])
    return sorted(names)


async def check_unplug_while_waiting(make: Make) -> None:
    """Whoever waits for a frame, and whoever asks later, hears that the device is lost; so does who opened it."""
    heard: list[DeviceError] = []
    with pytest.raises(DeviceLost):
        async with make() as rig:
            if rig.unplug is None:
                raise DeviceLost("this camera cannot be unplugged by a test")
            camera = rig.camera
            try:
                async with aclosing(camera.frames()) as stream:
                    async for _ in stream:
                        rig.unplug()
            except DeviceError as error:
                heard.append(error)
            assert await camera.wait_lost() == str(heard[0])
            with pytest.raises(DeviceLost):
                await take(camera, 1)
            with pytest.raises(DeviceLost):
                await camera.configure(bits_stored=8)
            raise heard[0]


CHECKS: list[Check] = [
    check_identity,
    check_sequence_and_stamps,
    check_frame_rate,
    check_stamps_are_of_the_monotonic_clock,
    check_depth,
    check_latest_frame,
    check_two_consumers,
    check_lost_frames,
    check_spoilt_frames,
    check_stop,
    check_nothing_is_left_open,
    check_unplug_while_waiting,
]


async def check_camera(make: Make) -> None:
    for check in CHECKS:
        with trio.fail_after(PATIENCE_S):
            await check(make)
