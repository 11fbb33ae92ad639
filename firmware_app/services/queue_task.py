"""What the tasks of the durable queues have in common: delivery, MPPS, commitment and print."""

from __future__ import annotations

from collections.abc import Callable

import trio

from firmware_app.model import Event, EventLevel
from firmware_app.net.node import Node
from firmware_app.records.errors import StorageFault
from firmware_app.services.backoff import BackoffPolicy

# Looked at without a wake-up, for the case that the wall clock was set: nobody wakes us for that.
IDLE_LOOK_S = 300.0


def wake(channel: trio.MemorySendChannel[None]) -> None:
    """Coalesced: a wake-up that is already waiting is enough."""
    try:
        channel.send_nowait(None)
    except trio.WouldBlock:
        return


class DiskFaults:
    """A disk that refuses pauses the task, longer each time; only the first refusal is a warning."""

    def __init__(self, kind: str, publish: Callable[[Event], None], chance: Callable[[], float]) -> None:
        self._kind = kind
        self._publish = publish
        self._chance = chance
        self._count = 0

    def pause_s(self, error: StorageFault, what_waits: str, node: Node, policy: BackoffPolicy) -> float:
        """How long to do nothing, which is told."""
        self._count += 1
        delay_s = policy.delay_s(self._count, self._chance)
        level: EventLevel = "warning" if self._count == 1 else "debug"
        self._publish(Event(self._kind, f"{what_waits} {delay_s:.0f} s: {error}", {"node": node.name}, level))
        return delay_s

    def over(self) -> None:
        self._count = 0
