"""Supervision of one device: open, identify, ready, lost, back-off, open again. One task per device.

The supervisor never chooses another device and never falls back to a simulator: what the configuration names is
opened, or the reason why not is shown until it is. A new reason is told once; its repeats are not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import trio

from firmware_app.model import Event
from firmware_app.services.causes import in_one_line
from hw.abc import Identity
from hw.errors import DeviceError, Refused

# A replugged USB device needs 1-3 s until its node is back; polling faster only fills the log.
REOPEN_FIRST_S = 0.5
REOPEN_MAX_S = 5.0


class DeviceState(StrEnum):
    OPENING = "opening"
    READY = "ready"
    LOST = "lost"


class Device(Protocol):
    @property
    def identity(self) -> Identity: ...

    async def wait_lost(self) -> str: ...


DeviceT = TypeVar("DeviceT", bound=Device)


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    name: str
    state: DeviceState
    since: str
    detail: str


class DeviceSlot(Generic[DeviceT]):
    """Where the rest of the service finds a device: the open driver, or the reason why there is none."""

    def __init__(self, name: str, now: Callable[[], datetime]) -> None:
        self.name = name
        self._now = now
        self._device: DeviceT | None = None
        self._changed = trio.Event()
        self.status = DeviceStatus(name, DeviceState.OPENING, now().isoformat(timespec="seconds"), "not opened yet")

    def require(self) -> DeviceT:
        """The open driver. Raises `Refused` with the device's name and what it waits for."""
        if self._device is None:
            raise Refused(f"{self.name} is {self.status.state} since {self.status.since}: {self.status.detail}")
        return self._device

    async def wait_ready(self) -> DeviceT:
        while self._device is None:
            await self._changed.wait()
        return self._device

    async def supervise(
        self,
        open_device: Callable[[], AbstractAsyncContextManager[DeviceT]],
        publish: Callable[[Event], None],
    ) -> None:
        """Keep the device open for ever; a missing device stops nobody else."""
        delay_s = REOPEN_FIRST_S
        told = ""
        while True:
            reason, was_ready = await self._hold_open(open_device, publish)
            if was_ready:
                delay_s, told = REOPEN_FIRST_S, ""
            self._set(None, DeviceState.LOST, reason)
            if reason != told:
                publish(Event(f"{self.name}.lost", f"{self.name} lost: {reason}", {"reason": reason}, "warning"))
                told = reason
            await trio.sleep(delay_s)
            delay_s = min(2 * delay_s, REOPEN_MAX_S)

    async def _hold_open(
        self, open_device: Callable[[], AbstractAsyncContextManager[DeviceT]], publish: Callable[[Event], None]
    ) -> tuple[str, bool]:
        """Until the device is lost. Returns why, and whether it had been ready."""
        was_ready = False
        reason = ""
        try:
            async with open_device() as device:
                was_ready = True
                label, firmware = device.identity.label, device.identity.firmware
                self._set(device, DeviceState.READY, label)
                publish(Event(f"{self.name}.ready", f"{self.name} ready: {label} ({firmware})", {"label": label}))
                reason = await device.wait_lost()
        except* DeviceError as group:
            reason = reason or in_one_line(group)  # what the device said first is the cause
        return reason, was_ready

    def _set(self, device: DeviceT | None, state: DeviceState, detail: str) -> None:
        self._device = device
        if (state, detail) != (self.status.state, self.status.detail):
            self.status = DeviceStatus(self.name, state, self._now().isoformat(timespec="seconds"), detail)
        self._changed.set()
        self._changed = trio.Event()
