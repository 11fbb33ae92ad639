"""The audit trail to a syslog receiver over TLS, in order, from where it stopped: RFC 5425, PS3.15 A.6.

Syslog has no answers. What was sent counts as arrived when the receiver's kernel has confirmed every octet; where the
connection breaks before, it is sent again, so that a message may come twice and none is left out on the way. Only a
receiver that dies with octets that it has confirmed and not read can lose them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio

from firmware_app.audit.chain import Entry
from firmware_app.audit.syslog import Sender, frame
from firmware_app.model import Event, EventLevel
from firmware_app.net.errors import NetworkError
from firmware_app.net.node import Node
from firmware_app.net.transport import Transport, bounded, connect, connection_lost
from firmware_app.progress import DISK_S, finished, idle, waiting, working
from firmware_app.records.audit_trail import AuditTrail
from firmware_app.records.errors import StorageFault
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.queue_task import IDLE_LOOK_S, DiskFaults, wake

BATCH = 100
CONFIRMED_LOOK_S = 0.05

T = TypeVar("T")


class AuditSending:
    """Without a `node` nothing is sent, and `run` returns at once."""

    def __init__(
        self,
        trail: AuditTrail,
        node: Node | None,
        source_address: str,
        sender: Sender,
        publish: Callable[[Event], None],
        policy: BackoffPolicy,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._trail = trail
        self._node = node
        self._source_address = source_address
        self._sender = sender
        self._publish = publish
        self._policy = policy
        self._chance = chance
        self._wake, self._woken = trio.open_memory_channel[None](1)
        self._disk = trio.CapacityLimiter(1)
        self._failures = 0
        self._disk_faults = DiskFaults("audit.paused", publish, chance)
        self.trouble = ""

    @property
    def detail(self) -> str:
        """For the status screen."""
        if self._node is None:
            return "the audit trail is kept here; no receiver is configured ([audit.syslog])"
        return f"the audit trail goes to {self._node.label}" + (f": {self.trouble}" if self.trouble else "")

    def wake(self) -> None:
        wake(self._wake)

    async def run(self) -> None:
        """Send until cancelled."""
        if self._node is None:
            finished(self.detail)
            return
        while True:
            wait_s = await self._send_what_is_there(self._node)
            with trio.move_on_after(wait_s), idle("something to send"):
                if self._failures:
                    await trio.sleep(wait_s)
                await self._woken.receive()

    async def _send_what_is_there(self, node: Node) -> float:
        try:
            if not await self._unsent():
                return IDLE_LOOK_S
            await self._hold_connection(node)
        except StorageFault as error:
            return self._disk_faults.pause_s(error, "sending the audit trail waits", node, self._policy)
        except NetworkError as error:
            return self._failed(node, error)
        return 0.0

    async def _hold_connection(self, node: Node) -> None:
        """Send until the connection breaks: a NetworkError; or until there has been nothing to send for a while."""
        transport = await connect(node, self._source_address)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear_the_end, transport, node)
                while True:
                    while entries := await self._unsent():
                        await self._send(transport, node, entries)
                    with trio.move_on_after(IDLE_LOOK_S) as patience, idle("something to send"):
                        await self._woken.receive()
                    if patience.cancelled_caught:
                        break
                nursery.cancel_scope.cancel()
        except* NetworkError as group:
            raise _first(group) from None
        finally:
            transport.close()

    async def _hear_the_end(self, transport: Transport, node: Node) -> None:
        """A receiver says nothing, but for the end of the connection."""
        try:
            while await transport.receive():
                pass
        except OSError as error:
            raise connection_lost(node.label, "sending the audit trail", error) from error
        raise connection_lost(node.label, "sending the audit trail", OSError("the receiver closed the connection"))

    async def _send(self, transport: Transport, node: Node, entries: list[Entry]) -> None:
        frames = b"".join(frame(self._sender, entry.at, entry.message) for entry in entries)
        try:
            await transport.send(frames)
        except OSError as error:
            raise connection_lost(node.label, "sending the audit trail", error) from error
        what = "confirmation of what was sent"
        with waiting(f"{node.label}: {what}"), bounded(node.label, what, node.timeouts.write_s):
            while transport.unconfirmed:  # noqa: ASYNC110 - the kernel tells it only to whoever asks
                await trio.sleep(CONFIRMED_LOOK_S)
        await self._call(partial(self._trail.keep_sent, entries[-1].number))
        self._succeeded(node, len(entries))

    async def _unsent(self) -> list[Entry]:
        """The next ones in order; that some have gone unsent, because the trail is full, is told."""
        found, dropped = await self._call(partial(unsent, self._trail))
        if dropped:
            text = f"{dropped} audit messages were dropped before they could be sent: audit.keep_mib is full"
            self._publish(Event("audit.dropped", text, {"dropped": dropped}, "alert"))
            await self._call(partial(self._trail.keep_sent, self._trail.first_number() - 1))
        return found

    async def _call(self, work: Callable[[], T]) -> T:
        with working("the disk of the audit trail", DISK_S):
            return await trio.to_thread.run_sync(work, limiter=self._disk)

    def _failed(self, node: Node, error: NetworkError) -> float:
        self._failures += 1
        delay_s = self._policy.delay_s(self._failures, self._chance)
        self.trouble = str(error)
        level: EventLevel = "warning" if self._failures == 1 else "debug"
        text = f"the audit trail waits {delay_s:.0f} s: {error}"
        self._publish(Event("audit.waiting", text, {"node": node.name}, level))
        return delay_s

    def _succeeded(self, node: Node, count: int) -> None:
        self._disk_faults.over()
        if self._failures:
            self._failures, self.trouble = 0, ""
            self._publish(Event("audit.sending", f"{node.label} takes the audit trail again", {"node": node.name}))
        self._publish(Event("audit.sent", f"{count} audit messages sent", {"node": node.name, "count": count}, "debug"))


def unsent(trail: AuditTrail) -> tuple[list[Entry], int]:
    """The next ones behind what was sent, and how many there were before them that have gone."""
    sent = trail.sent()
    dropped = max(0, trail.first_number() - 1 - sent)
    found = [entry for entry, _ in zip(trail.entries(sent), range(BATCH), strict=False)]
    return found, dropped


def _first(group: BaseExceptionGroup[NetworkError]) -> NetworkError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, NetworkError)
    return error
