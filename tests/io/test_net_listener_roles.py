"""Our own port: reports of storage commitment, who may call, and peers that dribble, pipeline or make no sense."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import trio
from pydicom.dataset import Dataset
from trio.testing import MockClock

from firmware_app.config import load_config
from firmware_app.dicom import pdu
from firmware_app.dicom.command import Command, CommandField, decode_command, encode_command
from firmware_app.dicom.items import AsynchronousOperationsWindow, RoleSelection, UserIdentity, UserItem
from firmware_app.dicom.negotiation import Roles
from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
    MODALITY_WORKLIST_FIND,
    STORAGE_COMMITMENT_PUSH_MODEL,
    VERIFICATION,
)
from firmware_app.net.association import ContextPair, associate
from firmware_app.net.errors import AssociationRejected, DimseFailure, NoUsableContext, is_worth_retrying
from firmware_app.net.listener import InboundAssociation, ListenerLimits, ListenerRules, serve
from firmware_app.net.node import ARTIM_S, LocalApplicationEntity, Node, Timeouts
from firmware_app.net.normalized import n_action, n_event_report
from firmware_app.net.performer import EventHandler, EventReport, expect_no_report
from firmware_app.net.verification import VERIFICATION_CONTEXTS, echo, echo_once
from firmware_app.services.peers import listener_rules

US = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
PACS = LocalApplicationEntity("PACS", "127.0.0.1", "1.2.3.5", "PACS")
LIMITS = ListenerLimits(max_associations=2, max_connections=4, first_pdu_s=5, idle_s=30)
COMMITMENT, INSTANCE = STORAGE_COMMITMENT_PUSH_MODEL, "1.2.840.10008.1.20.1.1"
REPORTING: tuple[ContextPair, ...] = ((COMMITMENT, (IMPLICIT_VR_LITTLE_ENDIAN,)), *VERIFICATION_CONTEXTS)
AS_SCP = (RoleSelection(COMMITMENT, False, True),)


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0.02)


@dataclass
class Port:
    """What our listener has been told."""

    node: Node
    ended: list[InboundAssociation] = field(default_factory=list)
    reports: list[EventReport] = field(default_factory=list)

    async def until(self, count: int) -> None:
        with trio.fail_after(10):
            while len(self.ended) < count:
                await trio.lowlevel.checkpoint()


@asynccontextmanager
async def listening(
    handler: EventHandler | None = None, rules: ListenerRules | None = None, limits: ListenerLimits = LIMITS
) -> AsyncIterator[Port]:
    port = Port(Node("us", "127.0.0.1", 0, "SPECULAR", Timeouts.all(20)))

    async def keep(report: EventReport) -> int:
        port.reports.append(report)
        return 0

    async def run(task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        await serve(
            US,
            0,
            limits=limits,
            rules=rules,
            on_event=handler or keep,
            observe=port.ended.append,
            task_status=task_status,
        )

    async with trio.open_nursery() as nursery:
        port.node = replace(port.node, port=await nursery.start(run))
        yield port
        nursery.cancel_scope.cancel()


def result() -> Dataset:
    information = Dataset()
    information.TransactionUID = "1.2.3.99"
    return information


# ------------------------------------------------------------------ storage commitment


async def test_a_report_with_the_role_proposed() -> None:
    async with listening() as port:
        async with associate(port.node, PACS, REPORTING, user_items=AS_SCP) as association:
            assert association.agreement.roles_for(COMMITMENT) == Roles(scu=False, scp=True)
            response = await n_event_report(association, COMMITMENT, INSTANCE, 1, result())
            await echo_once(association)
        await port.until(1)
    assert (response.status, response.sop_instance_uid) == (0, INSTANCE)
    (report,) = port.reports
    assert (report.sop_class_uid, report.sop_instance_uid, report.event_type_id) == (COMMITMENT, INSTANCE, 1)
    assert (report.peer.ae_title, report.peer.address) == ("PACS", "127.0.0.1")
    assert report.decode() == result()
    assert port.ended == [InboundAssociation("127.0.0.1", "PACS", 1, "released", 1)]


async def test_a_report_without_a_role_is_taken_too() -> None:
    """Our client would not send it, so this is octets (scp_pynet `--fault no-role` does the same)."""
    async with listening() as port:
        async with raw(port) as peer:
            await peer.send_all(request(contexts=((COMMITMENT, (IMPLICIT_VR_LITTLE_ENDIAN,)),)))
            accept = await receive(peer)
            assert isinstance(accept, pdu.AssociateAccept) and accept.contexts[0].result == 0
            assert not any(isinstance(item, RoleSelection) for item in accept.user_items)
            await peer.send_all(data(encode_command(REPORT)))
            assert (await receive_command(peer)).status == 0
        await port.until(1)
    assert port.reports[0].information is None


@pytest.mark.parametrize(
    ("proposed", "answered", "results"),
    [
        ((), {}, [0, 0]),
        ((RoleSelection(COMMITMENT, True, True),), {COMMITMENT: (False, True)}, [0, 0]),
        ((RoleSelection(COMMITMENT, False, True),), {COMMITMENT: (False, True)}, [0, 0]),
        ((RoleSelection(COMMITMENT, True, False),), {COMMITMENT: (False, False)}, [1, 0]),
        ((RoleSelection(VERIFICATION, True, True),), {VERIFICATION: (True, False)}, [0, 0]),
        ((RoleSelection(VERIFICATION, False, True),), {VERIFICATION: (False, False)}, [0, 1]),
        ((RoleSelection("1.2.3", True, True),), {}, [0, 0]),
        ((AsynchronousOperationsWindow(9, 9), UserIdentity(2, b"me", b"secret", True)), {}, [0, 0]),
    ],
)
async def test_role_answers(
    proposed: tuple[UserItem, ...], answered: dict[str, tuple[bool, bool]], results: list[int]
) -> None:
    """Of the rest we say nothing: one operation at a time, and nobody here checks identities."""
    async with listening() as port, raw(port) as peer:
        await peer.send_all(request(contexts=REPORTING, user_items=proposed))
        accept = await receive(peer)
        assert isinstance(accept, pdu.AssociateAccept)
        assert [one.result for one in accept.contexts] == results
        roles = [item for item in accept.user_items if isinstance(item, RoleSelection)]
        assert {item.sop_class_uid: (item.scu, item.scp) for item in roles} == answered
        assert accept.user_items[:3] == US.user_items and len(accept.user_items) == 3 + len(answered)


async def test_the_user_identity_of_a_reporting_peer_is_seen() -> None:
    identity = UserIdentity(2, b"pacs", b"secret")
    async with (
        listening() as port,
        associate(port.node, PACS, REPORTING, user_items=(*AS_SCP, identity)) as association,
    ):
        await n_event_report(association, COMMITMENT, INSTANCE, 2, result())
        assert port.reports[0].peer.user_identity == identity


async def test_we_are_no_storage_commitment_scp() -> None:
    async with listening() as port:
        with pytest.raises(DimseFailure, match="0211H unrecognized operation"):
            async with associate(port.node, PACS, REPORTING) as association:
                await n_action(association, COMMITMENT, INSTANCE, 1, result())


async def test_a_commitment_that_nobody_asked_for_is_refused() -> None:
    async with listening(expect_no_report) as port:
        with pytest.raises(DimseFailure, match="0115H invalid argument value"):
            async with associate(port.node, PACS, REPORTING, user_items=AS_SCP) as association:
                await n_event_report(association, COMMITMENT, INSTANCE, 1, result())


async def test_a_handler_that_fails_is_told_to_peer_and_log_and_closes_nothing() -> None:
    async def fail(report: EventReport) -> int:
        raise KeyError("no such table")

    async with listening(fail) as port:
        with pytest.raises(DimseFailure, match="0110H processing failure"):
            async with associate(port.node, PACS, REPORTING, user_items=AS_SCP) as association:
                await n_event_report(association, COMMITMENT, INSTANCE, 1, result())
        await port.until(1)
        assert (await echo(port.node, PACS)).count == 1
    assert port.ended[0].outcome == "released; its report failed here: KeyError: 'no such table'"


# ------------------------------------------------------------------ who may call


@pytest.mark.parametrize(
    ("rules", "admitted"),
    [
        (ListenerRules(), True),
        (ListenerRules(accepted_ae_titles=frozenset({"RIS", "PACS"})), True),
        (ListenerRules(accepted_ae_titles=frozenset({"RIS"})), False),
        (ListenerRules(accepted_addresses=frozenset({"127.0.0.1"})), True),
        (ListenerRules(accepted_addresses=frozenset({"127.0.0.2", "10.0.0.1"})), False),
        (ListenerRules(accepted_ae_titles=frozenset({"PACS"}), accepted_addresses=frozenset({"127.0.0.9"})), False),
    ],
)
async def test_who_may_call(rules: ListenerRules, admitted: bool) -> None:
    async with listening(rules=rules) as port:
        if admitted:
            assert (await echo(port.node, PACS)).count == 1
            return
        with pytest.raises(AssociationRejected, match="calling AE title not recognized") as caught:
            await echo(port.node, PACS)
        assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 3)
        assert not is_worth_retrying(caught.value)
        await port.until(1)
    assert port.ended[0].outcome == "rejected permanently by the application: calling AE title not recognized"


def test_the_rules_of_the_configuration(tmp_path: Path) -> None:
    """Spaces around an AE title are padding, also in the configuration (PS3.5 6.2)."""
    path = tmp_path / "rules.toml"
    path.write_text('[instrument]\naccepted_ae_titles = [" PACS ", "RIS"]\naccepted_addresses = ["10.0.0.9"]\n')
    rules = listener_rules(load_config(path))
    assert rules == ListenerRules(
        accepted_ae_titles=frozenset({"PACS", "RIS"}), accepted_addresses=frozenset({"10.0.0.9"})
    )
    assert listener_rules(load_config(None)) == ListenerRules()


async def test_rejections_do_not_fill_the_room() -> None:
    async with listening(rules=ListenerRules(accepted_ae_titles=frozenset({"PACS"}))) as port:
        for _ in range(10):
            with pytest.raises(AssociationRejected):
                await echo(port.node, replace(PACS, ae_title="STRANGER"))
        assert (await echo(port.node, PACS)).count == 1


@pytest.mark.parametrize("title", [b" " * 16, bytes(16), b"\xc4RZTE" + b" " * 11, b"A\\B" + b" " * 13, b"\n" * 16])
async def test_a_calling_ae_title_that_is_none(title: bytes) -> None:
    octets = bytearray(request())
    octets[26:42] = title
    async with listening() as port:
        async with raw(port) as peer:
            await peer.send_all(octets)
            assert await receive(peer) == pdu.AssociateReject(1, 1, 3)
        await port.until(1)
        assert (await echo(port.node, PACS)).count == 1


@pytest.mark.parametrize(
    ("changes", "reject"),
    [
        ({"application_context": "1.2.840.10008.3.1.1.2"}, (1, 1, 2)),
        ({"application_context": ""}, (1, 1, 2)),
        ({"called_ae_title": "NOBODY"}, (1, 1, 7)),
        ({"protocol_version": 2}, (1, 2, 2)),
        ({"protocol_version": 0}, (1, 2, 2)),
    ],
)
async def test_rejections_by_the_table(changes: dict[str, object], reject: tuple[int, int, int]) -> None:
    asked: dict[str, Any] = {
        "called_ae_title": "SPECULAR",
        "calling_ae_title": "PACS",
        "contexts": (pdu.ProposedContext(1, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)),),
    }
    async with listening() as port, raw(port) as peer:
        await peer.send_all(pdu.AssociateRequest(**(asked | changes)).encode())
        assert await receive(peer) == pdu.AssociateReject(*reject)


async def test_a_rejected_version_has_artim_to_close_and_is_told(clock: MockClock) -> None:
    octets = bytearray(request())
    octets[6:8] = b"\0\2"
    async with listening() as port:
        started = trio.current_time()
        async with raw(port) as peer:
            await peer.send_all(octets)
            assert await receive(peer) == pdu.AssociateReject(1, 2, 2)
            assert await peer.receive_some() == b""
        assert trio.current_time() - started == pytest.approx(ARTIM_S, abs=0.1)
        await port.until(1)
    assert port.ended[0].outcome == (
        "broke the DICOM protocol: A-ASSOCIATE-RQ: protocol version 0002H does not include version 1"
    )


async def test_version_bits_beside_ours_are_not_tested() -> None:
    octets = bytearray(request())
    octets[6:8] = b"\xff\xff"
    async with listening() as port, raw(port) as peer:
        await peer.send_all(octets)
        assert isinstance(await receive(peer), pdu.AssociateAccept)


async def test_contexts_are_answered_one_by_one() -> None:
    contexts = (
        (VERIFICATION, (JPEG_BASELINE, EXPLICIT_VR_LITTLE_ENDIAN)),
        (MODALITY_WORKLIST_FIND, (IMPLICIT_VR_LITTLE_ENDIAN,)),
        (COMMITMENT, (JPEG_BASELINE,)),
    )
    async with listening() as port, raw(port) as peer:
        await peer.send_all(request(contexts=contexts))
        accept = await receive(peer)
        assert isinstance(accept, pdu.AssociateAccept)
        assert [(one.context_id, one.result) for one in accept.contexts] == [(1, 0), (3, 3), (5, 4)]
        assert accept.contexts[0].transfer_syntax == EXPLICIT_VR_LITTLE_ENDIAN


async def test_a_peer_with_nothing_that_we_do_is_accepted_with_nothing() -> None:
    async with listening() as port:
        with pytest.raises(NoUsableContext, match="abstract syntax not supported"):
            async with associate(port.node, PACS, ((MODALITY_WORKLIST_FIND, (IMPLICIT_VR_LITTLE_ENDIAN,)),)):
                pass


# ------------------------------------------------------------------ peers out of step

REPORT = Command(
    command_field=CommandField.N_EVENT_REPORT_RQ,
    message_id=3,
    affected_sop_class_uid=COMMITMENT,
    affected_sop_instance_uid=INSTANCE,
    event_type_id=1,
)
ECHO = Command(command_field=CommandField.C_ECHO_RQ, message_id=4, affected_sop_class_uid=VERIFICATION)
UNEXPECTED = pdu.Abort(2, 2)


def data(command: bytes, context_id: int = 1, control: int = 3) -> bytes:
    return pdu.encode_data_header(context_id, control, len(command)) + command


def request(contexts: tuple[ContextPair, ...] = VERIFICATION_CONTEXTS, user_items: tuple[UserItem, ...] = ()) -> bytes:
    proposed = tuple(pdu.ProposedContext(2 * n + 1, *pair) for n, pair in enumerate(contexts))
    return pdu.AssociateRequest("SPECULAR", "PACS", proposed, user_items).encode()


@asynccontextmanager
async def raw(port: Port) -> AsyncIterator[trio.SocketStream]:
    stream = await trio.open_tcp_stream(port.node.host, port.node.port)
    async with stream:
        yield stream


async def receive(stream: trio.SocketStream) -> pdu.Pdu | None:
    """The next PDU; None when the connection is closed."""
    header = b""
    while len(header) < pdu.HEADER.size:
        octets = await stream.receive_some(pdu.HEADER.size - len(header))
        if not octets:
            assert not header
            return None
        header += octets
    body = b""
    while len(body) < pdu.HEADER.unpack(header)[1]:
        body += await stream.receive_some(pdu.HEADER.unpack(header)[1] - len(body))
    return pdu.decode_pdu(header + body)


async def receive_command(stream: trio.SocketStream) -> Command:
    answer = await receive(stream)
    assert isinstance(answer, pdu.DataTransfer)
    return decode_command(answer.values[0].fragment)


async def test_who_speaks_before_the_answer_is_answered_in_order() -> None:
    """Request, echo and release in one segment: nobody can tell that they came before our A-ASSOCIATE-AC."""
    async with listening() as port:
        async with raw(port) as peer:
            await peer.send_all(request() + data(encode_command(ECHO)) + pdu.ReleaseRequest().encode())
            assert isinstance(await receive(peer), pdu.AssociateAccept)
            assert (await receive_command(peer)).message_id_being_responded_to == 4
            assert await receive(peer) == pdu.ReleaseReply()
        await port.until(1)
    assert port.ended == [InboundAssociation("127.0.0.1", "PACS", 1, "released")]


async def test_who_is_rejected_and_speaks_on_is_ignored(clock: MockClock) -> None:
    """Sta13, AA-6; and a second request there is an A-ABORT, AA-7."""
    asked = pdu.AssociateRequest("NOBODY", "PACS", (pdu.ProposedContext(1, VERIFICATION, ("1.2.840.10008.1.2",)),))
    async with listening() as port, raw(port) as peer:
        await peer.send_all(asked.encode() + data(encode_command(ECHO)) + pdu.ReleaseRequest().encode())
        assert await receive(peer) == pdu.AssociateReject(1, 1, 7)
        await peer.send_all(asked.encode())
        assert await receive(peer) == UNEXPECTED
        started = trio.current_time()
        assert await receive(peer) is None
        assert trio.current_time() - started <= ARTIM_S + 0.1


VIOLATIONS = {
    "second request": (request(), UNEXPECTED),
    "accept": (pdu.AssociateAccept("A", "B", ()).encode(), UNEXPECTED),
    "release reply": (pdu.ReleaseReply().encode(), UNEXPECTED),
    "unknown PDU": (b"\x55\0\0\0\0\0", pdu.Abort(2, 1)),
    "data beyond our limit": (pdu.HEADER.pack(4, US.max_pdu_length + 1), pdu.Abort(2, 6)),
    "context that was not accepted": (data(encode_command(ECHO), 77), pdu.Abort(2, 6)),
    "garbage command": (data(b"garbage!"), pdu.Abort(0, 0)),
}


@pytest.mark.parametrize("case", VIOLATIONS)
async def test_violations_are_answered_and_the_close_is_waited_for(case: str, clock: MockClock) -> None:
    octets, answer = VIOLATIONS[case]
    async with listening() as port:
        async with raw(port) as peer:
            await peer.send_all(request())
            assert isinstance(await receive(peer), pdu.AssociateAccept)
            await peer.send_all(octets)
            assert await receive(peer) == answer
            started = trio.current_time()
            assert await receive(peer) is None
            assert trio.current_time() - started == pytest.approx(ARTIM_S, abs=0.1)
        await port.until(1)
    assert port.ended[0].outcome.startswith("broke the DICOM protocol: ")


async def test_a_request_and_garbage_in_one_pdu() -> None:
    """The request is answered first; then the rest of the PDU is what it is."""
    values = (
        pdu.PresentationDataValue(1, 3, encode_command(ECHO)),
        pdu.PresentationDataValue(1, 3, b"garbage!"),
    )
    async with listening() as port:
        async with raw(port) as peer:
            await peer.send_all(request())
            await receive(peer)
            await peer.send_all(pdu.DataTransfer(values).encode())
            assert (await receive_command(peer)).status == 0
            assert await receive(peer) == pdu.Abort(0, 0)
        await port.until(1)
        assert (await echo(port.node, PACS)).count == 1


async def test_a_dribbling_peer_gets_no_more_time_than_a_silent_one(clock: MockClock) -> None:
    """ARTIM is of the whole A-ASSOCIATE-RQ, the idle time of the whole message (slow-loris)."""
    for started_with, limit_s in ((b"", LIMITS.first_pdu_s), (request(), LIMITS.idle_s)):
        async with listening() as port:
            async with raw(port) as peer:
                await peer.send_all(started_with)
                if started_with:
                    assert isinstance(await receive(peer), pdu.AssociateAccept)
                started = trio.current_time()
                with pytest.raises(trio.BrokenResourceError):
                    for octet in request() * 2:
                        await peer.send_all(bytes([octet]))
                        await trio.sleep(limit_s / 12)
                assert trio.current_time() - started <= limit_s + ARTIM_S + 4 * limit_s / 12
            await port.until(1)
        assert port.ended[0].outcome == f"said nothing for {limit_s:g} s"


async def test_messages_wind_up_the_idle_time(clock: MockClock) -> None:
    async with listening() as port, associate(port.node, PACS, VERIFICATION_CONTEXTS) as association:
        for _ in range(5):
            await trio.sleep(LIMITS.idle_s * 0.9)
            await echo_once(association)


async def test_the_room_is_free_as_soon_as_an_association_is_over(clock: MockClock) -> None:
    """Not only when its connection is: a peer may keep that open for ARTIM."""
    async with listening() as port, trio.open_nursery() as nursery:
        peers = []
        for _ in range(LIMITS.max_associations):
            peer = await trio.open_tcp_stream(port.node.host, port.node.port)
            await peer.send_all(request() + pdu.ReleaseRequest().encode())
            assert isinstance(await receive(peer), pdu.AssociateAccept)
            assert await receive(peer) == pdu.ReleaseReply()
            peers.append(peer)
        started = trio.current_time()
        assert (await echo(port.node, PACS)).count == 1
        assert trio.current_time() - started < ARTIM_S / 2
        for peer in peers:
            await peer.aclose()
        nursery.cancel_scope.cancel()


async def test_the_end_of_the_listener_aborts_what_is_there() -> None:
    async with listening() as port:
        peer = await trio.open_tcp_stream(port.node.host, port.node.port)
        await peer.send_all(request())
        assert isinstance(await receive(peer), pdu.AssociateAccept)
    async with peer:
        assert await receive(peer) == pdu.Abort(0)
        assert await receive(peer) is None
