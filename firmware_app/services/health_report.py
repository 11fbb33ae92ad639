"""The health of the instrument at one moment: each part, what it waits for and since when, and what it stands on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import trio

from firmware_app.progress import DISK_S, PartState, ProgressTable, working
from firmware_app.records.contacts import Contact
from firmware_app.records.store import Records
from firmware_app.services.contacts import NodeContacts
from firmware_app.services.hardware import DeviceStatus
from firmware_app.services.health import LoopLag, Watchdog
from firmware_app.services.kernel_clock import is_synchronised
from firmware_app.services.last_update import last_update
from firmware_app.services.worklist import WorklistStatus


@dataclass(frozen=True, slots=True)
class PartHealth:
    """`doing` is idle, working, hung, done (nothing to do, as `what` says) or died; `since` is local time, ISO 8601."""

    name: str
    doing: str
    what: str
    since: str
    for_s: float
    steps: int  # grow as it gets on


@dataclass(frozen=True, slots=True)
class DiskHealth:
    """Of the file system that the state folder is on. `trouble` says why nothing is known of it."""

    path: str
    total_bytes: int = 0
    free_bytes: int = 0
    used_percent: float = 0.0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ClockHealth:
    """`synchronised` None: the kernel does not tell, and `trouble` says why."""

    now: str
    synchronised: bool | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """What is known of a configured node; the times are empty where it never happened."""

    node: str
    address: str
    succeeded_at: str
    success: str
    failed_at: str
    failure: str


@dataclass(frozen=True, slots=True)
class Health:
    at: str
    well: bool  # nothing hangs or has died, and the watchdog is told so
    watchdog_withheld: str
    parts: tuple[PartHealth, ...]
    loop_lag_ms: float
    recent_loop_lag_ms: float
    disk: DiskHealth
    clock: ClockHealth
    worklist_refreshed_at: str
    worklist_error: str
    nodes: tuple[NodeHealth, ...]
    last_update: str = ""  # what became of it, on the device image


class HealthService:
    def __init__(
        self,
        table: ProgressTable,
        watchdog: Watchdog,
        lag: LoopLag,
        records: Records,
        contacts: NodeContacts,
        state_dir: Path,
        nodes: Mapping[str, str],
        devices: Callable[[], tuple[DeviceStatus, ...]],
        worklist: Callable[[], WorklistStatus],
        now: Callable[[], datetime],
    ) -> None:
        self._table = table
        self._watchdog = watchdog
        self._lag = lag
        self._records = records
        self._contacts = contacts
        self._state_dir = state_dir
        self._nodes = nodes
        self._devices = devices
        self._worklist = worklist
        self._now = now

    async def read(self) -> Health:
        """Asks nobody outside; never raises, even with a dead disk: what is not known says why."""
        now, worklist = self._now(), self._worklist()
        self._watchdog.look()
        return Health(
            at=now.isoformat(timespec="seconds"),
            well=not self._watchdog.withheld,
            watchdog_withheld=self._watchdog.withheld,
            parts=tuple(self._part(state, now) for state in (*self._table.states(), self._records_state())),
            loop_lag_ms=round(self._lag.worst_s * 1e3, 2),
            recent_loop_lag_ms=round(self._lag.recent_worst_s() * 1e3, 2),
            disk=await disk_health(self._state_dir),
            clock=clock_health(now),
            worklist_refreshed_at=worklist.refreshed_at,
            worklist_error=worklist.error_for_log,
            nodes=tuple(self._node(name, address) for name, address in self._nodes.items()),
            last_update=last_update(),
        )

    def _part(self, state: PartState, now: datetime) -> PartHealth:
        device = next((each for each in self._devices() if each.name == state.name), None)
        if device is not None and not state.is_trouble:
            # When the device became so, not when the task began to wait for it once more.
            since = datetime.fromisoformat(device.since)
            for_s = max(0.0, (now - since).total_seconds())
            what = f"{device.state}: {device.detail}" if device.detail else str(device.state)
            return PartHealth(state.name, state.doing, what, device.since, round(for_s, 1), state.steps)
        since_text = (now - timedelta(seconds=state.for_s)).isoformat(timespec="seconds")
        return PartHealth(state.name, state.doing, state.what, since_text, round(state.for_s, 1), state.steps)

    def _records_state(self) -> PartState:
        turn, disk = self._records.turn, self._records.disk
        if turn.working_since_s is None:
            what = "work" if disk.fault is None else f"the disk: it {disk.detail}"
            return PartState("records", "idle", what, trio.current_time() - turn.idle_since_s, turn.count)
        for_s = trio.current_time() - turn.working_since_s
        what = f"the disk; {turn.waiting} wait" if turn.waiting else "the disk"
        return PartState("records", "hung" if for_s > DISK_S else "working", what, for_s, turn.count, DISK_S)

    def _node(self, name: str, address: str) -> NodeHealth:
        known = self._contacts.all().get(name, Contact(name))
        return NodeHealth(name, address, known.succeeded_at, known.success, known.failed_at, known.failure)


async def disk_health(folder: Path, limit_s: float = 2.0) -> DiskHealth:
    """A dead disk answers nothing, and must not stop whoever asks about it."""
    with trio.move_on_after(limit_s), working("the size of the disk"):
        try:
            found = await trio.to_thread.run_sync(os.statvfs, folder, abandon_on_cancel=True, limiter=_ASKING_DISKS)
        except OSError as error:
            return DiskHealth(str(folder), trouble=error.strerror or str(error))
        total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        return DiskHealth(str(folder), total, free, round(100 * (1 - free / total), 1) if total else 0.0)
    return DiskHealth(str(folder), trouble=f"no answer within {limit_s:g} s")


# Threads that a dead disk may keep for ever: one, and whoever asks next gets no answer either.
_ASKING_DISKS = trio.CapacityLimiter(1)


def clock_health(now: datetime, ask: Callable[[], bool] = is_synchronised) -> ClockHealth:
    at = now.isoformat(timespec="seconds")
    try:
        return ClockHealth(at, ask())
    except OSError as error:
        return ClockHealth(at, None, error.strerror or str(error))
