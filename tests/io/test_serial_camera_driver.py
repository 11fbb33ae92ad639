"""The serial camera driver against a scripted camera on a pty: what the simulator, being well-behaved, never does."""

from __future__ import annotations

import os
import tty
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, suppress

import numpy as np
import pytest
import trio
import trio.testing

from hw.errors import Deadline, DeviceFault, DeviceLost, Refused
from hw.serial_camera.camera import IDLE_S, SerialCamera, open_serial_camera
from hw.serial_camera.codec import (
    Accepted,
    Command,
    IdentityReply,
    Kind,
    Rejected,
    encode_frame,
    encode_reply,
)
from hw.serial_camera.decoder import Decoder
from hw.tty import Tty


class ScriptedCamera:
    """The far end of a pty. Commands it is not told to ignore are answered; frames leave only by `send`."""

    def __init__(self, simulated: bool = False) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.simulated = simulated
        self.heard: list[Kind] = []
        self.ignored: set[Kind] = set()
        self.refused: dict[Kind, str] = {}
        self.configured: list[tuple[int, int]] = []
        self.started = trio.Event()
        self.before_start = b""  # what is still on the line when START comes

    async def serve(self) -> None:
        decoder = Decoder()
        while self.master >= 0:
            try:
                await trio.lowlevel.wait_readable(self.master)
            except trio.ClosedResourceError:
                return
            for event in decoder.feed(os.read(self.master, 4096)):
                if isinstance(event, Command):
                    await self.answer(event)

    async def answer(self, command: Command) -> None:
        self.heard.append(command.kind)
        if command.kind is Kind.CONFIGURE:
            self.configured.append((command.bits_stored, command.exposure_us))
        if command.kind in self.ignored:
            return
        if command.kind is Kind.IDENTIFY:
            await self.send(
                encode_reply(IdentityReply(command.sequence, 0, self.simulated, 4, 4, (8,), "scripted", "2.1"))
            )
        elif command.kind in self.refused:
            await self.send(encode_reply(Rejected(command.sequence, 0, 7, self.refused[command.kind])))
        else:
            before = self.before_start if command.kind is Kind.START else b""
            await self.send(before + encode_reply(Accepted(command.sequence, 0)))
            if command.kind is Kind.START:
                self.started.set()

    async def send(self, data: bytes) -> None:
        while data:
            await trio.lowlevel.wait_writable(self.master)
            data = data[os.write(self.master, data) :]

    def unplug(self) -> None:
        if self.master >= 0:
            trio.lowlevel.notify_closing(self.master)
            os.close(self.master)
            self.master = -1


@pytest.fixture
def far_end(nursery: trio.Nursery) -> Iterator[ScriptedCamera]:
    camera = ScriptedCamera()
    nursery.start_soon(camera.serve)
    yield camera
    os.close(camera.slave)
    if camera.master >= 0:
        os.close(camera.master)


@pytest.fixture
def clock() -> trio.testing.MockClock:
    # The kernel hands pty bytes over in a worker of its own: the clock must not jump in that moment.
    return trio.testing.MockClock(autojump_threshold=0.02)


def opened(far_end: ScriptedCamera, simulated: bool = False) -> AbstractAsyncContextManager[SerialCamera]:
    return open_serial_camera(os.ttyname(far_end.slave), simulated=simulated)


def frame(sequence: int) -> bytes:
    return encode_frame(np.full((4, 4), sequence, np.uint8), 8, sequence, 0)


async def test_identity_and_order_of_the_first_commands(far_end: ScriptedCamera) -> None:
    async with opened(far_end) as camera:
        assert camera.identity.label == f"serial-camera:{os.ttyname(far_end.slave)}"
        assert camera.identity.firmware == "scripted 2.1"
        assert far_end.heard == [Kind.STOP, Kind.IDENTIFY]


async def test_an_undeclared_simulator_is_refused(far_end: ScriptedCamera) -> None:
    far_end.simulated = True
    with pytest.raises(Refused, match=r"says it is a simulator, but the configuration has simulated = false"):
        async with opened(far_end):
            pytest.fail("opened")


async def test_a_declared_simulator_must_be_one(far_end: ScriptedCamera) -> None:
    with pytest.raises(Refused, match="does not say it is a simulator"):
        async with opened(far_end, simulated=True):
            pytest.fail("opened")


async def test_a_port_that_is_not_there() -> None:
    with pytest.raises(DeviceLost, match="/dev/no-such-camera"):
        async with open_serial_camera("/dev/no-such-camera", simulated=False):
            pytest.fail("opened")


