"""Delivery to one node: the durable queue's instances, in order, over one association at a time.

The queue is in the records, never in memory; this task only decides when to try and what an answer means. An instance
that has been sent but whose answer was lost is sent again under the same SOP Instance UID, so that the archive has it
once. Refusals by status and broken connections are tried again without end; a permanent refusal parks the instance
with its reason until somebody decides. What somebody holds or sends elsewhere meanwhile is left out of what is under
way: an instance is sent only if the queue still says, right before, that it is to be.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import timedelta

import trio

from firmware_app.model import Delivery, Event, EventLevel
from firmware_app.net.association import ContextPair, associate
from firmware_app.net.errors import NetworkError, NoUsableContext
from firmware_app.net.instance_file import InstanceFile, InstanceUnreadable, read_instance_file
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.net.storage import (
    Decompress,
    StoreResult,
    not_proposed,
    proposal,
    store_in_order,
)
from firmware_app.progress import idle
from firmware_app.records.errors import FileDamaged, StorageFault, UnknownRecord, WrongState
from firmware_app.records.queue import Outgoing
from firmware_app.records.store import Records
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.queue_task import IDLE_LOOK_S, DiskFaults
from firmware_app.services.standing import moved

# Checksums of a batch are verified before its association is opened; 32 images are read in under 0.2 s, and an
# archive that closes the study at the release of the association sees an exam in one piece.
BATCH = 32
SOMETHING_TO_SEND = "something to send"

# PS3.7 annex C.5.7. After an attempt whose answer was lost it is that answer: the archive has the instance.
DUPLICATE_SOP_INSTANCE = 0x0111

Store = Callable[[Node, LocalApplicationEntity, Sequence[InstanceFile]], AsyncGenerator[StoreResult, None]]


def nothing() -> None:
    pass


class SendFailed(Exception):
    """The association could not be had, or was lost `in_transfer`."""

    def __init__(self, cause: NetworkError, *, in_transfer: bool) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.in_transfer = in_transfer


async def send_in_order(
    node: Node,
    local_ae: LocalApplicationEntity,
    files: Sequence[InstanceFile],
    contexts: Sequence[ContextPair],
    decompress: Decompress | None = None,
) -> AsyncGenerator[StoreResult, None]:
    """One association, a result for each file as it is known. `SendFailed`, or `InstanceUnreadable` of the next file.

    `storage.store` would hand out a broken association as results; here its reason decides what happens to the queue.
    """
    count, proposed = proposal(files, contexts)
    going = files[:count]
    if not proposed:
        for file in going:
            yield StoreResult(file.sop_instance_uid, None, "permanent", not_proposed(file))
        return
    in_transfer = False
    try:
        async with (
            associate(node, local_ae, proposed) as association,
            contextlib.aclosing(store_in_order(association, going, decompress)) as results,
        ):
            in_transfer = True
            async for result in results:
                yield result
    except NetworkError as error:
        raise SendFailed(error, in_transfer=in_transfer) from error


async def run_delivery(
    records: Records,
    node: Node,
    local_ae: LocalApplicationEntity,
    wake: trio.MemoryReceiveChannel[None],
    publish: Callable[[Event], None],
    policy: BackoffPolicy,
    *,
    store: Store,
    on_settled: Callable[[], None] = nothing,
    chance: Callable[[], float] = random.random,
) -> None:
    """Deliver until cancelled or until `wake` is closed. What was being sent is then queued again.

    `store` is `send_in_order` with what the profile declares. `on_settled` is called when an instance has been recorded
    as stored, or as failed for good: commitment is asked for then.
    """
    delivery = NodeDelivery(records, node, local_ae, publish, policy, store, on_settled, chance)
    try:
        while True:
            with trio.move_on_after(await delivery.deliver_due()), idle(delivery.what_it_waits_for):
                await wake.receive()
    except trio.EndOfChannel:
        return
    finally:
        # A refusing disk is no reason to hide why we end: opening the records does the same again.
        with trio.CancelScope(shield=True), contextlib.suppress(StorageFault):
            await records.requeue_interrupted(node.name)


class NodeDelivery:
    def __init__(
        self,
        records: Records,
        node: Node,
        local_ae: LocalApplicationEntity,
        publish: Callable[[Event], None],
        policy: BackoffPolicy,
        store: Store,
        on_settled: Callable[[], None],
        chance: Callable[[], float],
    ) -> None:
        self._records = records
        self._node = node
        self._local_ae = local_ae
        self._publish = publish
        self._policy = policy
        self._store = store
        self._on_settled = on_settled
        self._chance = chance
        self._in_trouble = False
        self._disk_faults = DiskFaults("delivery.paused", publish, chance)
        self._broken_off: dict[str, int] = {}
        self.what_it_waits_for = SOMETHING_TO_SEND

    async def deliver_due(self) -> float:
        """Send what is due and return how long nothing will be."""
        try:
            await self._records.requeue_interrupted(self._node.name)
            while True:
                queue = await self._records.next_due(self._node.name, limit=BATCH)
                wait_s = self._wait_s(queue[0]) if queue else IDLE_LOOK_S
                if wait_s > 0:
                    self._disk_faults.over()
                    self.what_it_waits_for = f"the next attempt at {self._node.name}" if queue else SOMETHING_TO_SEND
                    return wait_s
                await self._send(list(itertools.takewhile(lambda outgoing: self._wait_s(outgoing) == 0, queue)))
        except StorageFault as error:
            self.what_it_waits_for = "the disk, which refuses"
            return self._disk_faults.pause_s(error, f"delivery to {self._node.name} waits", self._node, self._policy)

    def _wait_s(self, outgoing: Outgoing) -> float:
        return self._policy.left_s(outgoing.wait_s)

    # ------------------------------------------------------------------------------------------- one association

    async def _send(self, due: list[Outgoing]) -> None:
        waiting: deque[Outgoing] = deque()
        files: list[InstanceFile] = []
        for outgoing in due:
            file = await self._checked_file(outgoing)
            if file is not None:
                waiting.append(outgoing)
                files.append(file)
        if not await self._mark_first_sending(waiting):
            return
        self._begin(waiting)
        try:
            async with contextlib.aclosing(self._store(self._node, self._local_ae, files)) as results:
                async for result in results:
                    # An answer that has arrived is recorded even if we are told to end now.
                    with trio.CancelScope(shield=True):
                        if not await self._settle(waiting.popleft(), result, waiting):
                            return
            await self._records.requeue_interrupted(self._node.name)
        except InstanceUnreadable as error:
            await self._park(waiting[0], None, str(error), level="alert")
        except SendFailed as error:
            await self._send_failed(waiting, error)

    async def _checked_file(self, outgoing: Outgoing) -> InstanceFile | None:
        try:
            await self._records.verify_object(outgoing.sop_instance_uid)
            return await trio.to_thread.run_sync(read_instance_file, outgoing.path)
        except (FileDamaged, InstanceUnreadable) as error:
            await self._park(outgoing, None, str(error), level="alert")
            return None

    async def _mark_first_sending(self, waiting: deque[Outgoing]) -> bool:
        """False where there is none, or somebody has held it or sent it elsewhere since we looked."""
        if not waiting:
            return False
        try:
            delivery = await self._records.mark_sending(waiting[0].sop_instance_uid, self._node.name)
        except (WrongState, UnknownRecord):
            return False
        self._tell_sending(delivery)
        return True

    def _tell_sending(self, delivery: Delivery) -> None:
        self._publish(moved("delivery.sending", delivery, "debug" if self._in_trouble else "info"))

    def _begin(self, waiting: deque[Outgoing]) -> None:
        uids = [outgoing.sop_instance_uid for outgoing in waiting]
        text = f"{len(uids)} instances are going to {self._node.name}"
        self._publish(Event("delivery.begun", text, {"node": self._node.name, "instances": uids}, "debug"))

    async def _send_failed(self, waiting: deque[Outgoing], error: SendFailed) -> None:
        if isinstance(error.cause, NoUsableContext):
            for outgoing in waiting:
                await self._park(outgoing, None, str(error), level="error")
        else:
            await self._put_off(waiting[0], None, str(error), in_transfer=error.in_transfer)

    # ------------------------------------------------------------------------------------------- what answers mean

    async def _settle(self, outgoing: Outgoing, result: StoreResult, waiting: deque[Outgoing]) -> bool:
        """Record one answer and that the first of `waiting` is being sent now, if any.

        False where the association should end: because the like would follow, or that one is no longer to be sent.
        """
        category = result.category
        if result.status == DUPLICATE_SOP_INSTANCE and outgoing.attempts > 0:
            category = "warning"
        if category == "retry":
            await self._put_off(outgoing, result.status, result.reason, in_transfer=True)
            return False
        self._recovered()
        if category == "permanent":
            await self._park(outgoing, result.status, result.reason, level="error")
            return not waiting or await self._mark_first_sending(waiting)
        self._broken_off.pop(outgoing.sop_instance_uid, None)
        delivery, following = await self._stored(outgoing, result, waiting[0].sop_instance_uid if waiting else "")
        self._publish(moved("delivery.stored", delivery, "info" if category == "stored" else "warning"))
        if following is not None:
            self._tell_sending(following)
        self._on_settled()
        return not waiting or following is not None

    async def _stored(
        self, outgoing: Outgoing, result: StoreResult, following: str
    ) -> tuple[Delivery, Delivery | None]:
        uid, node = outgoing.sop_instance_uid, self._node.name
        status = 0 if result.status is None else result.status
        if following:
            return await self._records.mark_stored_and_next(uid, following, node, status, result.reason)
        return await self._records.mark_stored(uid, node, status, result.reason), None

    async def _put_off(self, outgoing: Outgoing, status: int | None, reason: str, *, in_transfer: bool) -> None:
        uid = outgoing.sop_instance_uid
        if in_transfer:
            self._broken_off[uid] = self._broken_off.get(uid, 0) + 1
        step_aside = self._broken_off.get(uid, 0) >= self._policy.step_aside_after
        if step_aside:
            del self._broken_off[uid]
        delay_s = self._policy.delay_s(outgoing.attempts + 1, self._chance)
        due = self._records.now() + timedelta(seconds=delay_s)
        delivery = await self._records.mark_retry(uid, self._node.name, status, reason, due, step_aside=step_aside)
        level: EventLevel = "debug" if self._in_trouble else "warning"
        self._in_trouble = True
        self._publish(moved("delivery.retry", delivery, level))

    async def _park(self, outgoing: Outgoing, status: int | None, reason: str, *, level: EventLevel) -> None:
        self._broken_off.pop(outgoing.sop_instance_uid, None)
        try:
            delivery = await self._records.mark_failed(outgoing.sop_instance_uid, self._node.name, status, reason)
        except (WrongState, UnknownRecord):  # somebody has held it or sent it elsewhere since we looked
            return
        self._publish(moved("delivery.failed", delivery, level))
        self._on_settled()

    def _recovered(self) -> None:
        if self._in_trouble:
            self._in_trouble = False
            text = f"{self._node.name} answers again"
            self._publish(Event("delivery.recovered", text, {"node": self._node.name}))
