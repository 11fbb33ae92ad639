"""The V4L2 driver before a kernel that does what real ones rarely do; the contract itself is in tests/contract."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from contextlib import aclosing
from time import monotonic_ns

import numpy as np
import pytest
import trio
from kernel_camera import EXPOSURE, EXPOSURE_AUTO, GAIN, Camera, kernel_camera
from PIL import Image
from v4l2_driver import one, opened, put, shoot_and_settle, shoot_for_ever, take_into, until

from firmware_app.model import Frame
from hw.errors import DeviceError, DeviceLost, Refused
from hw.v4l2 import abi
from hw.v4l2 import camera as driver
from hw.v4l2.camera import V4l2Settings, open_v4l2


async def test_pixels_and_stamps_are_the_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    with kernel_camera(Camera(formats=("Y10",), padding=6), monkeypatch) as kernel:
        async with open_v4l2(kernel.path, V4l2Settings(bits_stored=10), simulated=False) as camera:
            frames: list[Frame] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: take_into(camera, frames))
                await until(lambda: kernel.streaming)
                stamp_ns = driver.time.monotonic_ns() // 1000 * 1000
                kernel.shoot(500, stamp_ns=stamp_ns)
    (frame,) = frames
    assert frame.monotonic_ns == stamp_ns
    line = np.arange(16, dtype=np.uint16)
    assert np.array_equal(frame.pixels, np.minimum(500 + line + 19 * np.arange(8)[:, None], 1023))


async def test_motion_jpeg(monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery) -> None:
    ramp = np.add.outer(8 * np.arange(8, dtype=np.uint8), 8 * np.arange(16, dtype=np.uint8))
    data = io.BytesIO()
    Image.fromarray(ramp).save(data, "JPEG", quality=60)
    whole = data.getvalue()
    with kernel_camera(Camera(formats=("MJPG",)), monkeypatch) as kernel:
        kernel._image_bytes = lambda: 4096  # type: ignore[method-assign]
        pictures = [whole, whole[:-40], b"", whole]
        kernel.picture = lambda level: pictures.pop(0) if pictures else whole  # type: ignore[method-assign]
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            frames: list[Frame] = []
            nursery.start_soon(take_into, camera, frames, 2)
            await until(lambda: kernel.streaming)
            for _ in range(4):
                await shoot_and_settle(kernel)
            await until(lambda: len(frames) == 2)
            assert [frame.sequence for frame in frames] == [0, 3]
            assert all(np.abs(frame.pixels.astype(int) - ramp).max() < 24 for frame in frames)
            assert camera.corrupt == 2


async def test_frames_that_are_none_are_counted_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    with kernel_camera(Camera(formats=("Y12",)), monkeypatch) as kernel:
        async with open_v4l2(kernel.path, V4l2Settings(bits_stored=12), simulated=False) as camera:
            frames: list[Frame] = []
            nursery.start_soon(take_into, camera, frames)
            await until(lambda: kernel.streaming)
            await shoot_and_settle(kernel, used=255)  # 16 x 8 pixels of two bytes are 256
            kernel.picture = lambda level: b"\xff" * 256  # type: ignore[method-assign]
            await shoot_and_settle(kernel)
            assert camera.corrupt == 2
            assert not frames
            del kernel.picture
            kernel.shoot(used=2**32 - 1)  # more than there is: what there is counts
            await until(lambda: bool(frames))
            assert frames[0].sequence == 2
            assert camera.corrupt == 2


async def test_buffers_that_waited_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop was busy: of what piled up only the newest is shown, and the others are dropped."""
    with kernel_camera(Camera(), monkeypatch) as kernel:
        async with (
            open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera,
            aclosing(camera.frames()) as stream,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(anext, stream)
                await until(lambda: kernel.streaming)
                kernel.shoot()
            for _ in range(3):
                kernel.shoot()
            frame = await anext(stream)
            assert frame.sequence == 3
            assert camera.dropped == 2
            assert len(kernel.queued) == 4


async def test_it_streams_only_while_somebody_looks(monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery) -> None:
    monkeypatch.setattr(driver, "IDLE_S", 0.02)
    with kernel_camera(Camera(), monkeypatch) as kernel:
        nursery.start_soon(shoot_for_ever, kernel)
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            assert not kernel.streaming
            first = await one(camera)
            await until(lambda: not kernel.streaming)
            await until(lambda: not kernel.count)  # nor is a buffer held
            second = await one(camera)
            assert second.sequence > first.sequence
            assert second.monotonic_ns > first.monotonic_ns
            assert camera.dropped == 0


@pytest.mark.parametrize("code", [errno.ENODEV, errno.EIO])
@pytest.mark.parametrize("when", ["waiting", "idle", "starting"])
async def test_a_lost_camera_is_lost_once_and_closed(
    code: int, when: str, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    monkeypatch.setattr(driver, "ALIVE_S", 0.01)
    with kernel_camera(Camera(), monkeypatch) as kernel:
        nursery.start_soon(shoot_for_ever, kernel)
        with pytest.raises(DeviceLost, match=f"{kernel.path}: the camera is gone"):
            async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
                if when == "waiting":
                    await one(camera)
                kernel.unplug(code)
                try:
                    if when == "idle":
                        await camera.wait_lost()
                    else:
                        async with aclosing(camera.frames()) as stream:
                            async for _ in stream:
                                pass
                finally:
                    assert opened(kernel.path) == 1, "told before all was closed"  # the kernel's own end is open
        kernel.replug()
        calls = len(kernel.calls)
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            await one(camera)
            assert abi.S_FMT in kernel.calls[calls:]
            assert abi.REQBUFS in kernel.calls[calls:]


async def test_a_driver_that_signals_and_has_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with kernel_camera(Camera(), monkeypatch) as kernel:
        kernel.camera.answers[abi.STREAMON] = lambda raw: os.write(kernel.master, b"!")
        with pytest.raises(DeviceLost, match="signals frames and has none"):
            async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
                kernel.camera.answers[abi.DQBUF] = errno.EAGAIN
                await one(camera)


async def test_a_driver_that_has_damaged_buffers_without_end_does_not_hold_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    with kernel_camera(Camera(), monkeypatch) as kernel:
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:

            def give_one_that_is_damaged(fd: int, raw: bytearray) -> None:
                used, when = kernel._image_bytes(), divmod(monotonic_ns() // 1000, 1_000_000)
                fields = [kernel.queued.popleft(), abi.CAPTURE, used, abi.BufferFlag.ERROR, 1, *when]
                abi.BUFFER.pack_into(raw, 0, *fields, 0, abi.MMAP, 0, 0, 0, 0)

            kernel._dqbuf = give_one_that_is_damaged  # type: ignore[method-assign]
            nursery.start_soon(take_into, camera, [])
            await until(lambda: kernel.streaming)
            os.write(kernel.master, b".")  # and it can be read for ever
            await until(lambda: camera.corrupt > 100)
            nursery.cancel_scope.cancel()


async def test_silence_is_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "FRAME_S", 0.05)
    with kernel_camera(Camera(), monkeypatch) as kernel:
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            with pytest.raises(
                driver.DeviceError, match=r"no frame for 0\.05 s although the camera was told to stream"
            ):
                await one(camera)
            assert await camera.get_control("Gain") == GAIN.default


async def test_a_camera_that_stands_still_is_started_anew(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    monkeypatch.setattr(driver, "IDLE_S", 0.05)
    with kernel_camera(Camera(), monkeypatch) as kernel:
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            frames: list[Frame] = []
            nursery.start_soon(take_into, camera, frames)
            await until(lambda: kernel.calls.count(abi.STREAMON) == 3)
            await until(lambda: kernel.shoot())
            await until(lambda: bool(frames))
            nursery.cancel_scope.cancel()


async def test_no_room_on_the_bus_is_a_fault_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        kernel_camera(Camera(answers={abi.STREAMON: errno.ENOSPC}), monkeypatch) as kernel,
        pytest.raises(DeviceError, match="STREAMON: the USB bus has no room"),
    ):
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            await one(camera)


async def test_a_depth_that_this_size_has_not_got_leaves_all_as_it_was(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    with kernel_camera(Camera(), monkeypatch) as kernel:
        nursery.start_soon(shoot_for_ever, kernel)
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            await one(camera)
            kernel.camera.answers[abi.TRY_FMT] = put(8, 15)
            with pytest.raises(Refused, match="no pictures of 16x8 px in Y16"):
                await camera.configure(bits_stored=16)
            assert (await one(camera)).bits_stored == 8
            with pytest.raises(Refused, match="Exposure Time"):
                await camera.configure(bits_stored=8, exposure_us=10**6)
            await camera.configure(bits_stored=8, exposure_us=2000)
            assert kernel.values[EXPOSURE.identity] == 20
            assert kernel.values[EXPOSURE_AUTO.identity] == abi.EXPOSURE_MANUAL


async def test_a_frame_begun_before_the_call_is_not_yielded(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 5 frames/s a frame that ends within 0.4 s of the call may have begun before it."""
    with kernel_camera(Camera(rates=(5,)), monkeypatch) as kernel:
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera, aclosing(camera.frames()) as fast:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(anext, fast)
                await until(lambda: kernel.streaming)
                kernel.shoot()
            called_ns = driver.time.monotonic_ns()
            frames: list[Frame] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(take_into, camera, frames)
                await trio.testing.wait_all_tasks_blocked()
                for after_ms in (10, 390, 450):
                    kernel.shoot(stamp_ns=called_ns + after_ms * 1_000_000)
                    assert (await anext(fast)).pixels.shape == (8, 16)
            assert (frames[0].monotonic_ns - called_ns) // 1_000_000 in range(449, 451)


LIES = [
    (abi.REQBUFS, put(0, 1), "the driver gives 1 buffers: 2 to 32 can be used"),
    (abi.REQBUFS, put(0, 1000), "the driver gives 1000 buffers"),
    (abi.QUERYBUF, put(72, 10), "a buffer of 10 bytes for 128"),
    (abi.QUERYBUF, put(72, 2**32 - 1), "a buffer of 4294967295 bytes for 128"),
    (abi.DQBUF, put(0, 9), "buffer 9 of 4"),
]


@pytest.mark.parametrize(("number", "lie", "message"), LIES)
async def test_a_driver_that_lies_about_its_buffers_is_closed(
    number: int, lie: Callable[[bytearray], None], message: str, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    with kernel_camera(Camera(answers={number: lie}), monkeypatch) as kernel:
        nursery.start_soon(shoot_for_ever, kernel)
        with pytest.raises(DeviceError, match=message):
            async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
                await one(camera)


async def test_after_closing_everything_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with kernel_camera(Camera(), monkeypatch) as kernel:
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            await camera.aclose()
            assert await camera.wait_lost() == f"v4l2:{kernel.path}: the camera was closed"
            with pytest.raises(DeviceLost, match="was closed"):
                await camera.get_control("Gain")
            with pytest.raises(DeviceLost, match="was closed"):
                await camera.set_control("Gain", 1)
            with pytest.raises(DeviceLost, match="was closed"):
                await camera.configure(bits_stored=8)
