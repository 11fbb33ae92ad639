"""The way of a frame at 1280x960: what it costs, how often it is copied, and how late the event loop is meanwhile.

    .venv/bin/python tests/benchmarks/bench_camera.py [--seconds 10]

First the stream: another process sends 30 frames/s of the serial camera's protocol through a socket, and a consumer
takes every one. Beside it, in the same run: a bare reader of the same bytes that decodes nothing (CPU), and an event
loop without a camera (lag). Then the V4L2 formats: one buffer to one frame, beside one copy of as many bytes as the
frame has (numpy), and Pillow's plain decoding for MJPG. `buffers` is how many frames' worth of memory is allocated at
the peak: 1.0 is the frame itself, and no copy in between.

Exit status 1 when a frame is lost or copied twice, when a task held the loop for 20 ms of CPU, or when the loop was
20 ms late although the idle one was not.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import select
import socket
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np
import trio
from PIL import Image

from hw.serial_camera.camera import SerialCamera
from hw.serial_camera.codec import Accepted, Command, IdentityReply, Kind, encode_frame, encode_reply
from hw.serial_camera.decoder import Decoder
from hw.tty import Tty
from hw.v4l2.abi import Geometry
from hw.v4l2.formats import LAYOUTS, Layout, unpack
from hw.v4l2.mjpeg import decode_luma

ROWS, COLUMNS, FRAMES_PER_S = 960, 1280, 30.0
LAG_LIMIT_MS = 20.0
PROBE_S = 0.005
BUFFERS_MAX = 1.5
PICTURES = 4
ROUNDS = 30


def picture(number: int, bits: int) -> np.ndarray:
    noise = np.random.default_rng(number).integers(0, 1 << bits, (ROWS, COLUMNS), np.uint16)
    return noise.astype(np.uint8) if bits == 8 else noise


# ------------------------------------------------------------------------------------------ the camera's process


def be_the_camera(fd: int) -> None:
    """Answer commands, and send frames at the rate while told to; a host that is slow makes it late."""
    line = socket.socket(fileno=fd)
    packets = [encode_frame(picture(number, 8), 8, 0, 0) for number in range(PICTURES)]
    decoder, streaming, sequence, due_s = Decoder(max_frame_bytes=0), False, 0, time.monotonic()
    while True:
        wait_s = max(0.0, due_s - time.monotonic()) if streaming else None
        if select.select([line], [], [], wait_s)[0]:
            data = line.recv(4096)
            if not data:
                return
            for command in decoder.feed(data):
                if isinstance(command, Command):
                    streaming = command.kind is Kind.START if command.kind in (Kind.START, Kind.STOP) else streaming
                    due_s = time.monotonic()
                    line.sendall(answer(command))
            continue
        if streaming:
            due_s += 1 / FRAMES_PER_S
            line.sendall(numbered(packets[sequence % PICTURES], sequence))
            sequence += 1


def answer(command: Command) -> bytes:
    if command.kind is Kind.IDENTIFY:
        return encode_reply(IdentityReply(command.sequence, 0, True, ROWS, COLUMNS, (8,), "bench", "1"))
    return encode_reply(Accepted(command.sequence, 0))


def numbered(packet: bytes, sequence: int) -> bytes:
    """The same pixels under another number: only the head and its checksum are new."""
    import struct
    import zlib

    head = packet[:8] + struct.pack("<I", sequence) + packet[12:28]
    return head + struct.pack("<I", zlib.crc32(head)) + packet[32:]


@contextmanager
def camera_process() -> Iterator[int]:
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(
            [sys.executable, __file__, "--camera", str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
    try:
        yield ours.detach()
    finally:
        child.kill()
        child.wait()


# ------------------------------------------------------------------------------------------ the stream


class LongestStep(trio.abc.Instrument):
    """How long one task held the event loop, in CPU time: what we do to it, whatever else the machine does."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._began_s = math.inf  # the step under way when we begin to look is not measured

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began_s = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.longest_ms = max(self.longest_ms, 1e3 * (time.thread_time() - self._began_s))


@dataclass
class Stream:
    frames: int = 0
    lost: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    lags_ms: list[float] = field(default_factory=list)
    steps: LongestStep = field(default_factory=LongestStep)


async def probe(lags_ms: list[float]) -> None:
    while True:
        due_s = trio.current_time() + PROBE_S
        await trio.sleep_until(due_s)
        lags_ms.append(1e3 * (trio.current_time() - due_s))


async def stream(seconds: float) -> Stream:
    found = Stream()
    with camera_process() as fd:
        os.set_blocking(fd, False)
        camera = SerialCamera(Tty(fd, "socket"), "socket")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(camera.receive)
            await camera.identify(True)
            async with aclosing(camera.frames()) as frames:
                first = await anext(frames)
                nursery.start_soon(probe, found.lags_ms)
                trio.lowlevel.add_instrument(found.steps)
                began_s, cpu_s = time.perf_counter(), time.process_time()
                while time.perf_counter() - began_s < seconds:
                    last = await anext(frames)
                    found.frames += 1
                found.seconds, found.cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
                found.lost = last.sequence - first.sequence - found.frames + camera.corrupt
            await camera.aclose()
            nursery.cancel_scope.cancel()
    return found


