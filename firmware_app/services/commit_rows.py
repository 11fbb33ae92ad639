"""What the command line asks by hand of storage commitment: one row per file, with what the node said of it."""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from firmware_app.dicom.commitment import MAX_INSTANCES, describe_failure, judge
from firmware_app.dicom.statuses import INVALID_ARGUMENT_VALUE, SUCCESS
from firmware_app.model import ReferencedInstance
from firmware_app.net.association import Association, associate
from firmware_app.net.commitment import UnusableReport, read_report, request_commitment
from firmware_app.net.errors import DimseFailure, NetworkError
from firmware_app.net.instance_file import InstanceFile, InstanceUnreadable, read_instance_file
from firmware_app.net.listener import InboundAssociation, serve
from firmware_app.net.performer import EventReport
from firmware_app.objects.identifiers import new_uid
from firmware_app.services.causes import causes, in_one_line
from firmware_app.services.listening import offers_of
from firmware_app.services.network_verbs import Peer, Row, Rows
from firmware_app.services.peers import contexts_of, listener_rules, listener_tls

Requests = Mapping[str, tuple[ReferencedInstance, ...]]  # by Transaction UID


class CannotListen(NetworkError):
    """Our own port is not to be had, so no report could come; nothing was asked."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`word` is committed, refused, unanswered or not asked; `failure_reason` is (0008,1197) of the report."""

    word: str
    transaction_uid: str = ""
    reason: str = ""
    failure_reason: int | None = None
    reported_by: str = ""


class Reports:
    """The open requests of this run, and what was reported on them."""

    def __init__(self, requests: Requests) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.remarks: list[str] = []
        self.requested: set[str] = set()
        self._requests = requests
        self._open: set[str] = set()
        self._closed = trio.Event()

    def asked(self, transaction_uid: str) -> None:
        """Before the request is sent: the report may overtake the answer."""
        self.requested.add(transaction_uid)
        self._open.add(transaction_uid)

    def refused(self, transaction_uid: str, reason: str) -> None:
        """By the answer to the request: no report will come."""
        for each in self._requests[transaction_uid]:
            self.outcomes.setdefault(each.sop_instance_uid, Outcome("refused", transaction_uid, reason))
        self._open.discard(transaction_uid)

    @property
    def complete(self) -> bool:
        return not self._open

    async def wait_until(self, deadline: float) -> None:
        with trio.move_on_at(deadline):
            while not self.complete:
                await self._closed.wait()

    async def take(self, report: EventReport) -> int:
        """The status that the report is answered with."""
        who = f"{report.peer.ae_title} at {report.peer.address}"
        try:
            said = read_report(report)
            if said.transaction_uid not in self._requests:
                raise UnusableReport(INVALID_ARGUMENT_VALUE, f"transaction {said.transaction_uid} is none of ours")
        except UnusableReport as error:
            self.remarks.append(f"a report of {who} was refused: {error}")
            return error.status
        transaction_uid = said.transaction_uid
        judgement = judge(said, self._requests[transaction_uid])
        self.remarks += (f"the report of {who} is not believed in this: {remark}" for remark in judgement.remarks)
        for uid in judgement.committed:
            self.outcomes.setdefault(uid, Outcome("committed", transaction_uid, reported_by=who))
        for uid, reason in judgement.failed.items():
            words = describe_failure(reason)
            self.outcomes.setdefault(uid, Outcome("refused", transaction_uid, words, reason, who))
        for uid in judgement.missing:
            outcome = Outcome("unanswered", transaction_uid, "missing from the report", reported_by=who)
            self.outcomes.setdefault(uid, outcome)
        self._open.discard(transaction_uid)
        self._closed.set()
        self._closed = trio.Event()
        return SUCCESS


class OwnPort:
    """Where the reports come in on associations of the node."""

    def __init__(self, peer: Peer, port: int, reports: Reports, on_report: Callable[[], None]) -> None:
        self._peer = peer
        self._port = port
        self._reports = reports
        self._on_report = on_report
        self._unanswered = 0
        self._ended = trio.Event()

    async def listen(self, *, task_status: trio.TaskStatus[int]) -> None:
        """Until cancelled. Raises `CannotListen`."""
        local = self._peer.local("listener")
        try:
            await serve(
                local,
                self._port,
                rules=listener_rules(self._peer.config),
                offers=offers_of(self._peer.profile),
                on_event=self._take,
                tls=listener_tls(self._peer.config.instrument.tls),
                observe=self._observe,
                task_status=task_status,
            )
        except OSError as error:
            why = error.strerror or str(error)
            if error.errno == errno.EADDRINUSE:
                why = "it is taken, as by the running service, which takes its own reports there (--listen PORT)"
            raise CannotListen(f"our port {self._port} cannot be listened on: {why}") from error

    async def finish(self, seconds: float) -> None:
        """Let the associations end that brought a report: its answer may still be on the way."""
        with trio.move_on_after(seconds):
            while self._unanswered:
                await self._ended.wait()

    async def _take(self, report: EventReport) -> int:
        self._unanswered += 1
        status = await self._reports.take(report)
        self._on_report()
        return status

    def _observe(self, ended: InboundAssociation) -> None:
        self._unanswered -= ended.reports
        self._ended.set()
        self._ended = trio.Event()


