"""The simulated camera's firmware, spoken to in raw bytes over its pty."""

from __future__ import annotations

import fcntl
import os
import sys
import termios
import tty
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import pytest
import trio
import trio.testing

from firmware_app.model import Eye
from hw.serial_camera.codec import (
    Accepted,
    Command,
    Event,
    FrameReceived,
    IdentityReply,
    Kind,
    Rejected,
    encode_command,
)
from hw.serial_camera.decoder import Decoder
from hw.sim.camera import CameraFaults, serve_camera
from hw.sim.eye import SimulatedHead


@pytest.fixture(scope="module")
def head() -> SimulatedHead:
    return SimulatedHead(2)


class Host:
    """Raw bytes at the near end of the camera's pty."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        os.set_blocking(self.slave, False)
        self.decoder = Decoder()
        self.faults = CameraFaults()

    async def serve(self, head: SimulatedHead) -> None:
        await serve_camera(self.master, head, lambda: head.focus(Eye.RIGHT), frames_per_s=200, faults=self.faults)

    def send(self, kind: Kind, sequence: int = 1, **values: int) -> None:
        os.write(self.slave, encode_command(Command(kind, sequence, **values)))

    async def events(self, count: int) -> list[Event]:
        found: list[Event] = []
        with trio.fail_after(10):
            while len(found) < count:
                await trio.lowlevel.wait_readable(self.slave)
                found += self.decoder.feed(os.read(self.slave, 4096))
        return found


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    for fd in (host.slave, host.master):
        if fd >= 0:
            os.close(fd)


async def test_it_says_that_it_is_a_simulator(host: Host, head: SimulatedHead, nursery: trio.Nursery) -> None:
    nursery.start_soon(host.serve, head)
    host.send(Kind.IDENTIFY, 9)
    (reply,) = await host.events(1)
    assert isinstance(reply, IdentityReply)
    assert (reply.sequence, reply.simulated, reply.rows, reply.columns, reply.depths) == (9, True, 480, 640, (8, 12))


async def test_a_shot_is_one_frame(host: Host, head: SimulatedHead, nursery: trio.Nursery) -> None:
    nursery.start_soon(host.serve, head)
    host.send(Kind.CONFIGURE, 1, bits_stored=12, exposure_us=8000)
    host.send(Kind.SHOT, 2)
    accepted, shot, frame = await host.events(3)
    assert isinstance(accepted, Accepted)
    assert isinstance(shot, Accepted)
    assert isinstance(frame, FrameReceived)
    assert (frame.bits_stored, frame.pixels.shape) == (12, (480, 640))
    host.send(Kind.SHOT, 3)
    again, second = await host.events(2)
    assert isinstance(again, Accepted)
    assert isinstance(second, FrameReceived)
    assert second.sequence == frame.sequence + 1


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"bits_stored": 10}, "10 bits: this camera has 8 and 12"),
        ({"exposure_us": 5}, "exposure 5 us: 100 to 100000 are possible"),
        ({"gain_milli": 60000}, "gain 60: 0.1 to 16 are possible"),
    ],
)
async def test_values_it_has_not_got_are_refused(
    host: Host, head: SimulatedHead, nursery: trio.Nursery, values: dict[str, int], text: str
) -> None:
    nursery.start_soon(host.serve, head)
    host.send(Kind.CONFIGURE, 4, **values)
    (reply,) = await host.events(1)
    assert isinstance(reply, Rejected)
    assert (reply.sequence, reply.text) == (4, text)


async def test_frames_that_are_lost_leave_a_gap(host: Host, head: SimulatedHead, nursery: trio.Nursery) -> None:
    nursery.start_soon(host.serve, head)
    host.send(Kind.START)
    before = [event.sequence for event in await host.events(3) if isinstance(event, FrameReceived)]
    host.faults.lost_frames = 2
    sequences = before + [event.sequence for event in await host.events(6) if isinstance(event, FrameReceived)]
    gaps = [later - earlier for earlier, later in pairwise(sequences)]
    assert sum(gap - 1 for gap in gaps) == 2


async def test_it_stops_when_told(host: Host, head: SimulatedHead, nursery: trio.Nursery) -> None:
    nursery.start_soon(host.serve, head)
    host.send(Kind.START, 1)
    await host.events(3)
    host.send(Kind.STOP, 2)
    events = await host.events(1)
    while Accepted not in map(type, events):
        events = await host.events(1)
    host.send(Kind.IDENTIFY, 3)
    # One frame may have been exposed before the stop; then there is only the answer.
    while IdentityReply not in map(type, events):
        events += await host.events(1)
    assert sum(isinstance(event, FrameReceived) for event in events) <= 1


async def answered(host: Host, sequence: int) -> list[Event]:
    """Ask for the identity and read up to the answer."""
    host.send(Kind.IDENTIFY, sequence)
    events: list[Event] = []
    while not any(isinstance(event, IdentityReply) and event.sequence == sequence for event in events):
        events += await host.events(1)
    return events


async def test_a_host_that_goes_away_stops_the_stream(host: Host, head: SimulatedHead, nursery: trio.Nursery) -> None:
    nursery.start_soon(host.serve, head)
    host.send(Kind.START)
    await host.events(2)
    path = os.ttyname(host.slave)
    os.close(host.slave)
    await trio.testing.wait_all_tasks_blocked(0.01)
    host.slave, host.decoder = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK), Decoder()
    tty.setraw(host.slave)
    await answered(host, 6)  # behind what was still on its way
    later = [event for sequence in range(7, 37) for event in await answered(host, sequence)]
    assert [event for event in later if isinstance(event, FrameReceived)] == []


async def test_a_reply_never_lands_inside_a_frame(host: Host, head: SimulatedHead, nursery: trio.Nursery) -> None:
    nursery.start_soon(host.serve, head)
    host.send(Kind.SHOT, 1)
    host.send(Kind.SHOT, 2)
    # Nobody reads: the first frame fills the line. The answer to 3 has to wait for its end.
    while waiting_bytes(host) < 4000:
        await trio.lowlevel.checkpoint()
    host.send(Kind.IDENTIFY, 3)
    await trio.testing.wait_all_tasks_blocked(0.01)
    events = await host.events(5)
    assert sorted(type(event).__name__ for event in events) == sorted(
        ["Accepted", "Accepted", "FrameReceived", "FrameReceived", "IdentityReply"]
    )


def waiting_bytes(host: Host) -> int:
    """What the kernel holds for the host, without reading it."""
    count = bytearray(4)
    fcntl.ioctl(host.slave, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)


@pytest.mark.parametrize("streaming", [False, True])
async def test_unplugging_ends_it_quietly(host: Host, head: SimulatedHead, streaming: bool) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(host.serve, head))
            if streaming:
                host.send(Kind.START)
                await host.events(2)
            else:
                await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.notify_closing(host.master)
            os.close(host.master)
            host.master = -1
