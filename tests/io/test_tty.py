"""The serial port on real ptys: quiet, busy, hung up, closed, missing."""

from __future__ import annotations

import errno
import os
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from hw.errors import Deadline, DeviceLost
from hw.tty import Tty


class Pty:
    """The device's end, and the host's name for it."""

    def __init__(self) -> None:
        self.device_fd, self._host_fd = os.openpty()
        tty.setraw(self._host_fd)
        self.port = os.ttyname(self._host_fd)

    def hang_up(self) -> None:
        for fd in (self.device_fd, self._host_fd):
            if fd != -1:
                os.close(fd)
        self.device_fd = self._host_fd = -1


@pytest.fixture
def pty() -> Iterator[Pty]:
    pair = Pty()
    yield pair
    pair.hang_up()


async def test_bytes_go_both_ways_unchanged(pty: Pty) -> None:
    port = await Tty.open(pty.port)
    every_byte = bytes(range(256))
    await port.send_all(every_byte)
    assert os.read(pty.device_fd, 1000) == every_byte
    os.write(pty.device_fd, every_byte)
    assert await port.receive_some() == every_byte
    await port.aclose()


async def test_the_port_waits_for_bytes_and_keeps_dtr_when_closed(pty: Pty) -> None:
    """VMIN=1 tells quiet from gone; HUPCL would reset an Arduino at every close."""
    attributes = termios.tcgetattr(pty.device_fd)
    attributes[2] |= termios.HUPCL
    termios.tcsetattr(pty.device_fd, termios.TCSANOW, attributes)
    port = await Tty.open(pty.port)
    attributes = termios.tcgetattr(pty.device_fd)
    assert attributes[6][termios.VMIN] in (1, b"\x01")
    assert not attributes[2] & termios.HUPCL
    assert not attributes[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    await port.aclose()


async def test_a_quiet_port_is_waited_for_and_not_taken_for_a_dead_one(pty: Pty) -> None:
    port = await Tty.open(pty.port)
    received: list[bytes] = []

    async def receive() -> None:
        received.append(await port.receive_some())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        assert not received
        os.write(pty.device_fd, b"late")
    assert received == [b"late"]
    await port.aclose()


async def test_cancelling_a_read_loses_nothing(pty: Pty) -> None:
    port = await Tty.open(pty.port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    os.write(pty.device_fd, b"kept")
    assert await port.receive_some() == b"kept"
    await port.aclose()


async def test_hang_up_wakes_the_reader_and_fails_the_writer(pty: Pty) -> None:
    port = await Tty.open(pty.port)
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(DeviceLost, match=f"{pty.port}: the device hung up"):
                await port.receive_some()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        pty.hang_up()
    with pytest.raises(DeviceLost, match=pty.port):
        await port.send_all(b"?")
    await port.aclose()


async def test_a_device_that_stops_reading_is_a_deadline_and_not_a_hang(pty: Pty, autojump_clock: object) -> None:
    port = await Tty.open(pty.port)
    with pytest.raises(Deadline, match=rf"{pty.port}: \d+ of 1000000 bytes were not taken within 3 s"):
        await port.send_all(b"x" * 1_000_000, timeout_s=3.0)
    await port.aclose()


async def test_more_than_the_kernel_holds_arrives_whole(pty: Pty) -> None:
    port = await Tty.open(pty.port)
    sent = os.urandom(200_000)
    received = bytearray()
    os.set_blocking(pty.device_fd, False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.send_all, sent)
        while len(received) < len(sent):
            await trio.lowlevel.wait_readable(pty.device_fd)
            received += os.read(pty.device_fd, 65536)
    assert received == sent
    await port.aclose()


async def test_closing_wakes_whoever_waits(pty: Pty) -> None:
    port = await Tty.open(pty.port)
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await port.receive_some()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await port.aclose()
    await port.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await port.send_all(b"?")


async def test_two_readers_are_a_mistake(pty: Pty) -> None:
    port = await Tty.open(pty.port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await port.receive_some()
        nursery.cancel_scope.cancel()
    await port.aclose()


async def test_closing_with_unsent_bytes_does_not_wait_for_the_device(pty: Pty, autojump_clock: object) -> None:
    port = await Tty.open(pty.port)
    with pytest.raises(Deadline):
        await port.send_all(b"x" * 100_000, timeout_s=0.1)
    await port.aclose()
    again = await Tty.open(pty.port)
    await again.aclose()


async def test_a_second_program_is_kept_out_until_the_first_closes(pty: Pty) -> None:
    port = await Tty.open(pty.port)
    with pytest.raises(DeviceLost, match=f"{pty.port}: cannot open: another program has it open"):
        await Tty.open(pty.port)
    await port.aclose()
    await (await Tty.open(pty.port)).aclose()


async def test_opening_leaves_no_descriptor_behind(pty: Pty) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        await (await Tty.open(pty.port)).aclose()
        with pytest.raises(DeviceLost):
            await Tty.open("/dev/null")
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing", "no such port"), ("file", "not a serial port"), ("", "no such port|Is a directory")],
)
async def test_what_cannot_be_opened_is_named_with_its_reason_in_one_line(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    port = str(tmp_path / name)
    with pytest.raises(DeviceLost, match=f"^{port}/?: cannot open: ({reason})$"):
        await Tty.open(port)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENODEV, errno.EBADF])
async def test_the_kernel_saying_gone_is_device_lost(pty: Pty, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def gone(fd: int, size: int) -> bytes:
        raise OSError(number, os.strerror(number))

    port = await Tty.open(pty.port)
    with monkeypatch.context() as patch:
        patch.setattr("hw.tty.os.read", gone)
        with pytest.raises(DeviceLost, match=f"{pty.port}: the device is gone"):
            await port.receive_some()
    await port.aclose()
