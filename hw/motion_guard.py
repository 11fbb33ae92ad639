"""One motion of a stage at a time: whoever is stopped is told, and no motion is left running by those who leave it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from hw.errors import DeviceError, DeviceFault


class MotionGuard:
    """`halt` stops the stage and confirms it; `unconfirmed` is called where that failed: the place is lost then."""

    def __init__(
        self, label: str, halt: Callable[[], Awaitable[None]], unconfirmed: Callable[[], None], how_stopped: str = ""
    ) -> None:
        self.stops = 0  # how often somebody has asked for a stop
        self.in_motion = False
        self.turn = trio.Lock()  # for whatever must not be done during a motion
        self._label = label
        self._halt = halt
        self._unconfirmed = unconfirmed
        self._how_stopped = how_stopped
        self._homing_ended: trio.Event | None = None

    @property
    def homing(self) -> bool:
        return self._homing_ended is not None

    async def until_homed(self) -> None:
        """Until no homing is under way, however it ended."""
        while self._homing_ended is not None:
            await self._homing_ended.wait()

    @asynccontextmanager
    async def motion_turn(self) -> AsyncIterator[int]:
        """Alone with the stage; yields the `stops` for `motion`.

        They are counted from when the turn was asked for: a stop also ends what has not begun yet.
        """
        stops = self.stops
        async with self.turn:
            self.require_not_stopped(stops)
            yield stops

    def require_not_stopped(self, stops: int) -> None:
        """`DeviceFault("stopped")` where somebody has asked for a stop since there were `stops`."""
        if self.stops != stops:
            raise DeviceFault("stopped", f"{self._label} was stopped{self._how_stopped}")

    @asynccontextmanager
    async def motion(self, stops: int) -> AsyncIterator[None]:
        """Leaving this in any way but the planned one stops the stage."""
        self.require_not_stopped(stops)
        self.in_motion = True
        try:
            yield
            self.require_not_stopped(stops)
        except BaseException:
            await self._halt_whatever_happens()
            raise
        finally:
            self.in_motion = False

    @asynccontextmanager
    async def home(self, stops: int) -> AsyncIterator[None]:
        """A motion during which there is no frame."""
        self._homing_ended = trio.Event()
        try:
            async with self.motion(stops):
                yield
        finally:
            ended, self._homing_ended = self._homing_ended, None
            ended.set()

    async def stop(self) -> None:
        """At rest when it returns; whoever moves the stage is told. Where that failed the place is lost."""
        self.stops += 1
        with trio.CancelScope(shield=True):
            try:
                await self._halt()
            except DeviceError:
                self._unconfirmed()
                raise

    async def close(self) -> None:
        """No motion is left running, and who is in the middle of one begins no further part of it."""
        self.stops += 1
        if self.in_motion:
            await self._halt_whatever_happens()

    async def _halt_whatever_happens(self) -> None:
        """For those who already have something to report: what cannot be confirmed costs the stage its homing."""
        with trio.CancelScope(shield=True):
            try:
                await self._halt()
            except DeviceError:
                self._unconfirmed()
