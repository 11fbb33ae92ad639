"""The driver of the serial/USB camera: one task reads the port, anybody may look at the latest frame.

Any number of consumers may iterate `frames()` at once, each at its own pace: all of them see the same newest frame, and
what a consumer was too slow for is dropped and counted. The camera streams only while somebody looks.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from firmware_app.model import Frame
from hw.abc import Identity
from hw.errors import Deadline, DeviceError, DeviceFault, DeviceLost, Refused
from hw.frame_numbers import missing_between
from hw.opening import Step, opening_step
from hw.serial_camera.codec import (
    Accepted,
    Command,
    Corrupt,
    Event,
    FrameReceived,
    IdentityReply,
    Kind,
    Rejected,
    Reply,
    encode_command,
)
from hw.serial_camera.decoder import Decoder
from hw.served import served
from hw.tty import Tty

# A reply waits behind at most one frame on the wire: 0.1 s for 640x480 on USB full speed, 1 s leaves room for 4 Mpx.
REPLY_S = 1.0
ATTEMPTS = 3  # every command may be repeated: a half-sent one of an earlier host spoils at most the first
FRAME_S = 2.0  # beyond the exposure; the slowest camera worth having gives 2 frames/s
IDLE_S = 2.0  # without anybody asking for a frame the stream is stopped
CLOSE_S = 0.3


class SerialCamera:
    """One open camera (`hw.abc.Camera`). Made by `open_serial_camera`, which also closes it."""

    def __init__(self, tty: Tty, port: str) -> None:
        self._tty = tty
        self._port = port
        self._identity = Identity(f"serial-camera:{port}", "", False)
        self._decoder = Decoder()
        self._command = trio.Lock()
        self._sequence = 0
        self._replies: dict[int, Reply] = {}
        self._changed = trio.Event()  # a reply, a frame or the end: whoever waits looks again
        self._failure: DeviceError | None = None
        self._closed = False
        self._streaming = False
        self._starting: int | None = None  # the number of a START on its way
        self._waiting = 0  # consumers that wait for a frame just now
        self._asked_s = trio.current_time()  # when the last of them had one
        self._configured = (0, 0)  # bits and exposure in us, 0 as the camera has it
        self._latest: tuple[int, int, Frame | None] = (0, 0, None)  # its arrival number and its ordinal
        self._begun_at_start = 0  # the ordinal of the last frame of an earlier stream
        self._last_sequence: int | None = None
        self._dropped = 0
        self._corrupt = 0
        self._corrupt_since_frame = 0

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def dropped(self) -> int:
        """Frames the camera numbered and a consumer did not get: too slow, or lost on the way; corrupt ones apart."""
        return self._dropped

    @property
    def corrupt(self) -> int:
        return self._corrupt

    async def configure(self, *, bits_stored: int, exposure_us: int | None = None) -> None:
        """In force for every `frames()` called afterwards. `DeviceFault` with the camera's own words if it refuses."""
        if bits_stored < 1 or (exposure_us is not None and exposure_us < 1):
            raise Refused(f"{self._port}: no camera has {bits_stored} bits and an exposure of {exposure_us} us")
        async with self._command:
            await self._ask_locked(Kind.CONFIGURE, bits_stored, exposure_us or 0)
            _, exposure_before_us = self._configured
            self._configured = bits_stored, exposure_us or exposure_before_us

    def frames(self) -> AsyncGenerator[Frame, None]:
        """The newest frame each time, of those whose exposure began after this call.

        While one frame is on the wire the camera may be exposing the next, so both of these are passed over.
        """
        begun = self._decoder.frames_begun
        return self._frames_after(begun + 1 if self._streaming else begun)

    async def _frames_after(self, ordinal: int) -> AsyncGenerator[Frame, None]:
        seen = 0
        while True:
            arrival, frame = await self._next(seen, ordinal)
            if seen:
                self._dropped += arrival - seen - 1
            seen = arrival
            yield frame

    async def _next(self, seen: int, ordinal: int) -> tuple[int, Frame]:
        """The latest frame as soon as it arrived after `seen` and began after `ordinal`."""
        await trio.lowlevel.checkpoint()
        self._waiting += 1
        limit_s = FRAME_S + self._configured[1] / 1e6
        try:
            with trio.move_on_after(limit_s):
                while True:
                    self._check_open()
                    if not self._streaming:
                        await self._start()
                    arrival, begun, frame = self._latest
                    if frame is not None and arrival > seen and begun > max(ordinal, self._begun_at_start):
                        return arrival, frame
                    await self._changed.wait()
        finally:
            self._waiting -= 1
            self._asked_s = trio.current_time()
        self._streaming = False  # a camera that was reset has forgotten its START: the next call sends it again
        raise Deadline(f"{self._identity.label}: no frame for {limit_s:g} s although the camera was told to stream")

    async def wait_lost(self) -> str:
        """Returns when the port is of no more use, with the reason."""
        await trio.lowlevel.checkpoint()
        while self._failure is None and not self._closed:
            await self._changed.wait()
        return str(self._failure or f"{self._port}: the camera was closed")

    async def aclose(self) -> None:
        """Stop the stream and close the port; whoever waits for a frame gets `DeviceLost`."""
        if self._closed:
            return
        with trio.move_on_after(CLOSE_S) as scope:
            scope.shield = True
            if self._streaming and self._failure is None:
                with suppress(DeviceError):
                    await self._tty.send_all(encode_command(Command(Kind.STOP, 0)), timeout_s=CLOSE_S)
        self._closed = True
        self._tty.close()
        self._wake()

    # ------------------------------------------------------------------------------------------ commands

    async def identify(self, simulated: bool) -> None:
        """Ask who is there. `Refused` when a simulator was not declared, or a declared one is none."""
        await self._ask(Kind.STOP)  # a stream left over from a host that died
        reply = await self._ask(Kind.IDENTIFY)
        if not isinstance(reply, IdentityReply):
            raise DeviceFault("protocol", f"{self._port}: IDENTIFY was answered with {reply}")
        if reply.simulated is not simulated:
            says = "says it is a simulator" if reply.simulated else "does not say it is a simulator"
            raise Refused(
                f"{self._port}: the camera {says}, but the configuration has simulated = {str(simulated).lower()}"
            )
        label = f"{'sim+' if simulated else ''}serial-camera:{self._port}"
        self._identity = Identity(label, f"{reply.model} {reply.firmware}".strip(), simulated)

    async def _start(self) -> None:
        async with self._command:
            if self._streaming:
                return
            if any(self._configured):  # a camera that was reset behind its plug has forgotten that, too
                await self._ask_locked(Kind.CONFIGURE, *self._configured)
            await self._ask_locked(Kind.START)

    async def _ask(self, kind: Kind) -> Reply:
        async with self._command:
            return await self._ask_locked(kind)

    async def _ask_locked(self, kind: Kind, bits_stored: int = 0, exposure_us: int = 0) -> Reply:
        """Send a command and wait for its reply. `Deadline` names the command, `DeviceFault` has the camera's words."""
        for _ in range(ATTEMPTS):
            self._check_open()
            self._sequence = self._sequence % 0xFFFFFFFF + 1
            command = Command(kind, self._sequence, bits_stored, exposure_us)
            self._starting = self._sequence if kind is Kind.START else None
            self._replies.clear()
            await self._send(command)
            with trio.move_on_after(REPLY_S):
                while self._sequence not in self._replies:
                    await self._changed.wait()
                    self._check_open()
            if self._sequence not in self._replies:
                # Bytes lost inside a frame leave the decoder waiting for its end, and that swallows every reply.
                for event in self._decoder.give_up():
                    self._take(event)
            reply = self._replies.pop(self._sequence, None)
            if isinstance(reply, Rejected):
                raise DeviceFault(str(reply.code), f"{self._port}: the camera refuses {kind.name}: {reply.text}")
            if reply is not None:
                return reply
        raise Deadline(f"{self._port}: no reply to {kind.name} within {REPLY_S:g} s, {ATTEMPTS} times")

    async def _send(self, command: Command) -> None:
        try:
            await self._tty.send_all(encode_command(command), timeout_s=REPLY_S)
        except trio.ClosedResourceError:  # while the camera took nothing
            self._check_open()
            raise

    # ------------------------------------------------------------------------------------------ the reading task

    async def receive(self) -> None:
        """The one reader of the port. Raises `DeviceLost` at its end, after everybody who waits was told."""
        try:
            while True:
                for event in self._decoder.feed(await self._tty.receive_some()):
                    self._take(event)
                if self._streaming and not self._waiting and trio.current_time() - self._asked_s > IDLE_S:
                    await self._pause()
        except DeviceError as failure:
            self._failure = failure
            raise
        except trio.ClosedResourceError:
            pass  # our own aclose
        finally:
            self._wake()

    async def _pause(self) -> None:
        """Nobody looks: stop the stream, without waiting for the reply that only this task could read."""
        if self._command.locked():  # that command's reply must be read first
            return
        async with self._command:
            self._streaming = False
            await self._tty.send_all(encode_command(Command(Kind.STOP, 0)), timeout_s=REPLY_S)

    def _take(self, event: Event) -> None:
        match event:
            case FrameReceived():
                self._take_frame(event)
            case Corrupt():
                self._corrupt += 1
                self._corrupt_since_frame += 1
            case IdentityReply() | Accepted() | Rejected():
                if event.sequence == self._sequence:  # anything else is the answer to a STOP nobody waited for
                    self._replies[event.sequence] = event
                if isinstance(event, Accepted) and event.sequence == self._starting:
                    # Frames on the wire before this belong to an earlier stream; the next one may come in this read.
                    self._begun_at_start, self._last_sequence = self._decoder.begun_before_reply, None
                    self._streaming = True
                self._wake()
            case _:
                pass  # noise between packets, or our own echo

    def _take_frame(self, event: FrameReceived) -> None:
        if self._last_sequence is not None and self._streaming:
            missing = missing_between(self._last_sequence, event.sequence)
            self._dropped += max(0, missing - self._corrupt_since_frame)
        self._last_sequence, self._corrupt_since_frame = event.sequence, 0
        frame = Frame(event.pixels, event.bits_stored, event.sequence, time.monotonic_ns())
        self._latest = (self._latest[0] + 1, event.ordinal, frame)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _check_open(self) -> None:
        if self._failure is not None:
            raise DeviceLost(str(self._failure))
        if self._closed:
            raise DeviceLost(f"{self._port}: the camera was closed")


@asynccontextmanager
async def open_serial_camera(port: str, *, simulated: bool, baud: int = 115200) -> AsyncIterator[SerialCamera]:
    """Open the port and identify the camera. Raises `DeviceLost` when it goes away, also out of the running body."""
    tty = await Tty.open(port, baud)
    camera = SerialCamera(tty, port)
    try:
        async with served(camera.receive, camera.aclose):
            opening_step(Step.IDENTIFYING)
            await camera.identify(simulated)
            yield camera
    finally:
        tty.close()
