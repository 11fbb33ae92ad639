"""What the instrument says of its own health, on real records and a real console of parts."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from records_material import START, StandingClock

from firmware_app.model import Event
from firmware_app.progress import DISK_S, ProgressTable, finished, idle
from firmware_app.records.contacts import Contact
from firmware_app.records.store import open_records
from firmware_app.services import health_screen, kernel_clock, machine_facts
from firmware_app.services.contacts import KEEP_EVERY_S, NodeContacts
from firmware_app.services.events import EventBus
from firmware_app.services.hardware import DeviceState, DeviceStatus
from firmware_app.services.health import LoopLag, Watchdog
from firmware_app.services.health_report import HealthService, clock_health, disk_health
from firmware_app.services.worklist import WorklistStatus

STORED = Event("delivery.stored", "1.2.3 stored at storage", {"node": "storage"})
RETRY = Event("delivery.retry", "1.2.3 not stored: no answer within 30 s", {"node": "storage"}, "debug")
NODES = {"storage": "storage (ARCHIVE at 127.0.0.1:104)", "worklist": "worklist (RIS at 127.0.0.1:105)"}


def service_of(records: object, table: ProgressTable, bus: EventBus, contacts: NodeContacts, **other: object):
    known = {
        "devices": lambda: (DeviceStatus("stage", DeviceState.LOST, "2026-03-01T08:00:00+00:00", "no such file"),),
        "worklist": lambda: WorklistStatus((), "2026-03-01T08:59:00+00:00", "RIS: ('Doe^Jane')", "RIS: status A700"),
        "now": lambda: START,
    }
    watchdog = Watchdog(table, bus.publish)
    return HealthService(table, watchdog, LoopLag(), records, contacts, Path("/"), NODES, **(known | other))


async def test_each_part_with_what_it_waits_for_and_since_when(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    table, bus = ProgressTable(trio.current_time), EventBus()

    async def part(name: str, what: str) -> None:
        with table.part(name), idle(what):
            await trio.sleep_forever()

    async with open_records(tmp_path) as records:
        nursery.start_soon(part, "delivery", "the next attempt at storage")
        nursery.start_soon(part, "stage", "the stage to come")
        with table.part("print"):
            finished("no printer is configured")
        await trio.sleep(3725)
        health = await service_of(records, table, bus, NodeContacts(records.contacts, lambda: START)).read()
    parts = {each.name: each for each in health.parts}
    delivery = parts["delivery"]
    assert (delivery.doing, delivery.what, delivery.for_s) == ("idle", "the next attempt at storage", 3725.0)
    assert datetime.fromisoformat(delivery.since) == START - timedelta(seconds=3725)
    assert (parts["stage"].what, parts["stage"].since) == ("lost: no such file", "2026-03-01T08:00:00+00:00")
    assert (parts["print"].doing, parts["print"].what) == ("done", "no printer is configured")
    assert parts["records"].doing == "idle"
    assert health.well
    reply = health_screen.health(health)
    assert "1 h 2 min" in reply.text
    assert "every part gets on" in reply.text
    assert "Doe" not in reply.text + str(reply.data)  # a peer's own words may name a patient
    assert "RIS: status A700" in reply.text


async def test_a_dead_disk_is_shown_and_hangs_nobody_who_asks(
    tmp_path: Path, mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, released = threading.Event(), threading.Event()

    def stuck(*_: object) -> dict[str, int]:
        entered.set()
        assert released.wait(60)
        return {}

    table, bus = ProgressTable(trio.current_time), EventBus()

    async def part() -> None:
        with table.part("delivery"):
            await records.counts()
            finished("")

    async with open_records(tmp_path) as records, trio.open_nursery() as nursery:
        monkeypatch.setattr(records._queue, "counts", stuck)
        contacts = NodeContacts(records.contacts, lambda: START)
        nursery.start_soon(part)
        await trio.to_thread.run_sync(entered.wait)
        nursery.start_soon(records.counts)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(DISK_S + 1)
        health = await service_of(records, table, bus, contacts).read()
        parts = {each.name: each for each in health.parts}
        assert (parts["records"].doing, parts["records"].what) == ("hung", "the disk; 1 wait")
        assert not health.well
        assert "delivery hangs: the disk" in health.watchdog_withheld
        assert "NOT WELL: delivery hangs" in health_screen.health(health).text
        released.set()


async def test_what_is_known_of_a_node_outlives_a_restart(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    clock = StandingClock()
    for event, kept in (
        (STORED, Contact("storage", START.isoformat(), STORED.text)),
        (RETRY, Contact("storage", START.isoformat(), STORED.text, "2026-03-01T09:01:00+00:00", RETRY.text)),
    ):
        bus = EventBus()
        async with open_records(tmp_path) as records, trio.open_nursery() as nursery:
            contacts = NodeContacts(records.contacts, clock)
            with bus.subscribe() as events:
                nursery.start_soon(contacts.run, events)
                await trio.testing.wait_all_tasks_blocked(0.05)
                bus.publish(event)
                await trio.testing.wait_all_tasks_blocked(0.05)
                nursery.cancel_scope.cancel()
            clock.advance(60)
        async with open_records(tmp_path) as records:
            assert await records.contacts.all() == (kept,)


async def test_a_thousand_pictures_are_not_a_thousand_flushes(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    autojump_clock.autojump_threshold = 0.02  # the disk has a thread of its own
    written: list[object] = []
    bus = EventBus()
    async with open_records(tmp_path) as records, trio.open_nursery() as nursery:
        contacts = NodeContacts(records.contacts, lambda: START)
        keep = records.contacts._table.keep
        monkeypatch.setattr(records.contacts._table, "keep", lambda each: written.append(each) or keep(each))
        with bus.subscribe() as events:
            nursery.start_soon(contacts.run, events)
            for number in range(100):
                bus.publish(replace(STORED, text=f"{number} stored"))
                await trio.sleep(KEEP_EVERY_S / 50)
            await trio.sleep(2 * KEEP_EVERY_S)
            nursery.cancel_scope.cancel()
        assert contacts.all()["storage"].success == "99 stored"
    assert 1 <= len(written) <= 4


async def test_events_of_no_node_say_nothing(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        contacts = NodeContacts(records.contacts, lambda: START)
        contacts._learn(Event("delivery.stored", "without a node"))
        contacts._learn(Event("delivery.recovered", "storage answers again", {"node": "storage"}))
        assert contacts.all() == {}


async def test_the_disk(tmp_path: Path) -> None:
    disk = await disk_health(tmp_path)
    assert 0 < disk.free_bytes < disk.total_bytes
    assert 0 < disk.used_percent < 100
    assert (await disk_health(tmp_path / "nothing")).trouble == "No such file or directory"


def test_the_clock() -> None:
    def refuses() -> bool:
        raise PermissionError(1, "Operation not permitted")

    assert clock_health(START, lambda: False).synchronised is False
    assert clock_health(START, refuses).trouble == "Operation not permitted"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90061, "1 d 1 h"), (86400 * 30, "30 d 0 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert health_screen.duration(seconds) == words


def test_where_the_kernel_may_not_be_asked_the_time_client_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ProtectClock= forbids adjtimex(2), and systemd-timesyncd leaves a file."""
    mark = tmp_path / "synchronized"

    def refuses() -> bool:
        raise PermissionError(errno.EPERM, "adjtimex")

    monkeypatch.setattr(kernel_clock, "kernel_says", refuses)
    monkeypatch.setattr(kernel_clock, "SYNCHRONISED", mark)
    with pytest.raises(PermissionError):
        kernel_clock.is_synchronised()
    mark.touch()
    assert kernel_clock.is_synchronised()


def test_a_sandbox_that_shows_nothing_of_the_machine_leaves_gaps_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ProcSubset=pid: no /proc/loadavg, no /proc/meminfo."""

    def hidden(*_: object) -> Any:
        raise FileNotFoundError(errno.ENOENT, "/proc/loadavg")

    monkeypatch.setattr(os, "getloadavg", hidden)
    monkeypatch.setattr(machine_facts, "_lines", lambda path: [])
    found = machine_facts.machine()
    assert found["load"] is None and found["memory"] == {} and found["memory_bytes"] > 0 and found["up_s"] > 0
