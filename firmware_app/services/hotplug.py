"""Devices that come are opened at once: the kernel's hotplug events wake the slots that wait for a device.

Only a help. Every slot also looks by itself every few seconds, so that where netlink is forbidden a device is found a
little later and nothing else changes.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

import trio

from firmware_app.model import Event
from firmware_app.progress import finished, idle
from firmware_app.services.hardware import REOPEN_MAX_S
from hw.hotplug import NoHotplug, open_uevents, watch_devices
from hw.uevent import Uevent

SUBSYSTEMS = frozenset({"tty", "video4linux"})
ARRIVALS = frozenset({"add", "change", "move", "bind"})
Watch = Callable[[Callable[[Uevent | None], None]], Awaitable[None]]


class Waking(Protocol):
    def wake(self) -> None: ...


class HotplugService:
    """`handed_over` is the netlink socket that systemd has opened for us; without one it is opened here."""

    def __init__(
        self,
        slots: Sequence[Waking],
        publish: Callable[[Event], None],
        handed_over: socket.socket | None = None,
    ) -> None:
        self._slots = slots
        self._publish = publish
        open_socket = open_uevents if handed_over is None else partial(trio.socket.from_stdlib_socket, handed_over)
        self._watch: Watch = partial(watch_devices, open_socket=open_socket)
        self.detail = "not listening for devices yet"

    async def run(self, watch: Watch | None = None) -> None:
        """Until cancelled, or until nobody tells us of devices: then the slots' own looking has to do."""
        self.detail = f"kernel events, and a look every {REOPEN_MAX_S:g} s at the latest"
        try:
            with idle("devices to come"):
                await (watch or self._watch)(self._on_event)
        except NoHotplug as error:
            self.detail = f"no kernel events ({error}): only a look every {REOPEN_MAX_S:g} s at the latest"
            self._publish(Event("hotplug.missing", f"hotplug: {self.detail}", level="warning"))
            finished(self.detail)

    def _on_event(self, event: Uevent | None) -> None:
        """None: the kernel told more than could be taken in, so a device may have come."""
        if event is None or (event.subsystem in SUBSYSTEMS and event.action in ARRIVALS):
            for slot in self._slots:
                slot.wake()
