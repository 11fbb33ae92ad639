"""The kernel's socket, and what a waiting device slot does when something is plugged in."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from firmware_app.model import Event
from firmware_app.services.hardware import REOPEN_MAX_S
from firmware_app.services.hotplug import HotplugService
from hw.hotplug import NoHotplug, open_uevents, watch_devices
from hw.uevent import Uevent

ADDED = b"add@/d/tty/ttyACM0\0ACTION=add\0DEVPATH=/d/tty/ttyACM0\0SUBSYSTEM=tty\0DEVNAME=ttyACM0\0"


class Slot:
    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


def slot_and_service() -> tuple[Slot, HotplugService, list[Event]]:
    slot, events = Slot(), list[Event]()
    return slot, HotplugService((slot,), events.append), events


async def test_a_new_device_wakes_the_slots_and_nothing_else_does(nursery: trio.Nursery) -> None:
    ours, kernel = trio.socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    seen: list[Uevent | None] = []
    slot, service, _ = slot_and_service()
    all_seen = trio.Event()

    def on_event(event: Uevent | None) -> None:
        seen.append(event)
        service._on_event(event)
        if len(seen) == 3:
            all_seen.set()

    await nursery.start(partial(watch_devices, on_event, lambda: ours))
    others = [ADDED.replace(b"add", b"remove"), ADDED.replace(b"=tty\0", b"=block\0"), b"libudev\0nonsense\0", b"?"]
    for datagram in (*others, ADDED):
        await kernel.send(datagram)
    with trio.fail_after(10):
        await all_seen.wait()
    assert [event.action for event in seen if event] == ["remove", "add", "add"]
    assert slot.woken == 1
    nursery.cancel_scope.cancel()
    kernel.close()


async def test_lost_events_may_have_been_a_device() -> None:
    slot, service, _ = slot_and_service()
    service._on_event(None)
    assert slot.woken == 1


async def test_where_the_socket_is_forbidden_the_status_says_so_and_the_slots_look_by_themselves() -> None:
    def forbidden() -> trio.socket.SocketType:
        raise NoHotplug("no netlink socket: Address family not supported by protocol")

    slot, service, events = slot_and_service()
    await service.run(partial(watch_devices, open_socket=forbidden))
    assert "no kernel events (no netlink socket: Address family not supported by protocol)" in service.detail
    assert f"{REOPEN_MAX_S:g} s" in service.detail
    assert [event.kind for event in events] == ["hotplug.missing"]
    assert slot.woken == 0


async def test_a_socket_that_breaks_later_ends_the_listening_and_not_the_service() -> None:
    class Broken:
        family = socket.AF_UNIX

        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *args: object) -> None: ...

        def __init__(self) -> None:
            self.errors = [errno.ENOBUFS, errno.EBADF]

        async def recvfrom(self, size: int) -> tuple[bytes, object]:
            await trio.lowlevel.checkpoint()
            raise OSError(code := self.errors.pop(0), errno.errorcode[code])

    slot, service, events = slot_and_service()
    await service.run(partial(watch_devices, open_socket=lambda: Broken()))  # type: ignore[arg-type,return-value]
    assert slot.woken == 1, "ENOBUFS only means that events were lost"
    assert "the netlink socket failed: EBADF" in service.detail
    assert len(events) == 1


CONSOLE = Path("/sys/class/tty/tty1/uevent")  # a device that every kernel has, and may be asked to tell of


@pytest.fixture
def beside() -> Iterator[socket.socket]:
    """A socket of our own on the kernel's events: tells a kernel that sends us none from a program that loses them."""
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15)
        opened.bind((0, 1))
    except OSError as error:
        pytest.skip(f"the kernel gives nobody a socket for its events: {error.strerror}")
    opened.settimeout(5)
    yield opened
    opened.close()


@pytest.fixture
def kernel_tells(beside: socket.socket) -> None:
    """The kernel can be asked for an event, and it reaches this sandbox."""
    try:
        CONSOLE.write_text("change")
    except OSError as error:
        pytest.skip(f"the kernel may not be asked for an event: {CONSOLE}: {error.strerror}")
    try:
        beside.recv(4096)
    except TimeoutError:
        pytest.skip("the kernel's events do not reach this sandbox")


@pytest.fixture
def programs_send(beside: socket.socket) -> None:
    """The kernel lets one program send to another on netlink."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15) as stranger:
        stranger.bind((0, 0))
        try:
            stranger.sendto(ADDED, beside.getsockname())
        except OSError as error:
            pytest.skip(f"the kernel lets no program send on netlink: {error.strerror}")


@asynccontextmanager
async def kernel_socket() -> AsyncIterator[Callable[[], trio.socket.SocketType]]:
    opened = open_uevents()
    yield lambda: opened
    opened.close()


async def test_the_real_socket_opens_binds_and_takes_nothing_from_other_programs(
    programs_send: None, nursery: trio.Nursery
) -> None:
    seen: list[Uevent | None] = []
    async with kernel_socket() as opened:
        await nursery.start(partial(watch_devices, seen.append, opened))
        port, _groups = opened().getsockname()
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15) as stranger:
            stranger.bind((0, 0))
            stranger.sendto(ADDED, (port, 0))
        with trio.move_on_after(0.2):
            await trio.sleep_forever()
        assert not [event for event in seen if event and event.path == "/d/tty/ttyACM0"]
        nursery.cancel_scope.cancel()


async def test_the_kernels_own_event_wakes_a_slot(kernel_tells: None, nursery: trio.Nursery) -> None:
    """A real uevent of a real kernel: asked for by name in sysfs, which only root may and not every sandbox lets."""
    slot, service, _ = slot_and_service()
    async with kernel_socket() as opened:
        listening = trio.Event()
        woken = trio.Event()
        slot.wake = woken.set  # type: ignore[method-assign]

        async def watch(on_event: Callable[[Uevent | None], None]) -> None:
            async with trio.open_nursery() as inner:
                await inner.start(partial(watch_devices, on_event, opened))
                listening.set()

        nursery.start_soon(service.run, watch)
        await listening.wait()
        await trio.Path(CONSOLE).write_text("change")
        with trio.fail_after(5):
            await woken.wait()
        assert service.detail.startswith("kernel events")
        nursery.cancel_scope.cancel()
