"""The firmware of the simulated camera: the serial camera protocol on a pty master, frames from the simulated eye."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from dataclasses import dataclass

import trio

from firmware_app.model import Position
from hw.serial_camera.codec import (
    Accepted,
    Command,
    IdentityReply,
    Kind,
    Rejected,
    Reply,
    encode_frame,
    encode_reply,
)
from hw.serial_camera.decoder import Decoder
from hw.sim.eye import SimulatedHead
from hw.sim.optics import COLUMNS, ROWS

MODEL, FIRMWARE = "SPECULAR-SIM camera", "1.0"
DEPTHS = (8, 12)
EXPOSURES_US = range(100, 100_001)
GAINS_MILLI = range(100, 16_001)
BAD_VALUE = 1
NOBODY_POLL_S = 0.05  # a pty master cannot wait for its other end to be opened


@dataclass(slots=True)
class CameraFaults:
    """What goes wrong next, for tests and for people who write host software."""

    corrupt_frames: int = 0  # that many frames leave with a wrong byte
    lost_frames: int = 0  # that many frames are exposed and numbered but never sent
    silent: bool = False  # sends nothing at all
    half_frames: int = 0  # that many frames end in their middle
    garbage: bytes = b""  # sent before the next frame
    delay_s: float = 0.0  # every frame leaves that much later than it is exposed

    def clear(self) -> None:
        """As after a replug."""
        self.corrupt_frames = self.lost_frames = self.half_frames = 0
        self.silent, self.garbage, self.delay_s = False, b"", 0.0


@dataclass(slots=True)
class CameraState:
    bits_stored: int = 8
    exposure_us: int = 8000
    gain_milli: int = 1000
    streaming: bool = False
    shots: int = 0
    sequence: int = 0


class CameraFirmware:
    """Answers commands and sends frames on one pty master; whoever made the pty closes it."""

    def __init__(
        self,
        fd: int,
        head: SimulatedHead,
        position_at: Callable[[], Position],
        frames_per_s: float,
        faults: CameraFaults,
        state: CameraState,
    ) -> None:
        self._fd = fd
        self._head = head
        self._position_at = position_at
        self._period_s = 1.0 / frames_per_s
        self._faults = faults
        self._state = state
        self._wanted = trio.Event()  # somebody wants frames
        self._line = trio.Lock()  # a reply never lands inside a frame
        self._started_s = trio.current_time()

    @property
    def _now_us(self) -> int:
        return round((trio.current_time() - self._started_s) * 1e6)

    async def answer(self) -> None:
        """Read and answer commands, for ever."""
        decoder = Decoder(max_frame_bytes=0)
        while True:
            for event in decoder.feed(await self._read()):
                if isinstance(event, Command):
                    reply = self._obey(event)
                    await self._send(encode_reply(reply))
                    if self._state.streaming or self._state.shots:
                        self._wanted.set()

    async def expose(self) -> None:
        """Expose and send frames while they are wanted, for ever."""
        due_s = trio.current_time()
        while True:
            if not self._state.streaming and not self._state.shots:
                self._wanted = trio.Event()
                await self._wanted.wait()
                due_s = trio.current_time()
            due_s = max(due_s + self._period_s, trio.current_time())
            await trio.sleep_until(due_s)
            state = self._state
            if not state.streaming and not state.shots:
                continue
            packet = await trio.to_thread.run_sync(
                self._frame, self._position_at(), state.bits_stored, state.exposure_us, state.gain_milli, self._now_us
            )
            if self._faults.delay_s:
                await trio.sleep(self._faults.delay_s)
            state.sequence += 1
            state.shots = max(0, state.shots - 1)
            if self._faults.lost_frames > 0:
                self._faults.lost_frames -= 1
                continue
            if self._faults.corrupt_frames > 0:
                self._faults.corrupt_frames -= 1
                packet = (
                    packet[: len(packet) // 2]
                    + bytes([packet[len(packet) // 2] ^ 0x55])
                    + packet[len(packet) // 2 + 1 :]
                )
            await self._send(self._spoilt(packet))

    def _spoilt(self, packet: bytes) -> bytes:
        garbage, self._faults.garbage = self._faults.garbage, b""
        if self._faults.half_frames > 0:
            self._faults.half_frames -= 1
            packet = packet[: len(packet) // 2]
        return garbage + packet

    def _frame(self, position: Position, bits_stored: int, exposure_us: int, gain_milli: int, begun_us: int) -> bytes:
        end_s = (begun_us + exposure_us) / 1e6
        pixels = self._head.render(position, end_s, bits_stored, exposure_us=exposure_us, gain=gain_milli / 1000)
        return encode_frame(pixels, bits_stored, self._state.sequence, begun_us)

    def _obey(self, command: Command) -> Reply:
        state = self._state
        match command.kind:
            case Kind.IDENTIFY:
                return IdentityReply(command.sequence, self._now_us, True, ROWS, COLUMNS, DEPTHS, MODEL, FIRMWARE)
            case Kind.CONFIGURE:
                problem = problem_of(command)
                if problem:
                    return Rejected(command.sequence, self._now_us, BAD_VALUE, problem)
                state.bits_stored = command.bits_stored or state.bits_stored
                state.exposure_us = command.exposure_us or state.exposure_us
                state.gain_milli = command.gain_milli or state.gain_milli
            case Kind.SHOT:
                state.shots += 1
            case _:
                state.streaming = command.kind is Kind.START
        return Accepted(command.sequence, self._now_us)

    async def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._fd, 4096)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._fd)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                # Nobody has the port open. A real camera stops when the host goes away, so does this one.
                self._state.streaming, self._state.shots = False, 0
                await trio.sleep(NOBODY_POLL_S)

    async def _send(self, packet: bytes) -> None:
        if self._faults.silent:
            return
        async with self._line:
            left = memoryview(packet)
            while left:
                try:
                    left = left[os.write(self._fd, left) :]
                except BlockingIOError:
                    if hung_up(self._fd):  # the rest is lost, as on a cable that leads nowhere
                        return
                    await trio.lowlevel.wait_writable(self._fd)


def hung_up(fd: int) -> bool:
    """Whether nobody has the other end of this pty open; trio then calls it writable although it is full."""
    poller = select.poll()
    poller.register(fd, 0)
    return any(events & select.POLLHUP for _, events in poller.poll(0))


def problem_of(command: Command) -> str:
    """Why this camera cannot be configured so, or nothing; 0 leaves a value as it is."""
    if command.bits_stored and command.bits_stored not in DEPTHS:
        return f"{command.bits_stored} bits: this camera has {' and '.join(map(str, DEPTHS))}"
    if command.exposure_us and command.exposure_us not in EXPOSURES_US:
        return f"exposure {command.exposure_us} us: {EXPOSURES_US[0]} to {EXPOSURES_US[-1]} are possible"
    if command.gain_milli and command.gain_milli not in GAINS_MILLI:
        return (
            f"gain {command.gain_milli / 1000:g}: {GAINS_MILLI[0] / 1000:g} to {GAINS_MILLI[-1] / 1000:g} are possible"
        )
    return ""


async def serve_camera(
    master_fd: int,
    head: SimulatedHead,
    position_at: Callable[[], Position],
    *,
    frames_per_s: float = 20.0,
    faults: CameraFaults | None = None,
    state: CameraState | None = None,
) -> None:
    """Be the camera on this pty master (non-blocking) until it is closed; then return quietly.

    Whoever gives the `state` can see what the camera was told.
    """
    firmware = CameraFirmware(
        master_fd, head, position_at, frames_per_s, faults or CameraFaults(), state or CameraState()
    )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(firmware.answer)
            nursery.start_soon(firmware.expose)
    except* trio.ClosedResourceError:
        pass  # unplugged while we waited
    except* OSError as group:
        if any(error.errno != errno.EBADF for error in group.exceptions if isinstance(error, OSError)):
            raise
