"""The driver of cameras that the kernel knows (UVC cameras, capture cards, its own test device vivid).

One task takes the filled buffers, anybody may look at the latest frame (`hw.latest`). The camera streams only while
somebody looks. Whatever a driver may take its time for (open, start, stop, controls) runs in a thread; buffers are
taken on the event loop, and a frame's pixels are copied once, out of the mapped buffer.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from firmware_app.model import Frame
from hw.abc import Identity
from hw.errors import DeviceError, DeviceLost, Refused
from hw.latest import LatestFrame
from hw.opening import Step, opening_step
from hw.served import served
from hw.v4l2.abi import Buffer
from hw.v4l2.controls import Control
from hw.v4l2.device import MAX_BUFFERS
from hw.v4l2.formats import Pixels, unpack, usable
from hw.v4l2.session import Session
from hw.v4l2.session import V4l2Settings as V4l2Settings
from hw.v4l2.stamps import FrameCounter, Stamps

FRAME_S = 2.0  # beyond the exposure; the slowest camera worth having gives 2 frames/s
IDLE_S = 2.0  # without anybody asking for a frame the stream is stopped
ALIVE_S = 1.0  # an idle camera is asked that often whether it is still there
# A driver in trouble calls its buffers ready and has none: after so many times in a row it is given up.
EMPTY_WAKES = 100

T = TypeVar("T")


class V4l2Camera:
    """One open camera (`hw.abc.Camera`). Made by `open_v4l2`, which also closes it."""

    def __init__(self, session: Session, identity: Identity, calls: trio.CapacityLimiter) -> None:
        self._session = session
        self._device = session.device
        self._identity = identity
        self._calls = calls  # one thread at a time, so that nothing is closed under a call
        self._turn = trio.Lock()  # whoever streams, or changes what is streamed
        self._stream = trio.CancelScope()
        self._latest = LatestFrame(identity.label)
        self._counter = FrameCounter()
        self._stamps = Stamps()
        self._empty_wakes = 0
        self._passed_over = 0
        self._corrupt = 0
        self._closing = False

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def dropped(self) -> int:
        """Frames that a consumer did not get: too slow, or a gap in the driver's numbers; corrupt ones apart."""
        return self._counter.missing + self._latest.missed

    @property
    def corrupt(self) -> int:
        """Frames that the driver marked as damaged, or that were none."""
        return self._corrupt

    @property
    def controls(self) -> tuple[Control, ...]:
        """Every control of the camera, with range, step and menu."""
        return self._session.controls

    @property
    def depths(self) -> tuple[int, ...]:
        """Bits per pixel that `configure` takes."""
        return tuple(sorted({layout.bits_stored for layout in usable(self._session.fourccs)}))

    @property
    def frames_per_s(self) -> float:
        """The nominal frame rate, 0 where the driver does not tell."""
        return self._session.frames_per_s

    async def configure(self, *, bits_stored: int, exposure_us: int | None = None) -> None:
        """In force for every `frames()` called afterwards. `Refused`, and nothing changed, for what it has not got."""
        await trio.lowlevel.checkpoint()
        self._latest.require_open()
        layout = self._session.layout_for(bits_stored)
        if exposure_us is not None:
            self._session.exposure_number(exposure_us)
        if layout is not self._session.layout:
            self._stream.cancel()
            async with self._turn:
                self._latest.require_open()
                await self._call(lambda: self._session.set_format(layout))
        if exposure_us is not None:
            await self._call(lambda: self._session.set_exposure(exposure_us))
            self._stamps.expect(self._session.frames_per_s, exposure_us)

    async def get_control(self, name: str) -> int:
        """The value of a control by its kernel name; `Refused` for a name that is none."""
        self._latest.require_open()
        return await self._call(lambda: self._session.get_control(name))

    async def set_control(self, name: str, value: int | str) -> None:
        """A number, or the words of a menu. `Refused` names the control and its range; also while frames come."""
        self._latest.require_open()
        control = self._session.control(name)
        await self._call(lambda: self._session.set_control(control, value))

    def frames(self) -> AsyncGenerator[Frame, None]:
        """The newest frame each time, of those whose exposure began after this call."""
        return self._latest.frames(time.monotonic_ns(), FRAME_S + self._session.exposure_us / 1e6)

    async def wait_lost(self) -> str:
        """Returns when the camera is of no more use, with the reason."""
        return await self._latest.wait_lost()

    async def aclose(self) -> None:
        """Stop the stream and close the device; whoever waits for a frame gets `DeviceLost`."""
        if self._closing:
            return
        self._closing = True
        self._latest.close()
        with trio.CancelScope(shield=True):
            self._stream.cancel()
            async with self._turn:
                await self._call(self._session.close)

    # ------------------------------------------------------------------------------------------ the reading task

    async def serve(self) -> None:
        """The one task that takes buffers. Raises `DeviceLost` at its end, everything closed and everybody told."""
        try:
            while not self._latest.is_over:
                if await self._latest.until_wanted(ALIVE_S):
                    with trio.CancelScope() as self._stream:
                        async with self._turn:
                            await self._stream_frames()
                elif not self._latest.is_over:
                    await self._call(self._device.description)
        except DeviceError as failure:
            with trio.CancelScope(shield=True):
                await self._call(self._session.close)
            self._latest.fail(failure)
            raise

    async def _stream_frames(self) -> None:
        self._counter.restart()
        self._stamps.restart(time.monotonic_ns())
        self._stamps.expect(self._session.frames_per_s, self._session.exposure_us)
        await self._call(self._session.start)
        try:
            while self._latest.idle_s() <= IDLE_S:
                with trio.move_on_after(IDLE_S + self._session.exposure_us / 1e6) as waiting:
                    await trio.lowlevel.wait_readable(self._device.fd)
                    await self._take_ready()
                if waiting.cancelled_caught:
                    return  # a camera that stands still often goes on when it is started anew
        finally:
            with trio.CancelScope(shield=True):
                await self._call(self._device.stop)

    async def _take_ready(self) -> None:
        """All filled buffers go back to the driver; the newest that is whole is shown."""
        newest: Buffer | None = None
        taken = 0
        # Each buffer once: a driver that fills them as fast as they come back must not hold the event loop.
        while taken < self._device.buffers and (buffer := self._device.dequeue()) is not None:
            taken += 1
            if self._counter.count(buffer):
                self._passed_over += newest is not None
                newest, buffer = buffer, newest
            else:
                self._corrupt += 1
            if buffer is not None:
                self._device.queue(buffer.index)
        self._empty_wakes = 0 if taken else self._empty_wakes + 1
        if self._empty_wakes > EMPTY_WAKES:
            raise DeviceLost(f"{self._session.path}: the driver signals frames and has none")
        if newest is not None:
            await self._show(newest, self._counter.sequence)

    async def _show(self, buffer: Buffer, sequence: int) -> None:
        received_ns = time.monotonic_ns()
        try:
            pixels = await self._pixels(buffer)
        except ValueError:
            self._corrupt += 1
            return
        finally:
            self._device.queue(buffer.index)
        begun_ns, complete_ns = self._stamps.of(buffer, received_ns)
        frame = Frame(pixels, self._session.layout.bits_stored, sequence, complete_ns)
        self._latest.publish(frame, begun_ns, passed_over=self._passed_over)
        self._passed_over = 0

    async def _pixels(self, buffer: Buffer) -> Pixels:
        """Copied out of the buffer. ValueError for a frame that is none."""
        geometry, layout = self._session.geometry, self._session.layout
        with self._device.filled(buffer) as data:
            if layout.is_compressed:
                from hw.v4l2.mjpeg import decode_luma  # with Pillow, which few cameras need

                return await self._call(lambda: decode_luma(data, geometry.width, geometry.height))
            if layout.is_slow:
                return await self._call(lambda: unpack(data, geometry, layout))
            return unpack(data, geometry, layout)

    async def _call(self, function: Callable[[], T]) -> T:
        """In a thread, waited for also when cancelled: afterwards nothing of it is under way."""
        return await trio.to_thread.run_sync(function, limiter=self._calls)


@asynccontextmanager
async def open_v4l2(path: str, settings: V4l2Settings, *, simulated: bool) -> AsyncIterator[V4l2Camera]:
    """Open the device, identify it, apply the profile. Raises `DeviceLost` when it goes, also out of the running body.

    `Refused` when a simulator (vivid) was not declared, or a declared one is none, and for what the camera has not got.
    """
    if settings.buffers not in range(2, MAX_BUFFERS + 1):
        raise Refused(f"{path}: {settings.buffers} buffers: 2 to {MAX_BUFFERS} can be used")
    calls = trio.CapacityLimiter(1)
    opening_step(Step.IDENTIFYING)
    session = await trio.to_thread.run_sync(Session.open, path, settings, simulated, limiter=calls)
    found = session.description
    label = f"{'sim+' if simulated else ''}v4l2:{path}"
    camera = V4l2Camera(session, Identity(label, f"{found.card} ({found.driver} {found.version})", simulated), calls)
    async with served(camera.serve, camera.aclose):
        yield camera
