"""The event bus: publishing never waits, a slow subscriber loses the oldest and is told how many."""

from __future__ import annotations

import trio
import trio.testing

from firmware_app.model import Event
from firmware_app.services.events import EventBus


def event(number: int) -> Event:
    return Event("test.event", str(number))


async def test_every_subscriber_gets_every_event_from_its_start_on() -> None:
    bus = EventBus()
    bus.publish(event(0))
    with bus.subscribe() as one, bus.subscribe() as two:
        for number in (1, 2):
            bus.publish(event(number))
        assert [(await one.receive()).text, (await one.receive()).text] == ["1", "2"]
        assert (await two.receive()).text == "1"


async def test_a_slow_subscriber_keeps_the_newest_and_knows_how_many_it_missed() -> None:
    bus = EventBus(capacity=3)
    with bus.subscribe() as slow, bus.subscribe() as quick:
        for number in range(5):
            bus.publish(event(number))
            await quick.receive()
        assert quick.take_missed() == 0
        assert (await slow.receive()).text == "2"
        assert slow.take_missed() == 2
        assert slow.take_missed() == 0
        assert (await slow.receive()).text == "3"
        assert slow.take_missed() == 0


async def test_receiving_waits_and_can_be_iterated() -> None:
    bus = EventBus()
    seen: list[Event] = []

    async def listen(task_status: trio.TaskStatus[None]) -> None:
        with bus.subscribe() as subscription:
            task_status.started()
            async for each in subscription:
                seen.append(each)  # noqa: PERF401

    async with trio.open_nursery() as nursery:
        await nursery.start(listen)
        for number in range(3):
            bus.publish(event(number))
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert seen == [event(0), event(1), event(2)]


async def test_nothing_is_kept_for_who_has_gone() -> None:
    bus = EventBus(capacity=1)
    with bus.subscribe() as subscription:
        pass
    bus.publish(event(1))
    with trio.move_on_after(0) as waiting:
        await subscription.receive()
    assert waiting.cancelled_caught
