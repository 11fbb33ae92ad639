"""The kernel's own word that a device came or went: uevents on a netlink socket, without udev and without root."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final

import trio

from hw.uevent import DATAGRAM_MAX_BYTES, Uevent, parse_uevent

NETLINK_KOBJECT_UEVENT: Final = 15
KERNEL_GROUP: Final = 1  # 2 is udevd's, which not every machine has


class NoHotplug(Exception):
    """Nobody tells us of devices; the text says why. Whoever wants one has to look again and again."""


def open_uevents() -> trio.socket.SocketType:
    """The socket, bound. `NoHotplug` where the kernel has none or a sandbox (RestrictAddressFamilies) forbids it."""
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_KOBJECT_UEVENT)
    except OSError as error:
        raise NoHotplug(f"no netlink socket: {error.strerror or error}") from error
    try:
        opened.bind((0, KERNEL_GROUP))
    except OSError as error:
        opened.close()
        raise NoHotplug(f"the netlink socket hears no kernel: {error.strerror or error}") from error
    return trio.socket.from_stdlib_socket(opened)


async def watch_devices(
    on_event: Callable[[Uevent | None], None],
    open_socket: Callable[[], trio.socket.SocketType] = open_uevents,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Tell every event of the kernel; None means that some were lost, so anything may have happened.

    Runs until cancelled. `NoHotplug` where there is no such socket or it fails.
    """
    with open_socket() as opened:
        try:
            task_status.started()
            while True:
                await _receive(opened, on_event)
        except OSError as error:
            raise NoHotplug(f"the netlink socket failed: {error.strerror or error}") from error


async def _receive(opened: trio.socket.SocketType, on_event: Callable[[Uevent | None], None]) -> None:
    try:
        datagram, sender = await opened.recvfrom(DATAGRAM_MAX_BYTES)
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise
        on_event(None)  # more came than the socket holds
        return
    # Anybody on this machine may send to our port; what has no sender's port is the kernel's (netlink(7)).
    if opened.family == socket.AF_NETLINK and sender[0] != 0:
        return
    event = parse_uevent(datagram)
    if event is not None:
        on_event(event)