async def test_silence_is_a_deadline_that_names_the_command(
    far_end: ScriptedCamera, clock: trio.testing.MockClock
) -> None:
    far_end.ignored = {Kind.IDENTIFY}
    with pytest.raises(Deadline, match="no reply to IDENTIFY within 1 s, 3 times"):
        async with opened(far_end):
            pytest.fail("opened")
    assert far_end.heard.count(Kind.IDENTIFY) == 3


async def test_the_camera_refuses_in_its_own_words(far_end: ScriptedCamera) -> None:
    far_end.refused[Kind.CONFIGURE] = "12 bits: only 8\x1b[2J"  # which would clear the terminal
    async with opened(far_end) as camera:
        with pytest.raises(DeviceFault, match=r"refuses CONFIGURE: 12 bits: only 8\?\[2J"):
            await camera.configure(bits_stored=12)
        with pytest.raises(Refused, match="exposure of 0 us"):
            await camera.configure(bits_stored=8, exposure_us=0)


async def test_rubbish_on_the_line_at_the_start_costs_nothing(far_end: ScriptedCamera) -> None:
    await far_end.send(frame(1)[20:] + b"boot v2\r\n" + frame(2)[:30])
    async with opened(far_end) as camera:
        assert camera.corrupt <= 1


async def test_bytes_lost_before_a_reply_cost_one_wait(far_end: ScriptedCamera, clock: trio.testing.MockClock) -> None:
    async with opened(far_end) as camera, aclosing(camera.frames()) as frames, trio.open_nursery() as nursery:
        far_end.before_start = encode_frame(np.zeros((64, 64), np.uint8), 8, 1, 0)[:700]
        nursery.start_soon(send_after_start, far_end, b"")

        async def later() -> None:
            await trio.sleep(1.5)
            await far_end.send(frame(2))

        nursery.start_soon(later)
        assert (await anext(frames)).sequence == 2
        assert far_end.heard.count(Kind.START) == 1


async def test_a_stream_that_stands_still_is_a_deadline(far_end: ScriptedCamera, clock: trio.testing.MockClock) -> None:
    """And a camera that was reset meanwhile is told to stream again by the next call."""
    async with opened(far_end) as camera:
        async with aclosing(camera.frames()) as frames:
            with pytest.raises(Deadline, match=r"serial-camera:.*no frame for 2 s"):
                await anext(frames)
        far_end.started = trio.Event()
        async with aclosing(camera.frames()) as frames, trio.open_nursery() as nursery:
            nursery.start_soon(send_after_start, far_end, frame(1))
            assert (await anext(frames)).sequence == 1
        assert far_end.heard.count(Kind.START) == 2


async def test_a_frame_begun_before_the_call_is_never_yielded(far_end: ScriptedCamera) -> None:
    async with opened(far_end) as camera:
        async with aclosing(camera.frames()) as frames, trio.open_nursery() as nursery:
            nursery.start_soon(far_end.started.wait)
            nursery.start_soon(send_after_start, far_end, frame(1))
            assert (await anext(frames)).sequence == 1
        await far_end.send(frame(2)[:40])
        await until(lambda: camera._decoder.frames_begun == 2)
        late = camera.frames()
        got: list[int] = []

        async def look() -> None:
            got.append((await anext(late)).sequence)

        # 2 was on the wire at the call, 3 may have been exposed meanwhile: 4 is the first that is surely new.
        async with aclosing(late), trio.open_nursery() as nursery:
            nursery.start_soon(look)
            for arrived, data in ((2, frame(2)[40:]), (3, frame(3))):
                await far_end.send(data)
                await until(lambda arrived=arrived: camera._latest[0] == arrived)
                await trio.testing.wait_all_tasks_blocked()
                assert got == []
            await far_end.send(frame(4))
        assert got == [4]


async def test_a_frame_of_an_earlier_stream_is_not_of_this_one(far_end: ScriptedCamera) -> None:
    far_end.before_start = frame(9)
    async with opened(far_end) as camera, aclosing(camera.frames()) as frames, trio.open_nursery() as nursery:
        nursery.start_soon(send_after_start, far_end, b"")

        async def later() -> None:
            await until(lambda: camera._latest[0] == 1)
            await trio.testing.wait_all_tasks_blocked()
            await far_end.send(frame(1))

        nursery.start_soon(later)
        assert (await anext(frames)).sequence == 1


async def test_a_long_exposure_is_waited_for_and_not_stopped(
    far_end: ScriptedCamera, clock: trio.testing.MockClock
) -> None:
    async with opened(far_end) as camera:
        await camera.configure(bits_stored=8, exposure_us=6_000_000)
        async with aclosing(camera.frames()) as frames, trio.open_nursery() as nursery:

            async def expose() -> None:
                await far_end.started.wait()
                for piece in (frame(1)[:10], frame(1)[10:40], frame(1)[40:]):
                    await trio.sleep(IDLE_S + 0.5)
                    await far_end.send(piece)

            nursery.start_soon(expose)
            assert (await anext(frames)).sequence == 1
        assert far_end.heard[-1] is Kind.START


