"""Supervision of one device: find, open, identify, apply the profile, ready, lost, wait, again. One task per device.

The supervisor never chooses another device and never falls back to a simulator: what the configuration names is
opened, or the reason why not is shown until it is. Each step, each reason and each loss is told once, from the time
when the device was ready to the time when it is ready again; its repeats are only shown.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import trio

from firmware_app import progress
from firmware_app.model import Event, EventLevel
from firmware_app.progress import idle
from firmware_app.services.causes import in_one_line
from hw.abc import Identity
from hw.errors import DeviceError, Refused
from hw.opening import Step, told_of_steps

# Slow, because the kernel tells of new devices (services/hotplug.py); needed, because it may be forbidden to tell us.
REOPEN_FIRST_S = 0.5
REOPEN_MAX_S = 5.0
# The kernel tells of one plug with a handful of events within some ms, and a loose contact never stops telling.
WAKE_GAP_S = 0.1
TOLD_MAX = 16  # different reasons told of one loss; a reason with a number in it would never end


class DeviceState(StrEnum):
    FINDING = Step.FINDING
    OPENING = Step.OPENING
    IDENTIFYING = Step.IDENTIFYING
    APPLYING = Step.APPLYING
    READY = "ready"
    LOST = "lost"


class Device(Protocol):
    @property
    def identity(self) -> Identity: ...

    async def wait_lost(self) -> str: ...


DeviceT = TypeVar("DeviceT", bound=Device)


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """`detail` is who it is when it is ready, otherwise the last reason why not. `retry_in_s` is 0 unless lost."""

    name: str
    state: DeviceState
    since: str
    detail: str
    retry_in_s: float = 0.0

    @property
    def words(self) -> str:
        waiting = f"; next try in {self.retry_in_s:.1f} s" if self.retry_in_s else ""
        return f"{self.state} since {self.since}: {self.detail}{waiting}"


class DeviceSlot(Generic[DeviceT]):
    """Where the rest of the service finds a device: the open driver, or the reason why there is none."""

    def __init__(self, name: str, now: Callable[[], datetime]) -> None:
        self.name = name
        self._now = now
        self._device: DeviceT | None = None
        self._changed = trio.Event()
        self._woken = trio.Event()
        self._retry_at_s = 0.0
        self._reason = ""
        self._told: set[str] = set()
        self._state, self._detail = DeviceState.FINDING, "not looked for yet"
        self._since = now()
        self._lost: tuple[str, datetime] | None = None

    @property
    def status(self) -> DeviceStatus:
        since = self._since.isoformat(timespec="seconds")
        waits_s = max(0.0, self._retry_at_s - trio.current_time()) if self._state is DeviceState.LOST else 0.0
        return DeviceStatus(self.name, self._state, since, self._detail, round(waits_s, 1))

    @property
    def is_ready(self) -> bool:
        return self._device is not None

    def require(self) -> DeviceT:
        """The open driver. Raises `Refused` with the device's name and what it waits for."""
        if self._device is None:
            not_yet = "" if self._state is DeviceState.LOST else "not ready yet: "
            raise Refused(f"{self.name} is {not_yet}{self.status.words}")
        return self._device

    async def wait_ready(self) -> DeviceT:
        while self._device is None:
            await self._changed.wait()
        return self._device

    def wake(self) -> None:
        """Look for the device now, if it is waited for: something was plugged in."""
        self._woken.set()

    async def supervise(
        self,
        open_device: Callable[[], AbstractAsyncContextManager[DeviceT]],
        publish: Callable[[Event], None],
    ) -> None:
        """Keep the device open for ever; a missing device stops nobody else."""
        delay_s = REOPEN_FIRST_S
        while True:
            began_s, self._woken = trio.current_time(), trio.Event()
            if await self._hold_open(open_device, publish):
                delay_s = REOPEN_FIRST_S
            was_woken = await self._wait(began_s, delay_s)
            delay_s = REOPEN_FIRST_S if was_woken else min(2 * delay_s, REOPEN_MAX_S)

    async def _wait(self, began_s: float, delay_s: float) -> bool:
        """Until the next try. Returns whether it was a new device that ended the waiting."""
        self._retry_at_s = trio.current_time() + delay_s
        self._set(None, DeviceState.LOST, self._reason)
        with trio.move_on_after(delay_s), idle(f"the {self.name} to come"):
            await self._woken.wait()
            await trio.sleep_until(began_s + WAKE_GAP_S)
            return True
        return False

    async def _hold_open(
        self, open_device: Callable[[], AbstractAsyncContextManager[DeviceT]], publish: Callable[[Event], None]
    ) -> bool:
        """Until the device is lost. Returns whether it had been ready."""
        was_ready = False
        reason = ""
        try:
            with told_of_steps(lambda step: self._begin(step, publish)):
                async with open_device() as device:
                    was_ready = True
                    self._welcome(device, publish)
                    with idle(f"the {self.name} to be used or lost"):
                        reason = await device.wait_lost()
        except* DeviceError as group:
            reason = reason or in_one_line(group)  # what the device said first is the cause
        self._reason = reason
        self._tell_reason(reason, publish)
        return was_ready

    def _begin(self, step: Step, publish: Callable[[Event], None]) -> None:
        """An attempt goes on with this step; the reason why the last one failed stays in sight."""
        if self._device is not None:
            return
        progress.step()
        self._set(None, DeviceState(step), f"after: {self._reason}" if self._reason else "")
        if step not in self._told:
            self._told.add(step)
            publish(Event(f"{self.name}.{step.name.lower()}", f"{self.name}: {step}"))

    def _welcome(self, device: DeviceT, publish: Callable[[Event], None]) -> None:
        label, firmware = device.identity.label, device.identity.firmware
        self._told.clear()
        self._reason = ""
        self._set(device, DeviceState.READY, label)
        publish(Event(f"{self.name}.ready", f"{self.name} ready: {label} ({firmware})", {"label": label}))

    def _tell_reason(self, reason: str, publish: Callable[[Event], None]) -> None:
        """The first is the loss, and asks for somebody; what is found out later is only told."""
        is_first = "lost" not in self._told
        if not is_first and (f"lost: {reason}" in self._told or len(self._told) >= TOLD_MAX):
            return
        self._told |= {"lost", f"lost: {reason}"}
        kind, word = ("lost", "lost") if is_first else ("waiting", "still lost")
        level: EventLevel = "warning" if is_first else "info"
        publish(Event(f"{self.name}.{kind}", f"{self.name} {word}: {reason}", {"reason": reason}, level))

    def _set(self, device: DeviceT | None, state: DeviceState, detail: str) -> None:
        self._device = device
        if (state, detail) != (self._state, self._detail):
            self._state, self._detail, self._since = state, detail, self._now()
        if state is DeviceState.LOST:  # lost for the same reason all the time, whatever was tried in between
            self._lost = self._lost if self._lost and self._lost[0] == detail else (detail, self._since)
            self._since = self._lost[1]
        elif state is DeviceState.READY:
            self._lost = None
        self._changed.set()
        self._changed = trio.Event()
