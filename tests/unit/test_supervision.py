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
from firmware_app.services.hardware import REOPEN_MAX_S, DeviceSlot, DeviceState
from hw.abc import Identity
from hw.errors import DeviceLost, Refused


@dataclass
class Board:
    """A device that opens when it is plugged in and is lost when it is unplugged."""

    plugged: bool = False
    reason: str = "no such port: /dev/board"
    unplugged: trio.Event = field(default_factory=trio.Event)
    opened: int = 0
    identity: Identity = field(default_factory=lambda: Identity("board:/dev/board", "1.1h", False))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Board]:
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
    with pytest.raises(Refused, match="board is opening"):
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
