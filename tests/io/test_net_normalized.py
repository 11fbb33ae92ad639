"""N- services against an acceptor of the test's own: what may be missing, what may come in between, what goes wrong."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace

import pytest
import trio
from dicom_acceptor import RELEASE, STALL, Answer, Handler, run_acceptor
from pydicom.dataset import Dataset
from trio.testing import MockClock

from firmware_app.dicom import pdu
from firmware_app.dicom.command import DATA_SET_PRESENT, NO_DATA_SET, Command, CommandField
from firmware_app.dicom.errors import LocalProtocolError
from firmware_app.dicom.items import AsynchronousOperationsWindow, RoleSelection, UserIdentity, UserIdentityReply
from firmware_app.dicom.message import Message
from firmware_app.dicom.negotiation import IdentityKind, items_of
from firmware_app.dicom.statuses import INVALID_ARGUMENT_VALUE
from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    STORAGE_COMMITMENT_PUSH_MODEL,
    VERIFICATION,
)
from firmware_app.net.association import MAX_EARLY_RESPONSES, Association, associate
from firmware_app.net.attributes import decode_attributes, encode_attributes
from firmware_app.net.errors import DimseFailure, NoUsableContext, PeerReleased, RemoteProtocolError, TimedOut
from firmware_app.net.node import LocalApplicationEntity
from firmware_app.net.normalized import n_action, n_create, n_delete, n_event_report, n_get, n_set
from firmware_app.net.performer import EventReport
from firmware_app.net.verification import VERIFICATION_CONTEXTS, echo_once

LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
STEP, COMMITMENT = MODALITY_PERFORMED_PROCEDURE_STEP, STORAGE_COMMITMENT_PUSH_MODEL
CONTEXTS = tuple((uid, (IMPLICIT_VR_LITTLE_ENDIAN,)) for uid in (STEP, COMMITMENT, VERIFICATION))
WINDOW = (AsynchronousOperationsWindow(3, 1),)
# N-EVENT-REPORT-RQ with its command field, message id 5 and data set type, and nothing else: not what we would write.
BARE_REPORT = b"".join(
    struct.pack("<HHIH", 0, element, 2, value)
    for element, value in ((0x0100, CommandField.N_EVENT_REPORT_RQ), (0x0110, 5), (0x0800, NO_DATA_SET))
)


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0.02)


def step(status: str = "IN PROGRESS") -> Dataset:
    attributes = Dataset()
    attributes.PerformedProcedureStepStatus = status
    attributes.PatientName = "DOE^JANE"
    return attributes


def encoded(attributes: Dataset) -> bytes:
    return encode_attributes(attributes, IMPLICIT_VR_LITTLE_ENDIAN)


def report(message_id: int, event_type_id: int | None = 1, sop_class_uid: str | None = COMMITMENT) -> Command:
    return Command(
        command_field=CommandField.N_EVENT_REPORT_RQ,
        message_id=message_id,
        affected_sop_class_uid=sop_class_uid,
        affected_sop_instance_uid="1.2.840.10008.1.20.1.1",
        event_type_id=event_type_id,
        data_set_type=DATA_SET_PRESENT,
    )


def response(message: Message, **changes: object) -> Message:
    """The barest response there is: message id and status."""
    asked = message.command
    bare = Command(command_field=asked.command_field.response, message_id_being_responded_to=asked.message_id, status=0)
    return Message(message.context_id, replace(bare, **changes), None)  # type: ignore[arg-type]


# ------------------------------------------------------------------ each service


async def test_each_service_sends_what_the_standard_wants_and_takes_the_barest_answer() -> None:
    async with (
        run_acceptor(lambda message: [response(message)]) as acceptor,
        associate(acceptor.node, LOCAL, CONTEXTS) as association,
    ):
        responses = [
            await n_create(association, STEP, "1.2.3", step()),
            await n_set(association, STEP, "1.2.3", step("COMPLETED")),
            await n_get(association, STEP, "1.2.3", [0x00400252]),
            await n_action(association, COMMITMENT, "1.2.840.10008.1.20.1.1", 1, step()),
            await n_delete(association, STEP, "1.2.3"),
        ]
    commands = [message.command for message in acceptor.messages]
    assert [command.command_field.words for command in commands] == [
        "N-CREATE-RQ",
        "N-SET-RQ",
        "N-GET-RQ",
        "N-ACTION-RQ",
        "N-DELETE-RQ",
    ]
    assert [one.affected_sop_instance_uid or one.requested_sop_instance_uid for one in commands] == [
        "1.2.3",
        "1.2.3",
        "1.2.3",
        "1.2.840.10008.1.20.1.1",
        "1.2.3",
    ]
    assert [command.message_id for command in commands] == [1, 2, 3, 4, 5]
    assert (commands[2].attribute_identifiers, commands[3].action_type_id) == ((0x00400252,), 1)
    assert [message.data_set is not None for message in acceptor.messages] == [True, True, False, True, False]
    assert decode_attributes(acceptor.messages[0].data_set, IMPLICIT_VR_LITTLE_ENDIAN) == step()
    # fo-dicom#323, #852: what the peer left out is what we asked for.
    assert [one.sop_class_uid for one in responses] == [STEP, STEP, STEP, COMMITMENT, STEP]
    assert [one.sop_instance_uid for one in responses] == [
        "1.2.3",
        "1.2.3",
        "1.2.3",
        "1.2.840.10008.1.20.1.1",
        "1.2.3",
    ]
    assert [(one.status, one.is_warning, one.decode()) for one in responses] == [(0, False, Dataset())] * 5


async def test_the_uid_that_the_peer_gives_is_the_one_that_counts() -> None:
    """Also where we proposed another (fo-dicom#967)."""
    async with (
        run_acceptor(lambda message: [response(message, affected_sop_instance_uid="9.8.7")]) as acceptor,
        associate(acceptor.node, LOCAL, CONTEXTS) as association,
    ):
        assert (await n_create(association, STEP)).sop_instance_uid == "9.8.7"
        assert (await n_create(association, STEP, "1.2.3")).sop_instance_uid == "9.8.7"
    assert [message.command.affected_sop_instance_uid for message in acceptor.messages] == [None, "1.2.3"]
    assert [message.data_set for message in acceptor.messages] == [None, None]


async def test_a_creation_without_any_uid_is_of_no_use() -> None:
    async with run_acceptor(lambda message: [response(message)]) as acceptor:
        with pytest.raises(RemoteProtocolError, match="without the UID of what has been created"):
            async with associate(acceptor.node, LOCAL, CONTEXTS) as association:
                await n_create(association, STEP)


@pytest.mark.parametrize("status", [0x0107, 0x0116, 0xB600, 0xB605])
async def test_a_warning_is_a_response_with_what_it_is_about(status: int) -> None:
    data_set = encoded(step())

    def answer(message: Message) -> Iterable[Answer]:
        bare = response(message, status=status, attribute_identifiers=(0x00100010,), data_set_type=DATA_SET_PRESENT)
        return [Message(bare.context_id, bare.command, data_set)]

    async with run_acceptor(answer) as acceptor, associate(acceptor.node, LOCAL, CONTEXTS) as association:
        got = await n_set(association, STEP, "1.2.3", step())
    assert (got.status, got.is_warning, got.attribute_identifiers) == (status, True, (0x00100010,))
    assert got.decode() == step()


@pytest.mark.parametrize("status", [0x0110, 0x0111, 0x0112, 0x0120, 0x0213, 0xC600, 0xA700, 0xFE00, 0xFF00, 0x4242])
async def test_a_failure_names_status_comment_and_attributes(status: int) -> None:
    """Also what is no status of an N- service: PENDING is none, and nobody knows 4242H."""
    changes: dict[str, object] = {"status": status, "error_comment": "no", "attribute_identifiers": (0x00080018,)}
    async with run_acceptor(lambda message: [response(message, **changes)]) as acceptor:
        with pytest.raises(DimseFailure) as caught:
            async with associate(acceptor.node, LOCAL, CONTEXTS) as association:
                await n_create(association, STEP, "1.2.3", step())
    assert (caught.value.status, caught.value.comment, caught.value.offending_elements) == (status, "no", (0x00080018,))
    assert "N-CREATE failed with status" in str(caught.value)
    assert str(caught.value).endswith("('no'), because of (0008,0018)")


async def test_attributes_that_cannot_be_read_are_the_peers_fault() -> None:
    def answer(message: Message) -> Iterable[Answer]:
        return [(0, b"\x08\0\x18\0\xff\xff\xff\x7f1.")]

    async with run_acceptor(answer) as acceptor, associate(acceptor.node, LOCAL, CONTEXTS) as association:
        got = await n_get(association, STEP, "1.2.3")
        with pytest.raises(RemoteProtocolError, match="reading the response to N-GET"):
            got.decode()


def test_attributes_in_both_uncompressed_syntaxes_and_no_other() -> None:
    for syntax in (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN):
        assert decode_attributes(encode_attributes(step(), syntax), syntax) == step()
    with pytest.raises(ValueError, match="not written in JPEG Baseline"):
        encode_attributes(step(), "1.2.840.10008.1.2.4.50")


# ------------------------------------------------------------------ the peer asks us


class Reports:
    """A handler that keeps what it was given."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.seen: list[EventReport] = []

    async def __call__(self, report: EventReport) -> int:
        self.seen.append(report)
        return self.status


def reporting(command: Command) -> Handler:
    """Each N- request is answered after a report; C-ECHO, which shows that all is well, without."""

    def answer(message: Message) -> Iterable[Answer]:
        field = message.command.command_field
        if field.is_response:
            return []
        if field is CommandField.C_ECHO_RQ:
            return [response(message)]
        return [Message(message.context_id, command, encoded(step())), response(message)]

    return answer


async def test_a_report_may_overtake_the_response() -> None:
    """Storage commitment on the same association; the report comes before the N-ACTION-RSP."""
    reports = Reports()

    async with (
        run_acceptor(reporting(report(77))) as acceptor,
        associate(acceptor.node, LOCAL, CONTEXTS, on_event=reports) as association,
    ):
        await n_action(association, COMMITMENT, "1.2.840.10008.1.20.1.1", 1, step())
        await echo_once(association)
    (seen,) = reports.seen
    assert (seen.sop_class_uid, seen.sop_instance_uid) == (COMMITMENT, "1.2.840.10008.1.20.1.1")
    assert (seen.event_type_id, seen.peer.ae_title, seen.decode()) == (1, "PEER", step())
    confirmations = [one.command for one in acceptor.messages if one.command.command_field.is_response]
    assert confirmations[0] == Command(
        command_field=CommandField.N_EVENT_REPORT_RSP,
        message_id_being_responded_to=77,
        affected_sop_class_uid=COMMITMENT,
        affected_sop_instance_uid="1.2.840.10008.1.20.1.1",
        event_type_id=1,
        status=0,
    )


async def test_a_report_without_optional_fields_is_taken_as_far_as_it_goes() -> None:
    reports = Reports(0x0113)

    def answer(message: Message) -> Iterable[Answer]:
        if message.command.command_field is not CommandField.N_DELETE_RQ:
            return [] if message.command.command_field.is_response else [response(message)]
        return [pdu.encode_data_header(message.context_id, 3, len(BARE_REPORT)) + BARE_REPORT, response(message)]

    async with (
        run_acceptor(answer) as acceptor,
        associate(acceptor.node, LOCAL, CONTEXTS, on_event=reports) as association,
    ):
        await n_delete(association, STEP, "1.2.3")
        await echo_once(association)
    assert [(one.sop_class_uid, one.sop_instance_uid, one.event_type_id) for one in reports.seen] == [(STEP, "", None)]
    assert reports.seen[0].decode() == Dataset()
    assert [one.command.status for one in acceptor.messages if one.command.command_field.is_response] == [0x0113]


async def test_reports_that_come_later_are_attended_to() -> None:
    reports = Reports()

    def answer(message: Message) -> Iterable[Answer]:
        if message.command.command_field.is_response:
            return []
        return [response(message), *(Message(message.context_id, report(n), encoded(step())) for n in (8, 9))]

    async with (
        run_acceptor(answer) as acceptor,
        associate(acceptor.node, LOCAL, CONTEXTS, on_event=reports) as association,
    ):
        await n_action(association, COMMITMENT, "1.2.840.10008.1.20.1.1", 1, step())
        assert await association.attend(20, lambda: len(reports.seen) == 2)
    assert acceptor.ends == ["released"]


async def test_attending_ends_in_time_and_leaves_the_association_usable(clock: MockClock) -> None:
    async with (
        run_acceptor(lambda message: [response(message)]) as acceptor,
        associate(acceptor.node, LOCAL, CONTEXTS) as association,
    ):
        started = trio.current_time()
        assert not await association.attend(7, lambda: False)
        assert trio.current_time() - started == pytest.approx(7, abs=0.5)
        await echo_once(association)
    assert acceptor.ends == ["released"]


async def test_attending_looks_again_when_it_is_told(clock: MockClock) -> None:
    """What is waited for may be done on another association; what is not done yet is waited for on."""
    done: list[bool] = []
    async with (
        run_acceptor(lambda message: [response(message)]) as acceptor,
        associate(acceptor.node, LOCAL, CONTEXTS) as association,
    ):
        started = trio.current_time()

        async def elsewhere() -> None:
            await trio.sleep(2)
            association.look_again()
            await trio.sleep(2)
            done.append(True)
            association.look_again()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(elsewhere)
            assert await association.attend(60, lambda: bool(done))
        assert trio.current_time() - started == pytest.approx(4, abs=0.5)
        await echo_once(association)
    assert acceptor.ends == ["released"]


@pytest.mark.parametrize(("sop_class_uid", "status"), [(COMMITMENT, INVALID_ARGUMENT_VALUE), ("1.2.840.1", 0)])
async def test_without_a_handler_no_commitment_is_taken_and_news_are_confirmed(sop_class_uid: str, status: int) -> None:
    asked = reporting(report(3, sop_class_uid=sop_class_uid))
    async with run_acceptor(asked) as acceptor, associate(acceptor.node, LOCAL, CONTEXTS) as association:
        await n_delete(association, STEP, "1.2.3")
        await echo_once(association)
    assert [one.command.status for one in acceptor.messages if one.command.command_field.is_response] == [status]


# ------------------------------------------------------------------ roles, window, identity


async def test_roles_that_were_refused_are_no_context() -> None:
    proposed = (RoleSelection(COMMITMENT, True, True), RoleSelection(STEP, True, True))
    answered = (RoleSelection(COMMITMENT, False, True), RoleSelection(STEP, True, False))
    async with (
        run_acceptor(lambda message: [response(message)], user_items=answered) as acceptor,
        associate(acceptor.node, LOCAL, CONTEXTS, user_items=proposed) as association,
    ):
        with pytest.raises(NoUsableContext, match="we may not be the SCU of Storage Commitment"):
            await n_action(association, COMMITMENT, "1.2", 1)
        with pytest.raises(NoUsableContext, match="we may not be the SCP of Modality Performed"):
            await n_event_report(association, STEP, "1.2", 1)
        await n_event_report(association, COMMITMENT, "1.2", 1, step())
    assert [message.command.command_field.words for message in acceptor.messages] == ["N-EVENT-REPORT-RQ"]
    assert items_of(acceptor.requests[0].user_items, RoleSelection) == list(proposed)


async def test_the_window_is_used_and_never_exceeded() -> None:
    """Three requests, answered in reverse; a fourth is not even sent."""
    kept: list[Message] = []

    def answer(message: Message) -> Iterable[Answer]:
        kept.append(message)
        return [response(one) for one in reversed(kept)] if len(kept) == 3 else []

    def get(association: Association) -> Command:
        return Command(
            command_field=CommandField.N_GET_RQ,
            message_id=association.next_message_id(),
            requested_sop_class_uid=STEP,
            requested_sop_instance_uid="1.2",
        )

    async with (
        run_acceptor(answer, user_items=WINDOW) as acceptor,
        associate(acceptor.node, LOCAL, CONTEXTS, user_items=WINDOW) as association,
    ):
        context = association.context(STEP)
        for _ in range(3):
            await association.send(context, get(association))
        with pytest.raises(LocalProtocolError, match="beyond the 3 negotiated"):
            await association.send(context, get(association))
        for number in (1, 2, 3):
            got = await association.receive_response(context, CommandField.N_GET_RQ, number)
            assert got.command.message_id_being_responded_to == number
    assert len(kept) == 3 and acceptor.ends == ["released"]


@pytest.mark.parametrize("number", [MAX_EARLY_RESPONSES, MAX_EARLY_RESPONSES + 1])
async def test_responses_that_are_not_waited_for_yet_are_kept_within_a_bound(number: int) -> None:
    """The second operation is answered endlessly while we wait for the first."""

    def answer(message: Message) -> Iterable[Answer]:
        if message.command.message_id == 1:
            return []
        first = Command(command_field=CommandField.C_FIND_RSP, message_id_being_responded_to=1, status=0)
        pending = replace(first, message_id_being_responded_to=2, status=0xFF00)
        return [*[Message(message.context_id, pending, None)] * number, Message(message.context_id, first, None)]

    async def ask_twice(association: Association) -> int:
        context = association.context(VERIFICATION)
        for _ in range(2):
            command = Command(
                command_field=CommandField.C_FIND_RQ,
                message_id=association.next_message_id(),
                affected_sop_class_uid=VERIFICATION,
                priority=0,
            )
            await association.send(context, command)
        await association.receive_response(context, CommandField.C_FIND_RQ, 1)
        for _ in range(number):
            await association.receive_response(context, CommandField.C_FIND_RQ, 2)
        return number

    async with run_acceptor(answer, user_items=WINDOW) as acceptor:
        try:
            async with associate(acceptor.node, LOCAL, CONTEXTS, user_items=WINDOW) as association:
                assert await ask_twice(association) == MAX_EARLY_RESPONSES
        except RemoteProtocolError as error:
            assert number > MAX_EARLY_RESPONSES and "more than 1000 responses that are not waited for" in str(error)
        else:
            assert number == MAX_EARLY_RESPONSES


@pytest.mark.parametrize("kind", IdentityKind)
async def test_user_identity_is_carried_and_its_answer_seen(kind: IdentityKind) -> None:
    identity = UserIdentity(kind, b"primary", b"pass" if kind == 2 else b"", positive_response_requested=True)
    async with (
        run_acceptor(lambda message: [response(message)], user_items=(UserIdentityReply(b"yes"),)) as acceptor,
        associate(acceptor.node, LOCAL, VERIFICATION_CONTEXTS, user_items=(identity,)) as association,
    ):
        assert association.agreement.user_identity_reply == b"yes"
    assert items_of(acceptor.requests[0].user_items, UserIdentity) == [identity]


async def test_nonsense_is_refused_before_anything_is_sent() -> None:
    async with run_acceptor(lambda message: []) as acceptor:
        with pytest.raises(LocalProtocolError, match="roles for"):
            async with associate(
                acceptor.node, LOCAL, VERIFICATION_CONTEXTS, user_items=(RoleSelection(STEP, True, True),)
            ):
                pass
    assert acceptor.associations == 0


# ------------------------------------------------------------------ what a peer may do to us in between


async def test_a_peer_that_only_reports_is_not_waited_for_for_ever(clock: MockClock) -> None:
    """The timer is of the response; what comes in between does not wind it up again."""
    sent = 0

    def answer(message: Message) -> Iterable[Answer]:
        nonlocal sent
        sent += 1
        return [Message(message.context_id, report(sent), encoded(step()))] if sent < 1000 else [STALL]

    async with run_acceptor(answer) as acceptor:
        started = trio.current_time()
        with pytest.raises(TimedOut, match="no N-DELETE-RSP"):
            async with associate(acceptor.node, LOCAL, CONTEXTS) as association:
                await n_delete(association, STEP, "1.2.3")
        assert trio.current_time() - started <= 21
    assert sent == 1000


async def test_a_response_to_nothing_is_a_violation() -> None:
    def answer(message: Message) -> Iterable[Answer]:
        return [response(message), response(message)]

    async with run_acceptor(answer) as acceptor:
        with pytest.raises(RemoteProtocolError, match="and nothing was asked"):
            async with associate(acceptor.node, LOCAL, CONTEXTS) as association:
                await n_delete(association, STEP, "1.2.3")
                await association.attend(20, lambda: False)
        with trio.fail_after(5):
            while not acceptor.ends:
                await trio.lowlevel.checkpoint()
    assert acceptor.ends == ["aborted"]


async def test_a_response_to_the_operation_before_is_a_violation() -> None:
    """It came twice; the second must not be taken for the answer to the next request."""

    def answer(message: Message) -> Iterable[Answer]:
        return [response(message), response(message)]

    async with run_acceptor(answer) as acceptor:
        with pytest.raises(RemoteProtocolError, match=r"to message 1 in context 1 instead of .* to message 2"):
            async with associate(acceptor.node, LOCAL, CONTEXTS) as association:
                await n_delete(association, STEP, "1.2.3")
                await n_delete(association, STEP, "1.2.3")


async def test_a_peer_that_releases_while_we_attend_is_let_go() -> None:
    async with run_acceptor(lambda message: [response(message), RELEASE]) as acceptor:
        with pytest.raises(PeerReleased):
            async with associate(acceptor.node, LOCAL, CONTEXTS) as association:
                await echo_once(association)
                await association.attend(20, lambda: False)
    assert acceptor.ends == ["released by us"]
