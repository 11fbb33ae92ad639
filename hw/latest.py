"""The newest frame of a camera, for any number of consumers, each at its own pace; and the end of it, told to all.

The driver publishes, consumers iterate. A frame that a consumer was too slow for is missed and counted; a camera never
waits for anybody.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import trio

from firmware_app.model import Frame
from hw.errors import Deadline, DeviceError, DeviceLost


class LatestFrame:
    """`name` is for messages: what is said to be lost, closed or late."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.missed = 0  # frames that were published and a consumer did not get
        self.waiting = 0  # consumers that wait for a frame just now
        self._asked_s = trio.current_time()  # when the last of them had one
        self._wanted = trio.Event()
        self._changed = trio.Event()
        self._arrivals = 0
        self._begun_ns = 0
        self._frame: Frame | None = None
        self._failure: DeviceError | None = None
        self._closed = False

    # ------------------------------------------------------------------------------------------ the driver's side

    def publish(self, frame: Frame, begun_ns: int, *, passed_over: int = 0) -> None:
        """A whole frame, whose exposure began then; before it came that many that nobody will see."""
        self._arrivals += 1 + passed_over
        self._begun_ns, self._frame = begun_ns, frame
        self._wake()

    def fail(self, error: DeviceError) -> None:
        """The device is lost. Only the first reason counts."""
        self._failure = self._failure or error
        self._wake()

    def close(self) -> None:
        """We ended it ourselves."""
        self._closed = True
        self._wake()

    @property
    def is_over(self) -> bool:
        return self._closed or self._failure is not None

    def idle_s(self) -> float:
        """How long nobody has asked for a frame."""
        return 0.0 if self.waiting else trio.current_time() - self._asked_s

    async def until_wanted(self, timeout_s: float) -> bool:
        """Until somebody waits for a frame, or the end, or so long. Whether somebody does."""
        await trio.lowlevel.checkpoint()
        if not self.waiting and not self.is_over:
            self._wanted = trio.Event()
            with trio.move_on_after(timeout_s):
                await self._wanted.wait()
        return self.waiting > 0 and not self.is_over

    # ------------------------------------------------------------------------------------------ everybody's side

    def require_open(self) -> None:
        """`DeviceLost` with the reason, when the camera is of no more use."""
        if self._failure is not None:
            raise DeviceLost(str(self._failure))
        if self._closed:
            raise DeviceLost(f"{self.name}: the camera was closed")

    async def wait_lost(self) -> str:
        """Returns when the camera is of no more use, with the reason."""
        await trio.lowlevel.checkpoint()
        while not self.is_over:
            await self._changed.wait()
        return str(self._failure or f"{self.name}: the camera was closed")

    async def frames(self, called_ns: int, limit_s: float) -> AsyncGenerator[Frame, None]:
        """The newest frame each time, of those begun at `called_ns` or later; `Deadline` after `limit_s` without."""
        seen = 0
        while True:
            arrival, frame = await self._next(seen, called_ns, limit_s)
            if seen:
                self.missed += arrival - seen - 1
            seen = arrival
            yield frame

    async def _next(self, seen: int, called_ns: int, limit_s: float) -> tuple[int, Frame]:
        await trio.lowlevel.checkpoint()
        self.waiting += 1
        self._wanted.set()
        try:
            with trio.move_on_after(limit_s):
                while True:
                    self.require_open()
                    if self._frame is not None and self._arrivals > seen and self._begun_ns >= called_ns:
                        return self._arrivals, self._frame
                    await self._changed.wait()
        finally:
            self.waiting -= 1
            self._asked_s = trio.current_time()
        raise Deadline(f"{self.name}: no frame for {limit_s:g} s although the camera was told to stream")

    def _wake(self) -> None:
        self._wanted.set()
        self._changed.set()
        self._changed = trio.Event()
