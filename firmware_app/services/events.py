"""What happens in the instrument, told to whoever listens: console, panel, log. Telling never waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import trio

from firmware_app.model import Event

# Half a minute of a busy exam; a subscriber that is behind by more is not watching.
EVENTS_PER_SUBSCRIBER = 256


class Subscription:
    """The events of one subscriber, oldest first. When it is full the oldest is dropped and counted.

    One task receives. `take_missed()` right after `receive()` says how many were lost just before that event.
    """

    def __init__(self, capacity: int, patient_data: bool) -> None:
        self._patient_data = patient_data
        self._events: deque[Event] = deque(maxlen=capacity)
        self._missed = 0
        self._arrived = trio.Event()

    def put(self, event: Event) -> None:
        if len(self._events) == self._events.maxlen:
            self._missed += 1
        self._events.append(event if self._patient_data or not event.patient else replace(event, patient={}))
        self._arrived.set()

    async def receive(self) -> Event:
        """The next event; waits until there is one."""
        await trio.lowlevel.checkpoint()
        while not self._events:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._events.popleft()

    def take_at_once(self) -> Event | None:
        """What has come already, without waiting."""
        return self._events.popleft() if self._events else None

    def __len__(self) -> int:
        """How many have come and not been taken."""
        return len(self._events)

    def take_missed(self) -> int:
        missed, self._missed = self._missed, 0
        return missed

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        return await self.receive()


class EventBus:
    """`publish` from anywhere in the event loop, `subscribe` for as long as one listens."""

    def __init__(self, capacity: int = EVENTS_PER_SUBSCRIBER) -> None:
        self._capacity = capacity
        self._subscriptions: set[Subscription] = set()

    def publish(self, event: Event) -> None:
        """Hand the event to every subscriber. Never blocks, never fails because of a slow one."""
        for subscription in self._subscriptions:
            subscription.put(event)

    @contextmanager
    def subscribe(self, capacity: int = 0, *, patient_data: bool = False) -> Iterator[Subscription]:
        """Every event published from now on until the scope is left; `Event.patient` only for whoever says so."""
        subscription = Subscription(capacity or self._capacity, patient_data)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)
