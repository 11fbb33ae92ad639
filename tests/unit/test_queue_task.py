from __future__ import annotations

from pathlib import Path

import trio

from firmware_app.model import Event
from firmware_app.net.node import Node
from firmware_app.records.errors import StorageFault
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.queue_task import DiskFaults, wake

ARCHIVE = Node("archive", "127.0.0.1", 104, "ARCHIVE")
POLICY = BackoffPolicy(first_s=2.0, max_s=300.0)
FULL = StorageFault(Path("records.sqlite3"), "database or disk is full")


def test_a_disk_that_works_again_begins_anew() -> None:
    told: list[Event] = []
    faults = DiskFaults("delivery.paused", told.append, lambda: 0.0)
    pauses = [faults.pause_s(FULL, "delivery waits", ARCHIVE, POLICY) for _ in range(3)]
    faults.over()
    pauses.append(faults.pause_s(FULL, "delivery waits", ARCHIVE, POLICY))
    assert pauses == [2.0, 4.0, 8.0, 2.0]
    assert [event.level for event in told] == ["warning", "debug", "debug", "warning"]
    assert told[1].kind == "delivery.paused" and told[1].data == {"node": "archive"}
    assert told[1].text == f"delivery waits 4 s: {FULL}"


def test_a_recorded_wait_is_never_longer_than_the_longest_delay() -> None:
    assert [POLICY.left_s(wait_s) for wait_s in (0.0, 1.5, 300.0, 300.1, 3e7)] == [0.0, 1.5, 300.0, 0.0, 0.0]


async def test_wake_ups_that_nobody_took_are_one() -> None:
    sender, receiver = trio.open_memory_channel[None](1)
    for _ in range(3):
        wake(sender)
    assert receiver.statistics().current_buffer_used == 1
