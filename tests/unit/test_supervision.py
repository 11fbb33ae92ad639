"""One supervised device through its life: missing, found, lost, found again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from firmware_app.model import Event
from firmware_app.services.hardware import REOPEN_FIRST_S, REOPEN_MAX_S, TOLD_MAX, WAKE_GAP_S, DeviceSlot, DeviceState
from hw.abc import Identity
from hw.errors import DeviceLost, Refused
from hw.opening import Step, opening_step


@dataclass
class Board:
    """A device that opens when it is plugged in and is lost when it is unplugged."""

    plugged: bool = False
    reason: str = "no such port: /dev/board"
    unplugged: trio.Event = field(default_factory=trio.Event)
    opened: int = 0
    tried: int = 0
    steps: tuple[Step, ...] = ()
    step_s: float = 0.0
    identity: Identity = field(default_factory=lambda: Identity("board:/dev/board", "1.1h", False))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Board]:
        self.tried += 1
        for step in self.steps:
            opening_step(step)
            await trio.sleep(self.step_s)
        if not self.plugged:
            raise DeviceLost(self.reason)
        self.opened += 1
        self.unplugged = trio.Event()
        yield self

    async def wait_lost(self) -> str:
        await self.unplugged.wait()
        return "hung up: /dev/board"

    def unplug(self, reason: str) -> None:
        self.plugged, self.reason = False, reason
        self.unplugged.set()


def make_slot() -> DeviceSlot[Board]:
    return DeviceSlot("board", lambda: datetime(2026, 1, 1, tzinfo=UTC))


async def test_missing_then_found_then_lost_then_found(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    board, slot, events = Board(), make_slot(), list[Event]()
    with pytest.raises(Refused, match="board is not ready yet: finding"):
        slot.require()
    nursery.start_soon(slot.supervise, board.open, events.append)
    await trio.sleep(60)
    with pytest.raises(Refused, match="no such port: /dev/board"):
        slot.require()
    assert [event.kind for event in events] == ["board.lost"], "a reason is told once, not at every attempt"

    board.plugged = True
    assert await slot.wait_ready() is board
    assert slot.status.state is DeviceState.READY
    assert slot.require() is board

    board.unplug("no such port: /dev/board")
    await trio.sleep(0.1)
    assert slot.status.state is DeviceState.LOST
    with pytest.raises(Refused, match="hung up: /dev/board"):
        slot.require()

    board.plugged = True
    with trio.fail_after(2 * REOPEN_MAX_S):
        await slot.wait_ready()
    assert board.opened == 2
    kinds = [event.kind for event in events]
    assert kinds == ["board.lost", "board.ready", "board.lost", "board.ready"]


async def test_a_bug_in_a_driver_is_not_a_lost_device(autojump_clock: trio.testing.MockClock) -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[Board]:
        raise KeyError("axis")
        yield Board()

    slot = make_slot()
    with pytest.raises(KeyError, match="axis"):
        await slot.supervise(broken, lambda event: None)


async def test_each_step_is_shown_and_told_once_until_the_device_was_ready(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    board, slot, events = Board(steps=tuple(Step), step_s=0.01), make_slot(), list[Event]()
    nursery.start_soon(slot.supervise, board.open, events.append)
    shown = []
    for _ in Step:
        await trio.sleep(0.005)
        shown.append(str(slot.status.state))
        await trio.sleep(0.005)
    assert shown == ["finding", "opening", "identifying", "applying the profile"]
    await trio.sleep(REOPEN_MAX_S * 5)
    assert board.tried > 3
    steps = ["board.finding", "board.opening", "board.identifying", "board.applying"]
    assert [event.kind for event in events] == [*steps, "board.lost"]
    board.plugged = True
    await slot.wait_ready()
    board.unplug("no such port: /dev/board")
    await trio.sleep(REOPEN_MAX_S * 5)
    kinds = [event.kind for event in events[5:]]
    assert kinds == ["board.ready", "board.lost", *steps, "board.waiting"], "one loss is one event"


async def test_while_it_waits_the_status_says_why_since_when_and_until_the_next_try(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    moments = iter(range(1000))
    board = Board(steps=(Step.FINDING,))
    slot: DeviceSlot[Board] = DeviceSlot("board", lambda: datetime(2026, 1, 1, 0, 0, next(moments) % 60, tzinfo=UTC))
    nursery.start_soon(slot.supervise, board.open, lambda event: None)
    await trio.sleep(0.1)
    first = slot.status
    assert (first.state, first.retry_in_s) == (DeviceState.LOST, pytest.approx(REOPEN_FIRST_S - 0.1))
    assert first.words.endswith("no such port: /dev/board; next try in 0.4 s")
    await trio.sleep(60)
    assert board.tried > 10
    assert (slot.status.detail, slot.status.since) == (first.detail, first.since), "lost since it was lost"


async def test_a_new_device_ends_the_waiting_at_once_and_a_storm_of_events_costs_little(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    board, slot = Board(), make_slot()
    nursery.start_soon(slot.supervise, board.open, lambda event: None)
    await trio.sleep(60.2)
    board.plugged = True
    waited_s = slot.status.retry_in_s
    assert waited_s > 0.5
    slot.wake()
    with trio.fail_after(0.01):
        await slot.wait_ready()

    board.unplug("loose contact")
    await trio.sleep(1)
    before = board.tried
    for _ in range(1000):
        slot.wake()
        await trio.sleep(0.001)
    assert 2 <= board.tried - before <= 1 / WAKE_GAP_S + 2


async def test_reasons_that_never_repeat_do_not_fill_the_log(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    board, slot, events = Board(), make_slot(), list[Event]()
    nursery.start_soon(slot.supervise, board.open, events.append)
    for number in range(100):
        board.reason = f"reason {number}"
        await trio.sleep(REOPEN_MAX_S)
    assert len(events) <= TOLD_MAX
    assert slot.status.detail == "reason 99"