def commit_rows(files: Sequence[Path], listen: int | None, wait_s: float) -> Rows:
    """`listen` None: the configuration's port; 0: none, and reports can come only on the association of the request."""

    async def rows(peer: Peer) -> AsyncGenerator[Row, None]:
        instances: list[InstanceFile] = []
        for file in files:
            try:
                instances.append(read_instance_file(file))
            except InstanceUnreadable as error:
                yield _unreadable(file, str(error))
        if not instances:
            return
        requests = requests_for(instances)
        reports = Reports(requests)
        port = peer.config.instrument.port if listen is None else listen
        with_listener = "listener" in peer.profile.application_entity
        why_not = f"no report within {wait_s:g} s"
        try:
            await ask(peer, requests, reports, port if with_listener else 0, wait_s)
        except BaseException as error:
            if not all(isinstance(cause, NetworkError) for cause in causes(error)):
                raise
            why_not = in_one_line(error)
        for remark in reports.remarks:
            yield Row(f"----  {remark}")
        asked = {each.sop_instance_uid: uid for uid, some in requests.items() for each in some}
        for instance in instances:
            transaction_uid = asked[instance.sop_instance_uid]
            word = "unanswered" if transaction_uid in reports.requested else "not asked"
            otherwise = Outcome(word, transaction_uid, why_not)
            yield _row(instance.path, instance, reports.outcomes.get(instance.sop_instance_uid, otherwise))

    return rows


def requests_for(instances: Sequence[InstanceFile]) -> Requests:
    """Each instance once, however many files it is in."""
    distinct = {
        each.sop_instance_uid: ReferencedInstance(each.sop_class_uid, each.sop_instance_uid) for each in instances
    }
    references = tuple(distinct.values())
    return {new_uid(): references[start : start + MAX_INSTANCES] for start in range(0, len(references), MAX_INSTANCES)}


async def ask(peer: Peer, requests: Requests, reports: Reports, port: int, wait_s: float) -> None:
    """Ask for all of it on one association and wait for the reports, wherever they come. Raises `NetworkError`s."""
    held: list[Association] = []

    def look_again() -> None:
        for association in held:
            association.look_again()

    own_port = OwnPort(peer, port, reports, look_again)
    async with trio.open_nursery() as nursery:
        if port:
            await nursery.start(own_port.listen)
        deadline = await _request(peer, requests, reports, wait_s, held, alone=not port)
        await reports.wait_until(deadline)
        await own_port.finish(peer.node.timeouts.release_s)
        nursery.cancel_scope.cancel()


async def _request(
    peer: Peer, requests: Requests, reports: Reports, wait_s: float, held: list[Association], *, alone: bool
) -> float:
    """The requests, and the time to which their reports are waited for.

    Some nodes report only when the association of the request is over: with a port of our own it is not kept for long.
    """
    contexts = contexts_of(peer.profile, "commitment")
    async with associate(peer.node, peer.local("commitment"), contexts, on_event=reports.take) as association:
        held.append(association)
        for transaction_uid, instances in requests.items():
            reports.asked(transaction_uid)
            try:
                await request_commitment(association, transaction_uid, instances)
            except DimseFailure as error:
                reports.refused(transaction_uid, str(error))
        deadline = trio.current_time() + wait_s
        keep_s = wait_s if alone else min(wait_s, peer.config.commitment.same_association_wait_s)
        with suppress(NetworkError):  # the requests are answered: how this association ends says nothing
            await association.attend(keep_s, lambda: reports.complete)
    return deadline


def _unreadable(file: Path, reason: str) -> Row:
    """`reason` names the file."""
    row = _row(file, None, Outcome("unreadable", reason=reason))
    return replace(row, text=f"{'unreadable':10}  {reason}", failure=reason)


def _row(file: Path, instance: InstanceFile | None, outcome: Outcome) -> Row:
    reason = f": {outcome.reason}" if outcome.reason else ""
    data: dict[str, object] = {
        "file": str(file),
        "sop_class_uid": instance.sop_class_uid if instance else None,
        "sop_instance_uid": instance.sop_instance_uid if instance else None,
        "transaction_uid": outcome.transaction_uid or None,
        "result": outcome.word,
        "failure_reason": None if outcome.failure_reason is None else f"{outcome.failure_reason:04X}",
        "reason": outcome.reason or None,
        "reported_by": outcome.reported_by or None,
    }
    failure = "" if outcome.word == "committed" else f"{file}: {outcome.word}{reason}"
    return Row(f"{outcome.word:10}  {file}{reason}", data, failure)