async def send_after_start(far_end: ScriptedCamera, data: bytes) -> None:
    await far_end.started.wait()
    await far_end.send(data)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await trio.lowlevel.checkpoint()


async def test_gaps_are_dropped_frames_and_damaged_ones_are_not(far_end: ScriptedCamera) -> None:
    damaged = bytearray(frame(5))
    damaged[-6] ^= 1
    async with opened(far_end) as camera, aclosing(camera.frames()) as frames, trio.open_nursery() as nursery:
        for sequence, sent in ((1, frame(1)), (4, frame(4)), (6, bytes(damaged) + frame(6))):
            nursery.start_soon(send_after_start, far_end, sent)
            assert (await anext(frames)).sequence == sequence
        assert camera.corrupt == 1
        assert camera.dropped == 2


async def test_a_camera_that_counts_anew_has_not_lost_all_the_frames_in_between(far_end: ScriptedCamera) -> None:
    async with opened(far_end) as camera, aclosing(camera.frames()) as frames, trio.open_nursery() as nursery:
        for sequence in (5000, 1, 3):
            nursery.start_soon(send_after_start, far_end, encode_frame(np.zeros((4, 4), np.uint8), 8, sequence, 0))
            assert (await anext(frames)).sequence == sequence
        assert camera.dropped == 1


async def test_a_camera_that_was_reset_gets_its_configuration_again(
    far_end: ScriptedCamera, clock: trio.testing.MockClock
) -> None:
    async with opened(far_end) as camera:
        await camera.configure(bits_stored=8, exposure_us=4000)
        await camera.configure(bits_stored=12)
        far_end.heard.clear()
        far_end.configured.clear()
        async with aclosing(camera.frames()) as frames:
            with pytest.raises(Deadline):
                await anext(frames)
        far_end.started = trio.Event()
        async with aclosing(camera.frames()) as frames, trio.open_nursery() as nursery:
            nursery.start_soon(send_after_start, far_end, frame(1))
            await anext(frames)
        assert far_end.heard == [Kind.CONFIGURE, Kind.START] * 2
        assert far_end.configured == [(12, 4000)] * 2


async def test_the_stream_is_stopped_while_nobody_looks(far_end: ScriptedCamera, clock: trio.testing.MockClock) -> None:
    async with opened(far_end) as camera:
        async with aclosing(camera.frames()) as frames, trio.open_nursery() as nursery:
            nursery.start_soon(send_after_start, far_end, frame(1))
            await anext(frames)
        far_end.heard.clear()
        await trio.sleep(IDLE_S + 0.1)
        await far_end.send(frame(2))
        await until(lambda: far_end.heard == [Kind.STOP])
        async with aclosing(camera.frames()) as frames, trio.open_nursery() as nursery:
            far_end.started = trio.Event()
            nursery.start_soon(send_after_start, far_end, frame(3))
            assert (await anext(frames)).sequence == 3
        assert far_end.heard == [Kind.STOP, Kind.START]


async def test_who_waits_for_a_camera_that_takes_nothing_is_told_that_it_was_closed() -> None:
    master, slave = os.openpty()
    port = await Tty.open(os.ttyname(slave))
    camera = SerialCamera(port, "port")
    for _ in range(5):  # what the kernel hands on in between makes room
        with suppress(BlockingIOError):
            while os.write(port._open_fd(), bytes(64)):
                pass
        await trio.testing.wait_all_tasks_blocked(0.01)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(configure_and_be_told, camera)
        await trio.testing.wait_all_tasks_blocked()
        await camera.aclose()
    os.close(master)
    os.close(slave)


async def configure_and_be_told(camera: SerialCamera) -> None:
    with pytest.raises(DeviceLost, match="was closed"):
        await camera.configure(bits_stored=8)


async def test_unplug_while_nobody_waits_reaches_whoever_opened_it(far_end: ScriptedCamera) -> None:
    with pytest.raises(DeviceLost, match=os.ttyname(far_end.slave)):
        async with opened(far_end):
            far_end.unplug()
            await trio.sleep_forever()


async def test_an_error_of_the_body_comes_out_as_it_is(far_end: ScriptedCamera) -> None:
    with pytest.raises(ZeroDivisionError):
        async with opened(far_end):
            raise ZeroDivisionError


async def test_cancelling_a_consumer_leaves_the_camera_usable(far_end: ScriptedCamera) -> None:
    async with opened(far_end) as camera:
        async with aclosing(camera.frames()) as frames:
            with trio.CancelScope() as scope:
                scope.cancel()
                await anext(frames)
        assert scope.cancelled_caught
        await camera.configure(bits_stored=8)
