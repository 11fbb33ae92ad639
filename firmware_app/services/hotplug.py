"""Devices that come are opened at once: the kernel's hotplug events wake the slots that wait for a device.

Only a help. Every slot also looks by itself every few seconds, so that where netlink is forbidden a device is found a
little later and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from firmware_app.model import Event
from firmware_app.progress import finished, idle
from firmware_app.services.hardware import REOPEN_MAX_S
from hw.hotplug import NoHotplug, watch_devices
from hw.uevent import Uevent

SUBSYSTEMS = frozenset({"tty", "video4linux"})
ARRIVALS = frozenset({"add", "change", "move", "bind"})


class Waking(Protocol):
    def wake(self) -> None: ...


class HotplugService:
    def __init__(self, slots: Sequence[Waking], publish: Callable[[Event], None]) -> None:
        self._slots = slots
        self._publish = publish
        self.detail = "not listening for devices yet"

    async def run(self, watch: Callable[[Callable[[Uevent | None], None]], Awaitable[None]] = watch_devices) -> None:
        """Until cancelled, or until nobody tells us of devices: then the slots' own looking has to do."""
        self.detail = f"kernel events, and a look every {REOPEN_MAX_S:g} s at the latest"
        try:
            with idle("devices to come"):
                await watch(self._on_event)
        except NoHotplug as error:
            self.detail = f"no kernel events ({error}): only a look every {REOPEN_MAX_S:g} s at the latest"
            self._publish(Event("hotplug.missing", f"hotplug: {self.detail}", level="warning"))
            finished(self.detail)

    def _on_event(self, event: Uevent | None) -> None:
        """None: the kernel told more than could be taken in, so a device may have come."""
        if event is None or (event.subsystem in SUBSYSTEMS and event.action in ARRIVALS):
            for slot in self._slots:
                slot.wake()
