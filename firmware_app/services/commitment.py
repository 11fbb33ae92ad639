"""Storage commitment: what has been stored is asked for on a new association, and what is answered is kept.

Everything is in the records: which request is open since when, and what was said of each instance. This task decides
when to ask; reports are taken whenever and however they come: on the association of the request, on one that the
node opens to our port, before the response to the request, twice, or hours later after a restart.

A report belongs to a request by its Transaction UID, which is of 122 random bits and was told to the node alone. It is
taken from whoever may call us (`instrument.accepted_ae_titles`), because archives report under titles of their own;
that it was not the node's is told. It is answered with success only when its result is on disk.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import trio

from firmware_app.dicom.commitment import Judgement, judge
from firmware_app.dicom.statuses import INVALID_ARGUMENT_VALUE, PROCESSING_FAILURE, SUCCESS, describe_status
from firmware_app.model import Event, EventLevel
from firmware_app.net.association import Association, ContextPair, associate
from firmware_app.net.commitment import UnusableReport, read_report, request_commitment
from firmware_app.net.errors import DimseFailure, NetworkError, is_worth_retrying
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.net.performer import EventReport
from firmware_app.objects.identifiers import new_uid
from firmware_app.progress import finished, idle
from firmware_app.records.commitment_answers import Answer
from firmware_app.records.commitment_states import REPORTABLE, TransactionEvent, TransactionState
from firmware_app.records.commitments import Transaction
from firmware_app.records.errors import RecordsError, StorageFault
from firmware_app.records.store import Records
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.queue_task import IDLE_LOOK_S, DiskFaults, wake
from firmware_app.services.standing import Standing

# Requests on one association, one after the other.
BATCH = 16
# In vain for the same instances so often: from then on a person should look at the node.
ALERT_AFTER = 3
INTERRUPTED = "broken off while asking"
# Where the instances of an event stand from then on.
STANDINGS = {
    "requested": Standing.COMMITMENT_REQUESTED,
    "expired": Standing.COMMITMENT_REQUESTED,
    "asked_again": Standing.COMMITMENT_REQUESTED,
    "committed": Standing.COMMITTED,
    "refused": Standing.COMMITMENT_REFUSED,
    "stored_again": Standing.QUEUED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentPolicy:
    """How long is waited for what."""

    backoff: BackoffPolicy
    report_timeout_s: float = 3600.0
    same_association_wait_s: float = 2.0
    # An exam of which something is still to be stored is asked for in one piece, but not later than this.
    exam_wait_s: float = 60.0

    @property
    def again(self) -> BackoffPolicy:
        """Between requests in vain: growing up to the time that a report may take."""
        return replace(self.backoff, max_s=max(self.backoff.max_s, self.report_timeout_s))


class CommitmentService:
    """Without a `node` nothing is asked, and `why_not` says why; reports for what was asked earlier are still taken.

    `store_again` is called when instances were queued for storage once more: the node says that it has them not.
    `committed` is called when the node has committed to some. `elsewhere` knows the service of another storage node:
    all reports come to the same port, and each is taken by the service that asked.
    """

    def __init__(
        self,
        records: Records,
        node: Node | None,
        local: LocalApplicationEntity | None,
        contexts: tuple[ContextPair, ...],
        stored_at: str,
        policy: CommitmentPolicy,
        publish: Callable[[Event], None],
        store_again: Callable[[], None],
        why_not: str = "no commitment node is configured",
        *,
        committed: Callable[[], None] = lambda: None,
        elsewhere: Callable[[str], CommitmentService | None] = lambda stored_at: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._records = records
        self._committed = committed
        self._elsewhere = elsewhere
        self._node = node
        self._local = local
        self._contexts = contexts
        self._stored_at = stored_at
        self._policy = policy
        self._publish = publish
        self._store_again = store_again
        self._why_not = why_not
        self._chance = chance
        self._wake, self._woken = trio.open_memory_channel[None](1)
        self._reading = trio.CapacityLimiter(1)
        self._awaited: set[str] = set()  # asked for on the association that is open now
        self._association: Association | None = None
        self._failures = 0
        self._disk_faults = DiskFaults("commitment.waiting", publish, chance)
        self._closed_until_s = 0.0
        self._trouble = ""

    @property
    def detail(self) -> str:
        """For the status screen."""
        if self._node is None:
            return f"not asked for: {self._why_not}"
        return f"asked of {self._node.label}" + (f"; {self._trouble}" if self._failures else "")

    def wake(self) -> None:
        """Something was stored, or failed for good. Coalesced; the list of what to ask for is in the records."""
        wake(self._wake)

    async def retry(self, sop_instance_uid: str | None) -> int:
        """By hand: ask for a refused or waiting instance again now (None: for all); how many that are."""
        count = await self._records.commitments.retry(sop_instance_uid, self._stored_at)
        self._closed_until_s = 0.0
        self._store_again()
        self.wake()
        return count

    async def run(self) -> None:
        """Ask until cancelled. What was being asked then counts as asked in vain when the next run begins."""
        if self._node is None or self._local is None:
            finished(self._why_not)
            return
        while True:
            with trio.move_on_after(await self._work(self._node, self._local)), idle("something to ask for"):
                await self._woken.receive()

    # ------------------------------------------------------------------------------------------- asking

    async def _work(self, node: Node, local: LocalApplicationEntity) -> float:
        """Do what is due and return how long nothing will be."""
        try:
            await self._take_up(node, TransactionState.REQUESTING, TransactionEvent.INTERRUPTED, INTERRUPTED)
            overdue = f"no report within {self._policy.report_timeout_s:g} s"
            await self._take_up(node, TransactionState.REQUESTED, TransactionEvent.TIMED_OUT, overdue)
            gathered = await self._records.commitments.gather(
                self._stored_at, node.name, self._policy.exam_wait_s, new_uid
            )
            await self._ask_due(node, local)
            waits_s = [IDLE_LOOK_S if gathered.wait_s is None else gathered.wait_s]
            waits_s += await self._next_waits_s(node)
            self._disk_faults.over()
            return min(waits_s)
        except StorageFault as error:
            return self._disk_faults.pause_s(error, "asking for commitment waits", node, self._policy.backoff)

    async def _take_up(self, node: Node, state: TransactionState, event: TransactionEvent, reason: str) -> None:
        """Every transaction in this state whose time is over, or was ended by hand, is asked for anew."""
        for transaction in await self._records.commitments.in_state(node.name, state):
            if event is TransactionEvent.INTERRUPTED or self._is_due(transaction):
                await self._in_vain(node, transaction, event, transaction.reason or reason)

    async def _next_waits_s(self, node: Node) -> list[float]:
        waits_s = []
        for state in (TransactionState.QUEUED, TransactionState.REQUESTED):
            for transaction in await self._records.commitments.in_state(node.name, state, limit=1):
                wait_s = 0.0 if self._is_due(transaction) else transaction.wait_s
                if state is TransactionState.QUEUED:
                    wait_s = max(wait_s, self._closed_until_s - trio.current_time())
                waits_s.append(wait_s)
        return waits_s

    def _is_due(self, transaction: Transaction) -> bool:
        return self._policy.again.left_s(transaction.wait_s) == 0

    async def _ask_due(self, node: Node, local: LocalApplicationEntity) -> None:
        while trio.current_time() >= self._closed_until_s:
            queue = await self._records.commitments.in_state(node.name, TransactionState.QUEUED, limit=BATCH)
            due = [transaction for transaction in queue if self._is_due(transaction)]
            if not due:
                return
            await self._ask(node, local, due)

    async def _ask(self, node: Node, local: LocalApplicationEntity, due: list[Transaction]) -> None:
        """The due transactions on one association, and a while on it for the reports that come there."""
        self._awaited.clear()
        try:
            async with associate(node, local, self._contexts, on_event=self.take_report) as association:
                for transaction in due:
                    if not await self._request(association, node, transaction):
                        return
                self._answers_again(node)
                self._association = association
                with suppress(NetworkError):  # all requests are answered: how the association ends says nothing
                    await association.attend(self._policy.same_association_wait_s, lambda: not self._awaited)
        except NetworkError as error:  # there is no association: nothing has been sent
            await self._records.commitments.put_off(node.name, str(error))
            self._close(node, error)
        finally:
            self._association = None

    async def _request(self, association: Association, node: Node, transaction: Transaction) -> bool:
        """One N-ACTION; False where the association should end, because its like would follow."""
        uid = transaction.transaction_uid
        report_due = self._records.now() + timedelta(seconds=self._policy.report_timeout_s)
        instances = await self._records.commitments.begin_request(uid, report_due)
        if not instances:
            return True
        self._awaited.add(uid)
        try:
            await request_commitment(association, uid, instances)
        except NetworkError as error:
            if not isinstance(error, DimseFailure):  # whether it arrived nobody knows, and what comes now is late
                association.abandon(error)
            await self._in_vain(node, transaction, TransactionEvent.FAILED, _without_comment(error))
            self._close(node, error)
            return False
        await self._records.commitments.accepted(uid)
        text = f"{node.label} was asked to commit to {len(instances)} instances"
        self._tell("requested", text, transaction.transaction_uid, [each.sop_instance_uid for each in instances])
        return True

    async def _in_vain(self, node: Node, transaction: Transaction, event: TransactionEvent, reason: str) -> None:
        again = await self._records.commitments.in_vain(
            transaction.transaction_uid, event, reason, self._again_at, new_uid
        )
        if again is None:
            return
        attempts = transaction.attempts + 1
        level: EventLevel = "alert" if attempts == ALERT_AFTER else "warning"
        uids = [instance.sop_instance_uid for instance in transaction.instances]
        text = f"{node.label} did not answer for {len(uids)} instances ({attempts} times so far): {reason}"
        self._tell("expired", f"{text}; asked again as {again}", transaction.transaction_uid, uids, level)

    def _again_at(self, attempts: int) -> datetime:
        return self._records.now() + timedelta(seconds=self._policy.again.delay_s(attempts, self._chance))

    def _close(self, node: Node, error: NetworkError) -> None:
        """Ask nobody for a while; longest where nothing will change by itself."""
        self._failures += 1
        backoff = self._policy.backoff
        delay_s = backoff.delay_s(self._failures, self._chance) if is_worth_retrying(error) else backoff.max_s
        self._closed_until_s = trio.current_time() + delay_s
        self._trouble = _without_comment(error)
        level: EventLevel = "debug" if self._failures > 1 else "warning" if is_worth_retrying(error) else "alert"
        text = f"asking for commitment waits {delay_s:.0f} s: {self._trouble}"
        self._publish(Event("commitment.waiting", text, {"node": node.name}, level))

    def _answers_again(self, node: Node) -> None:
        if self._failures:
            self._failures = 0
            self._publish(Event("commitment.recovered", f"{node.label} answers again", {"node": node.name}))

    # ------------------------------------------------------------------------------------------- reports

    async def take_report(self, report: EventReport) -> int:
        """The status that an N-EVENT-REPORT is answered with: success only when all that it says is on disk."""
        who = f"{report.peer.ae_title} at {report.peer.address}"
        try:
            said = await trio.to_thread.run_sync(read_report, report, limiter=self._reading)
            transaction = await self._records.commitments.find(said.transaction_uid)
            if transaction is None or transaction.state not in REPORTABLE:
                why = f"transaction {said.transaction_uid} is none of ours"
                raise UnusableReport(INVALID_ARGUMENT_VALUE, why)
            asker = self._elsewhere(transaction.stored_at_node) or self
            judgement = judge(said, transaction.instances)
            answer = await self._records.commitments.record(
                transaction.transaction_uid, who, judgement, self._again_at, new_uid
            )
        except UnusableReport as error:
            text = f"a commitment report of {who} was refused ({describe_status(error.status)}): {error}"
            self._publish(Event("commitment.report_refused", text, {"status": error.status}, "warning"))
            return error.status
        except RecordsError as error:
            text = f"a commitment report of {who} could not be recorded, it is asked for again: {error}"
            self._publish(Event("commitment.report_failed", text, level="error"))
            return PROCESSING_FAILURE
        asker._reported(transaction, who, report, judgement, answer)
        return SUCCESS

    def _reported(
        self, transaction: Transaction, who: str, report: EventReport, judgement: Judgement, answer: Answer
    ) -> None:
        uid = transaction.transaction_uid
        self._awaited.discard(uid)
        if self._association is not None:
            self._association.look_again()
        if self._node is not None and report.peer.ae_title.strip() != self._node.ae_title.strip():
            text = f"transaction {uid} was asked of {self._node.ae_title} and reported by {who}: taken"
            self._tell("reporter", text, uid, (), "warning")
        for remark in (*judgement.remarks, *(f"{each} was reported otherwise before" for each in answer.contradicted)):
            text = f"the report of {who} on transaction {uid} is not believed in this: {remark}"
            self._tell("remark", text, uid, (), "warning")
        if answer.committed:
            self._tell("committed", f"{who} committed to {len(answer.committed)} instances", uid, answer.committed)
            self._committed()
        failures: tuple[tuple[str, EventLevel, dict[str, str]], ...] = (
            ("refused", "alert", answer.refused),
            ("stored_again", "warning", answer.stored_again),
            ("asked_again", "warning", answer.asked_again),
        )
        for kind, level, which in failures:
            for instance, reason in which.items():
                self._tell(kind, f"{who} did not commit to {instance}: {reason}", uid, (instance,), level)
        if answer.stored_again:
            self._store_again()
        self.wake()

    def _tell(
        self, kind: str, text: str, transaction_uid: str, instances: Sequence[str], level: EventLevel = "info"
    ) -> None:
        data: dict[str, object] = {"transaction_uid": transaction_uid, "instances": list(instances)}
        if self._node is not None:
            data["node"] = self._node.name
        if instances and kind in STANDINGS:
            data |= {"stored_at": self._stored_at, "standing": str(STANDINGS[kind])}
        self._publish(Event(f"commitment.{kind}", text, data, level))


def _without_comment(error: NetworkError) -> str:
    """An archive's own comment may name the patient: it is never logged."""
    if isinstance(error, DimseFailure):
        return f"N-ACTION failed with status {describe_status(error.status)}"
    return str(error)