async def idle(seconds: float) -> list[float]:
    lags_ms: list[float] = []
    with trio.move_on_after(seconds):
        await probe(lags_ms)
    return lags_ms


def bare_reader(seconds: float) -> tuple[int, float]:
    """Frames' worth of bytes, and the CPU seconds, of a program that reads the same stream into one buffer."""
    from hw.serial_camera.codec import encode_command

    size = len(encode_frame(picture(0, 8), 8, 0, 0))
    buffer, total = bytearray(size), 0
    with camera_process() as fd:
        os.write(fd, encode_command(Command(Kind.START, 1)))
        end_s, cpu_s = time.perf_counter() + seconds, time.process_time()
        while time.perf_counter() < end_s:
            total += os.readv(fd, [buffer])
        cpu_s = time.process_time() - cpu_s
        os.close(fd)
    return total // size, cpu_s


# ------------------------------------------------------------------------------------------ one buffer, one frame


def median_ms(*functions: Callable[[], object]) -> list[float]:
    """CPU time of each, in turns: what else the machine does meets all alike."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(ROUNDS):
        for function, own in zip(functions, seconds, strict=True):
            began_s = time.process_time()
            function()
            own.append(time.process_time() - began_s)
    return [1e3 * statistics.median(own) for own in seconds]


def peak_buffers(function: Callable[[], object], frame_bytes: int) -> float:
    function()
    tracemalloc.start()
    kept = function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return peak / frame_bytes


def raw_buffer(layout: Layout) -> bytes:
    line = layout.line_bytes(COLUMNS)
    if layout.name in ("Y10", "Y12"):
        return picture(1, layout.bits_stored).tobytes()
    return np.random.default_rng(1).integers(0, 256, line * ROWS, np.uint8).tobytes()


def serial_buffers() -> float:
    """Of the serial camera's decoder, fed as a port hands the bytes over."""
    packet = memoryview(encode_frame(picture(1, 8), 8, 0, 0))

    def decoded() -> object:
        decoder = Decoder()
        return [
            event for start in range(0, len(packet), 65536) for event in decoder.feed(packet[start : start + 65536])
        ]

    return peak_buffers(decoded, ROWS * COLUMNS)


def formats() -> bool:
    """Prints the table; whether every frame was copied once."""
    once = True
    print(f"\n{'format':8} {'ms':>7} {'peer ms':>8} {'ratio':>6} {'buffers':>8}   peer is")
    for layout in LAYOUTS:
        frame_bytes = ROWS * COLUMNS * (1 if layout.bits_stored == 8 else 2)
        if layout.is_compressed:
            data = io.BytesIO()
            Image.fromarray(picture(1, 8) // 8).convert("RGB").save(data, "JPEG", quality=90)
            raw = data.getvalue()
            ours = lambda raw=raw: decode_luma(raw, COLUMNS, ROWS)  # noqa: E731
            peer = lambda raw=raw: np.asarray(Image.open(io.BytesIO(raw)).convert("L"))  # noqa: E731
            what = "Pillow, by way of RGB"
        else:
            raw = raw_buffer(layout)
            line = layout.line_bytes(COLUMNS)
            geometry = Geometry(COLUMNS, ROWS, layout.fourcc, 1, line, line * ROWS)
            source = np.zeros(frame_bytes, np.uint8)
            ours = lambda raw=raw, g=geometry, form=layout: unpack(memoryview(raw), g, form)  # noqa: E731
            peer = source.copy
            what = "one copy of the frame's bytes"
        (ms, peer_ms), buffers = median_ms(ours, peer), peak_buffers(ours, frame_bytes)
        print(f"{layout.name:8} {ms:7.2f} {peer_ms:8.2f} {ms / peer_ms:6.1f} {buffers:8.2f}   {what}", flush=True)
        once &= layout.is_slow or buffers < BUFFERS_MAX
    return once


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--camera", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.camera is not None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the host has gone in the middle of a frame
            be_the_camera(arguments.camera)
        return 0
    found = trio.run(stream, arguments.seconds)
    frames, cpu_s = bare_reader(arguments.seconds)
    idle_ms = trio.run(idle, arguments.seconds)
    ours_ms, bare_ms = 1e3 * found.cpu_s / found.frames, 1e3 * cpu_s / frames
    print(f"{found.frames / found.seconds:.1f} frames/s of {COLUMNS}x{ROWS}, {found.lost} lost")
    print(
        f"CPU a frame, ms: {ours_ms:.2f}; a bare reader of the same bytes {bare_ms:.2f}; ratio {ours_ms / bare_ms:.1f}"
    )
    for name, lags_ms in (("with the stream", found.lags_ms), ("idle", idle_ms)):
        worst, late = max(lags_ms), np.percentile(lags_ms, 99)
        print(f"event loop lag, ms, {name}: worst {worst:.1f}, 99 % below {late:.1f}")
    print(f"longest step of a task with the stream: {found.steps.longest_ms:.1f} ms of CPU")
    buffers = serial_buffers()
    print(f"buffers of the serial camera at the peak: {buffers:.2f}")
    is_late = max(found.lags_ms) > LAG_LIMIT_MS > max(idle_ms) or found.steps.longest_ms > LAG_LIMIT_MS
    return int(not formats() or is_late or found.lost > 0 or buffers >= BUFFERS_MAX)


if __name__ == "__main__":
    sys.exit(main())
