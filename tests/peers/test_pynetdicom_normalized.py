"""N- services, roles and identities with pynetdicom at the other end, as acceptor and as requestor."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from firmware_app.dicom.items import (
    AsynchronousOperationsWindow,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserItem,
)
from firmware_app.dicom.negotiation import DEFAULT_ROLES, IdentityKind, Roles
from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    STORAGE_COMMITMENT_PUSH_MODEL,
    VERIFICATION,
)
from firmware_app.net.association import associate
from firmware_app.net.errors import AssociationRejected, DimseFailure
from firmware_app.net.listener import InboundAssociation, serve
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.normalized import n_action, n_create, n_delete, n_get, n_set
from firmware_app.net.performer import EventReport
from firmware_app.net.verification import VERIFICATION_CONTEXTS, echo_once

STEP, COMMITMENT = MODALITY_PERFORMED_PROCEDURE_STEP, STORAGE_COMMITMENT_PUSH_MODEL
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
PRINTER, PRINTER_INSTANCE = "1.2.840.10008.5.1.1.16", "1.2.840.10008.5.1.1.17"
FILM_SESSION, PRINT_META = "1.2.840.10008.5.1.1.1", "1.2.840.10008.5.1.1.9"
SYNTAXES = (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)
CONTEXTS = tuple((uid, SYNTAXES) for uid in (STEP, COMMITMENT, PRINT_META, VERIFICATION))


@contextmanager
def acceptor(*handlers: Any, syntax: str = IMPLICIT_VR_LITTLE_ENDIAN) -> Iterator[Node]:
    entity = AE("PYNET")
    for abstract_syntax in (STEP, PRINT_META, VERIFICATION):
        entity.add_supported_context(abstract_syntax, syntax)
    entity.add_supported_context(COMMITMENT, syntax, scu_role=True, scp_role=True)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
    assert server is not None
    try:
        yield Node("peer", "127.0.0.1", server.server_address[1], "PYNET", Timeouts.all(20))
    finally:
        server.shutdown()


def attributes(**values: Any) -> Dataset:
    data_set = Dataset()
    for keyword, value in values.items():
        setattr(data_set, keyword, value)
    return data_set


@pytest.mark.parametrize("syntax", SYNTAXES)
async def test_every_service(syntax: str, local: LocalApplicationEntity) -> None:
    seen: list[tuple[str, Any]] = []

    def on_create(event: Any) -> tuple[int, Dataset]:
        seen.append(("create", event.attribute_list))
        reply = attributes(**{one.keyword: one.value for one in event.attribute_list})
        if not event.request.AffectedSOPInstanceUID:
            reply.AffectedSOPInstanceUID = "1.2.3.77"
        return 0x0000, reply

    def on_set(event: Any) -> tuple[int, Dataset]:
        seen.append(("set", event.modification_list))
        return 0x0116, event.modification_list

    def on_get(event: Any) -> tuple[int, Dataset]:
        seen.append(("get", [int(tag) for tag in event.attribute_identifiers]))
        return 0x0000, attributes(PrinterStatus="NORMAL", PrinterName="PRN")

    def on_action(event: Any) -> tuple[int, None]:
        seen.append(("action", (event.action_type, event.action_information)))
        return 0x0000, None

    def on_delete(event: Any) -> int:
        seen.append(("delete", event.request.RequestedSOPInstanceUID))
        return 0x0000

    handlers = [
        (evt.EVT_N_CREATE, on_create),
        (evt.EVT_N_SET, on_set),
        (evt.EVT_N_GET, on_get),
        (evt.EVT_N_ACTION, on_action),
        (evt.EVT_N_DELETE, on_delete),
    ]
    step = attributes(PerformedProcedureStepStatus="IN PROGRESS", PatientName="DOE^JANE")
    with acceptor(*handlers, syntax=syntax) as node:
        async with associate(node, local, CONTEXTS) as association:
            meta = association.context(PRINT_META)
            created = await n_create(association, STEP, "1.2.3", step)
            changed = await n_set(association, STEP, "1.2.3", step)
            printer = await n_get(association, PRINTER, PRINTER_INSTANCE, [0x21100010, 0x21100030], context=meta)
            session = await n_create(association, FILM_SESSION, None, attributes(NumberOfCopies="1"), context=meta)
            await n_action(association, COMMITMENT, COMMITMENT_INSTANCE, 1, attributes(TransactionUID="1.2.9"))
            await n_delete(association, FILM_SESSION, session.sop_instance_uid, context=meta)
        assert association.release_failure is None
    assert (created.decode(), created.sop_instance_uid) == (step, "1.2.3")
    assert (changed.decode(), changed.is_warning) == (step, True)
    assert printer.decode().PrinterStatus == "NORMAL"
    assert session.sop_instance_uid == "1.2.3.77"
    assert seen == [
        ("create", step),
        ("set", step),
        ("get", [0x21100010, 0x21100030]),
        ("create", attributes(NumberOfCopies="1")),
        ("action", (1, attributes(TransactionUID="1.2.9"))),
        ("delete", "1.2.3.77"),
    ]


async def test_a_failure_of_an_n_service(local: LocalApplicationEntity) -> None:
    def on_create(event: Any) -> tuple[Dataset, None]:
        return attributes(Status=0x0120, ErrorComment="no status"), None

    expected = pytest.raises(DimseFailure, match=r"0120H missing attribute.*no status")
    with acceptor((evt.EVT_N_CREATE, on_create)) as node, expected:
        async with associate(node, local, CONTEXTS) as association:
            await n_create(association, STEP, "1.2.3", attributes(PatientID="1"))


async def test_a_commitment_report_on_the_same_association(local: LocalApplicationEntity) -> None:
    reports: list[EventReport] = []
    statuses: list[int] = []

    def on_action(event: Any) -> tuple[int, None]:
        association, uid = event.assoc, event.action_information.TransactionUID

        def report() -> None:
            status, _ = association.send_n_event_report(
                attributes(TransactionUID=uid), 1, COMMITMENT, COMMITMENT_INSTANCE
            )
            statuses.append(status.Status)

        threading.Timer(0.05, report).start()
        return 0x0000, None

    async def keep(report: EventReport) -> int:
        reports.append(report)
        return 0

    with acceptor((evt.EVT_N_ACTION, on_action)) as node:
        async with associate(node, local, CONTEXTS, on_event=keep) as association:
            await n_action(association, COMMITMENT, COMMITMENT_INSTANCE, 1, attributes(TransactionUID="1.2.9"))
            assert await association.attend(20, lambda: bool(reports))
            await echo_once(association)
    assert reports[0].decode().TransactionUID == "1.2.9"
    assert (reports[0].event_type_id, statuses) == (1, [0])


@pytest.mark.parametrize(
    ("proposed", "agreed"),
    [
        (None, DEFAULT_ROLES),
        ((True, True), Roles(scu=True, scp=True)),
        ((False, True), Roles(scu=False, scp=True)),
    ],
)
async def test_roles_as_requestor(
    proposed: tuple[bool, bool] | None, agreed: Roles, local: LocalApplicationEntity
) -> None:
    items: tuple[UserItem, ...] = (RoleSelection(COMMITMENT, *proposed),) if proposed else ()
    with acceptor() as node:
        async with associate(node, local, CONTEXTS, user_items=items) as association:
            assert association.agreement.roles_for(COMMITMENT) == agreed


IDENTITIES = {
    IdentityKind.NAME: b"name",
    IdentityKind.NAME_AND_PASSCODE: b"name",
    IdentityKind.KERBEROS: b"ticket",
    IdentityKind.SAML: b"<assertion/>",
    IdentityKind.JSON_WEB_TOKEN: b"e30.e30.",
}


@pytest.mark.parametrize("kind", IDENTITIES)
@pytest.mark.parametrize("verified", [True, False])
async def test_user_identity_as_requestor(kind: IdentityKind, verified: bool, local: LocalApplicationEntity) -> None:
    seen: list[tuple[int, bytes, bytes]] = []

    def on_user_id(event: Any) -> tuple[bool, bytes]:
        seen.append((event.user_id_type, event.primary_field, event.secondary_field))
        return verified, b"reply"

    passcode = b"secret" if kind is IdentityKind.NAME_AND_PASSCODE else b""
    identity = UserIdentity(kind, IDENTITIES[kind], passcode, positive_response_requested=True)
    reply: bytes | None = None
    rejected: AssociationRejected | None = None
    with acceptor((evt.EVT_USER_ID, on_user_id)) as node:
        try:
            async with associate(node, local, VERIFICATION_CONTEXTS, user_items=(identity,)) as association:
                reply = association.agreement.user_identity_reply
                await echo_once(association)
        except AssociationRejected as error:
            rejected = error
    assert seen == [(kind, IDENTITIES[kind], passcode)]
    # Of a name there is nothing to say but yes (PS3.7 table D.3-15), which pynetdicom does by accepting.
    assert reply == (b"reply" if verified and kind > IdentityKind.NAME_AND_PASSCODE else None)
    assert (rejected is None) is verified


async def test_the_window_and_extended_negotiation_as_requestor(local: LocalApplicationEntity) -> None:
    def on_extended(event: Any) -> dict[str, bytes]:
        return {uid: information[::-1] for uid, information in event.app_info.items()}

    items = (AsynchronousOperationsWindow(8, 2), ExtendedNegotiation(VERIFICATION, b"\1\2\3"))
    handlers = [(evt.EVT_ASYNC_OPS, lambda event: (3, 1)), (evt.EVT_SOP_EXTENDED, on_extended)]
    with acceptor(*handlers) as node:
        async with associate(node, local, VERIFICATION_CONTEXTS, user_items=items) as association:
            agreement = association.agreement
            await echo_once(association)
    # pynetdicom always answers with its own one operation, whatever its handler says.
    assert 1 <= agreement.operations_invoked <= 8 and 1 <= agreement.operations_performed <= 2
    assert agreement.extended == {VERIFICATION: b"\3\2\1"}


# ------------------------------------------------------------------ pynetdicom calls us


class Port:
    def __init__(self) -> None:
        self.port = 0
        self.reports: list[EventReport] = []
        self.ended: list[InboundAssociation] = []

    async def keep(self, report: EventReport) -> int:
        self.reports.append(report)
        return 0


@asynccontextmanager
async def listening(local: LocalApplicationEntity) -> AsyncIterator[Port]:
    port = Port()
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
            await serve(local, 0, on_event=port.keep, observe=port.ended.append, task_status=task_status)

        port.port = await nursery.start(run)
        yield port
        nursery.cancel_scope.cancel()


def report_and_echo(port: int, roles: list[Any]) -> list[int]:
    entity = AE("PACS")
    entity.add_requested_context(COMMITMENT)
    entity.add_requested_context(VERIFICATION)
    association = entity.associate("127.0.0.1", port, ae_title="SPECULAR", ext_neg=roles)
    assert association.is_established
    try:
        information = attributes(TransactionUID="1.2.9")
        status, _ = association.send_n_event_report(information, 1, COMMITMENT, COMMITMENT_INSTANCE)
        return [status.Status, association.send_c_echo().Status]
    finally:
        association.release()


async def test_a_report_to_our_port(local: LocalApplicationEntity) -> None:
    async with listening(local) as port:
        roles = [build_role(COMMITMENT, scu_role=False, scp_role=True)]
        assert await trio.to_thread.run_sync(report_and_echo, port.port, roles) == [0, 0]
    assert port.reports[0].decode().TransactionUID == "1.2.9"
    assert (port.reports[0].peer.ae_title, port.reports[0].event_type_id) == ("PACS", 1)


def echo_with_identity(port: int) -> int:
    entity = AE("PACS")
    entity.add_requested_context(VERIFICATION)
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field, identity.secondary_field = 2, b"name", b"secret"
    identity.positive_response_requested = True
    association = entity.associate("127.0.0.1", port, ae_title="SPECULAR", ext_neg=[identity])
    assert association.is_established
    status: int = association.send_c_echo().Status
    association.release()
    return status


async def test_an_identity_that_nobody_checks_is_no_obstacle(local: LocalApplicationEntity) -> None:
    async with listening(local) as port:
        assert await trio.to_thread.run_sync(echo_with_identity, port.port) == 0
        with trio.fail_after(10):
            while not port.ended:
                await trio.lowlevel.checkpoint()
    assert (port.ended[0].outcome, port.ended[0].echoes) == ("released", 1)
