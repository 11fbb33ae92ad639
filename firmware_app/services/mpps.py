"""Performed procedure steps to one node: the durable queue's messages, strictly in order, one association at a time.

The queue is in the records, never in memory; an exam only records its messages there and wakes this task, so that an
information system that is down stops nobody. A message whose answer was lost is sent again, and the answer that the
step is so already then counts. What is refused for good is parked with the peer's reason, and with it the rest of its
step, which could only be refused too; other steps go on.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import trio

from firmware_app.model import Event, EventLevel
from firmware_app.net.association import Association, ContextPair, associate
from firmware_app.net.attributes import AttributesUnreadable, kept_attributes
from firmware_app.net.errors import NetworkError, NoUsableContext
from firmware_app.net.mpps import MPPS_CONTEXTS, StepAnswer, send_step
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.progress import finished, idle
from firmware_app.records.errors import StorageFault
from firmware_app.records.mpps import MessageState, MppsDelivery, OutgoingMpps
from firmware_app.records.store import Records
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.queue_task import IDLE_LOOK_S, DiskFaults, wake
from firmware_app.services.step_reports import SYNTAX


@dataclass(frozen=True, slots=True)
class MppsStatus:
    """For the status screen: what the task does or waits for, and what the last trouble was."""

    node: str  # empty: there is none
    doing: str
    trouble: str = ""  # why the last attempt failed, in words; empty when the node answers


class MppsService:
    """Without a `node` nothing is sent, `run` returns at once, and `why_not` says why."""

    def __init__(
        self,
        records: Records,
        node: Node | None,
        local: LocalApplicationEntity | None,
        publish: Callable[[Event], None],
        policy: BackoffPolicy,
        *,
        contexts: tuple[ContextPair, ...] = MPPS_CONTEXTS,
        why_not: str = "no mpps node is configured: mpps.ip_address, mpps.port and mpps.ae_title",
        chance: Callable[[], float] = random.random,
    ) -> None:
        if node is not None and local is None:
            raise ValueError("an MPPS node without the application entity that speaks to it")
        self._records = records
        self._node = node
        self._local = local
        self._publish = publish
        self._policy = policy
        self._contexts = contexts
        self._chance = chance
        self._wake, self._woken = trio.open_memory_channel[None](1)
        self._in_transfer: OutgoingMpps | None = None
        self._disk_faults = DiskFaults("mpps.paused", publish, chance)
        self.status = MppsStatus("", why_not) if node is None else MppsStatus(node.name, "starting")

    @property
    def node_name(self) -> str:
        return self._node.name if self._node else ""

    @property
    def detail(self) -> str:
        """One line for the status screen."""
        if self._node is None:
            return self.status.doing
        trouble = f": {self.status.trouble}" if self.status.trouble else ""
        return f"{self._node.label}, {self.status.doing}{trouble}"

    def wake(self) -> None:
        """Something was queued, or is to be tried now."""
        wake(self._wake)

    async def counts(self) -> dict[str, int]:
        """Messages by state: queued, sending, done, failed."""
        return {str(state): count for state, count in (await self._records.mpps.counts()).items()}

    async def run(self) -> None:
        """Send until cancelled. What was being sent is then queued again, with its outcome in doubt."""
        if self._node is None or self._local is None:
            finished(self.status.doing)
            return
        sender = self._node, self._local
        try:
            while True:
                with trio.move_on_after(await self._send_due(*sender)), idle(self.status.doing):
                    await self._woken.receive()
        finally:
            # A refusing disk is no reason to hide why we end: opening the records does the same again.
            with trio.CancelScope(shield=True), contextlib.suppress(StorageFault):
                await self._records.mpps.requeue_interrupted(self._node.name)

    async def _send_due(self, node: Node, local: LocalApplicationEntity) -> float:
        """Send what is due and return how long nothing will be."""
        try:
            await self._records.mpps.requeue_interrupted(node.name)
            while True:
                head = await self._head(node)
                wait_s = self._wait_s(head) if head else IDLE_LOOK_S
                if wait_s > 0:
                    self._disk_faults.over()
                    self._doing("waiting to try again" if head else "idle")
                    return wait_s
                self._doing("sending")
                await self._send_all_due(node, local)
        except StorageFault as error:
            self._doing(f"waiting for the disk: {error}")
            what_waits = f"performed procedure steps for {node.name} wait"
            return self._disk_faults.pause_s(error, what_waits, node, self._policy)

    async def _head(self, node: Node) -> OutgoingMpps | None:
        head, followers = await self._records.mpps.head(node.name)
        for parked in followers:
            text = "not sent until somebody decides"
            self._tell("mpps.failed", text, parked, "error", "the node has refused the N-CREATE of this step")
        return head

    def _wait_s(self, outgoing: OutgoingMpps) -> float:
        return self._policy.left_s(outgoing.wait_s)

    # ------------------------------------------------------------------------------------------- one association

    async def _send_all_due(self, node: Node, local: LocalApplicationEntity) -> None:
        self._in_transfer = None
        try:
            async with associate(node, local, self._contexts) as association:
                while association.usable and (head := await self._head(node)) and self._wait_s(head) == 0:
                    await self._send(association, head)
        except NoUsableContext as error:
            await self._park_due(node, str(error))
        except NetworkError as error:
            await self._broken_off(node, error)

    async def _send(self, association: Association, outgoing: OutgoingMpps) -> None:
        """One message, and what its answer means recorded; NetworkError where none came."""
        message = outgoing.message
        try:
            attributes = kept_attributes(message.attributes, SYNTAX)
        except AttributesUnreadable as error:
            await self._park(outgoing, None, f"the recorded message is damaged: {error}", level="alert")
            return
        await self._records.mpps.mark_sending(outgoing.place)
        self._in_transfer = outgoing
        answer = await send_step(
            association,
            message.operation,
            message.mpps_sop_instance_uid,
            attributes,
            in_doubt=outgoing.in_doubt,
        )
        # An answer that has arrived is recorded even if we are told to end now.
        with trio.CancelScope(shield=True):
            await self._settle(outgoing, answer)
        self._in_transfer = None

    async def _settle(self, outgoing: OutgoingMpps, answer: StepAnswer) -> None:
        if answer.category == "retry":
            await self._put_off(outgoing, answer.status, answer.reason)
            return
        self._recovered()
        if answer.category == "permanent":
            await self._park(outgoing, answer.status, answer.reason, level="error")
            return
        done = await self._records.mpps.mark_done(outgoing.place, answer.status, answer.reason)
        level: EventLevel = "info" if answer.category == "done" else "warning"
        self._tell("mpps.sent", f"reported to {done.node}", done, level)

    async def _broken_off(self, node: Node, error: NetworkError) -> None:
        """No association, or no answer on it: the head is tried again later, and all behind it wait."""
        if self._in_transfer is not None:
            await self._put_off(self._in_transfer, None, str(error), in_doubt=True)
        elif (head := await self._head(node)) and self._wait_s(head) == 0:
            await self._put_off(head, None, str(error))

    async def _park_due(self, node: Node, reason: str) -> None:
        while (head := await self._head(node)) and self._wait_s(head) == 0:
            await self._park(head, None, reason, level="error")

    async def _put_off(
        self, outgoing: OutgoingMpps, status: int | None, reason: str, *, in_doubt: bool = False
    ) -> None:
        delay_s = self._policy.delay_s(outgoing.attempts + 1, self._chance)
        due = self._records.now() + timedelta(seconds=delay_s)
        put_off = await self._records.mpps.mark_retry(outgoing.place, status, reason, due, in_doubt=in_doubt)
        level: EventLevel = "debug" if self.status.trouble else "warning"
        self.status = MppsStatus(self.node_name, self.status.doing, reason)
        text = f"not reported to {put_off.node}, next attempt in {delay_s:.0f} s"
        self._tell("mpps.retry", text, put_off, level, reason if status is None else "")

    async def _park(self, outgoing: OutgoingMpps, status: int | None, reason: str, *, level: EventLevel) -> None:
        parked = await self._records.mpps.mark_failed(outgoing.place, status, reason)
        text = f"refused by {parked.node}; not sent again until somebody decides"
        self._tell("mpps.failed", text, parked, level, reason if status is None else "")

    def _recovered(self) -> None:
        if self.status.trouble:
            self.status = MppsStatus(self.node_name, self.status.doing)
            text = f"{self.node_name} answers again"
            self._publish(Event("mpps.recovered", text, {"node": self.node_name}))

    def _doing(self, words: str) -> None:
        self.status = MppsStatus(self.node_name, words, self.status.trouble)

    def _tell(self, kind: str, text: str, message: MppsDelivery, level: EventLevel, reason: str = "") -> None:
        """`reason` is ours only: a peer's own comment may name the patient, and is shown but never logged."""
        if message.status is not None and message.state is not MessageState.DONE:
            reason = f"status {message.status:04X}"
        data: dict[str, object] = {
            "mpps_sop_instance_uid": message.mpps_sop_instance_uid,
            "exam_id": message.exam_id,
            "node": message.node,
            "operation": message.operation,
            "step_status": message.step_status,
            "status": message.status,
            "attempts": message.attempts,
            "next_attempt_at": message.next_attempt_at,
        }
        text = f"step {message.mpps_sop_instance_uid} {message.step_status} {text}"
        self._publish(Event(kind, text + (f": {reason}" if reason else ""), data, level))
