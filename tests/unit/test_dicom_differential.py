"""Random primitives written by us and by scapy's DICOM layer, and read and written again by pynetdicom."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom import pdu as pynetdicom
from scapy.contrib import dicom as scapy

from firmware_app.dicom import items, pdu
from firmware_app.dicom.command import Command, CommandField, decode_command, encode_command

few = settings(max_examples=25, deadline=None, derandomize=True)
uids = st.from_regex(r"\A[0-2]\.[1-9][0-9]{0,8}(\.(0|[1-9][0-9]{0,8})){1,4}\Z")
ae_titles = st.from_regex(r"\A[A-Z0-9_]([A-Z0-9_ ]{0,14}[A-Z0-9_])?\Z")
u16, octet = st.integers(0, 0xFFFF), st.integers(0, 255)
filled = st.binary(min_size=1, max_size=30)  # pynetdicom writes a wrong length for an empty field
user_items = st.tuples(
    st.builds(items.MaximumLength, st.integers(0, 0xFFFFFFFF)),
    st.builds(items.ImplementationClassUid, uids),
    st.builds(items.AsynchronousOperationsWindow, u16, u16),
    st.builds(items.RoleSelection, uids, st.booleans(), st.booleans()),
    st.builds(items.ImplementationVersionName, st.from_regex(r"\A[A-Z0-9_]{1,16}\Z")),
    st.builds(items.ExtendedNegotiation, uids, st.binary(min_size=1, max_size=20)),
    st.builds(items.CommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=3).map(tuple)),
    st.builds(items.UserIdentity, st.just(2), filled, filled, st.booleans()),
    st.builds(items.UserIdentityReply, filled),
)
numbers = st.lists(st.sampled_from(range(1, 256, 2)), min_size=1, max_size=5, unique=True)


PYNETDICOM: dict[type[pdu.Pdu], Any] = {
    pdu.AssociateRequest: pynetdicom.A_ASSOCIATE_RQ,
    pdu.AssociateAccept: pynetdicom.A_ASSOCIATE_AC,
    pdu.AssociateReject: pynetdicom.A_ASSOCIATE_RJ,
    pdu.DataTransfer: pynetdicom.P_DATA_TF,
    pdu.ReleaseRequest: pynetdicom.A_RELEASE_RQ,
    pdu.ReleaseReply: pynetdicom.A_RELEASE_RP,
    pdu.Abort: pynetdicom.A_ABORT_RQ,
}


def theirs(item_type: int, layer: Any) -> Any:
    return scapy.DICOMVariableItem(item_type=item_type) / layer


def uid_item(item_type: int, layer: Any, uid: str) -> Any:
    return theirs(item_type, layer(uid=uid.encode()))


def their_user_item(item: items.UserItem) -> Any:
    match item:
        case items.MaximumLength():
            layer = scapy.DICOMMaximumLength(max_pdu_length=item.length)
        case items.ImplementationClassUid():
            layer = scapy.DICOMImplementationClassUID(uid=item.uid.encode())
        case items.AsynchronousOperationsWindow():
            layer = scapy.DICOMAsyncOperationsWindow(max_ops_invoked=item.invoked, max_ops_performed=item.performed)
        case items.RoleSelection():
            layer = scapy.DICOMSCPSCURoleSelection(
                sop_class_uid=item.sop_class_uid.encode(), scu_role=int(item.scu), scp_role=int(item.scp)
            )
        case items.ImplementationVersionName():
            layer = scapy.DICOMImplementationVersionName(name=item.name.encode())
        case items.ExtendedNegotiation():
            layer = scapy.DICOMSOPClassExtendedNegotiation(
                sop_class_uid=item.sop_class_uid.encode(), service_class_application_information=item.information
            )
        case items.CommonExtendedNegotiation():
            layer = scapy.DICOMSOPClassCommonExtendedNegotiation(
                sop_class_uid=item.sop_class_uid.encode(),
                service_class_uid=item.service_class_uid.encode(),
                related_sop_class_uids=b"".join(
                    len(uid).to_bytes(2, "big") + uid.encode() for uid in item.related_sop_class_uids
                ),
            )
        case items.UserIdentity():
            layer = scapy.DICOMUserIdentity(
                user_identity_type=item.kind,
                positive_response_requested=int(item.positive_response_requested),
                primary_field=item.primary,
                secondary_field=item.secondary,
            )
        case items.UserIdentityReply():
            layer = scapy.DICOMUserIdentityResponse(server_response=item.server_response)
    return theirs(item.ITEM_TYPE, layer)


def their_associate(ours: pdu.AssociateRequest | pdu.AssociateAccept, layer: Any, contexts: list[Any]) -> bytes:
    user = [their_user_item(item) for item in ours.user_items]
    parts = [
        uid_item(0x10, scapy.DICOMApplicationContext, ours.application_context),
        *contexts,
        theirs(0x50, scapy.DICOMUserInformation(sub_items=user)),
    ]
    fields = layer(
        called_ae_title=ours.called_ae_title.encode(),
        calling_ae_title=ours.calling_ae_title.encode(),
        variable_items=parts,
    )
    return bytes(scapy.DICOM(pdu_type=ours.PDU_TYPE) / fields)


def check(ours: pdu.Pdu, octets: bytes) -> None:
    """Byte for byte, and back; the others read it, and leave nothing over."""
    assert ours.encode() == octets
    assert pdu.decode_pdu(octets) == ours
    dissected = scapy.DICOM(octets)
    assert dissected.length == len(octets) - pdu.HEADER.size
    assert type(dissected.lastlayer()).__name__ not in ("Raw", "Padding")
    read = PYNETDICOM[type(ours)]()
    read.decode(octets)
    assert read.encode() == octets


@few
@given(ae_titles, ae_titles, numbers, user_items, st.data())
def test_requests(
    called: str, calling: str, context_ids: list[int], chosen: tuple[items.UserItem, ...], data: st.DataObject
) -> None:
    contexts = tuple(
        pdu.ProposedContext(one, data.draw(uids), tuple(data.draw(st.lists(uids, min_size=1, max_size=3))))
        for one in context_ids
    )
    request = pdu.AssociateRequest(called, calling, contexts, chosen)
    their_contexts = [
        theirs(
            0x20,
            scapy.DICOMPresentationContextRQ(
                context_id=context.context_id,
                sub_items=[
                    uid_item(0x30, scapy.DICOMAbstractSyntax, context.abstract_syntax),
                    *(uid_item(0x40, scapy.DICOMTransferSyntax, uid) for uid in context.transfer_syntaxes),
                ],
            ),
        )
        for context in contexts
    ]
    check(request, their_associate(request, scapy.A_ASSOCIATE_RQ, their_contexts))


@few
@given(numbers, user_items, st.data())
def test_accepts(context_ids: list[int], chosen: tuple[items.UserItem, ...], data: st.DataObject) -> None:
    results = tuple(pdu.ContextResult(one, data.draw(st.integers(0, 4)), data.draw(uids)) for one in context_ids)
    accept = pdu.AssociateAccept("CALLED", "CALLING", results, chosen)
    their_contexts = [
        theirs(
            0x21,
            scapy.DICOMPresentationContextAC(
                context_id=one.context_id,
                result=one.result,
                sub_items=[uid_item(0x40, scapy.DICOMTransferSyntax, str(one.transfer_syntax))],
            ),
        )
        for one in results
    ]
    check(accept, their_associate(accept, scapy.A_ASSOCIATE_AC, their_contexts))


@few
@given(octet, octet, octet)
def test_rejects_and_aborts(result: int, source: int, reason: int) -> None:
    rejection = scapy.A_ASSOCIATE_RJ(result=result, source=source, reason_diag=reason)
    check(pdu.AssociateReject(result, source, reason), bytes(scapy.DICOM(pdu_type=3) / rejection))
    check(pdu.Abort(source, reason), bytes(scapy.DICOM(pdu_type=7) / scapy.A_ABORT(source=source, reason_diag=reason)))


def test_releases() -> None:
    check(pdu.ReleaseRequest(), bytes(scapy.DICOM(pdu_type=5) / scapy.A_RELEASE_RQ()))
    check(pdu.ReleaseReply(), bytes(scapy.DICOM(pdu_type=6) / scapy.A_RELEASE_RP()))


@few
@given(st.lists(st.tuples(octet, st.integers(0, 3), st.binary(max_size=40)), min_size=1, max_size=6))
def test_data(rows: list[tuple[int, int, bytes]]) -> None:
    values = tuple(pdu.PresentationDataValue(*row) for row in rows)
    their_values = [
        scapy.PresentationDataValueItem(
            context_id=one.context_id, is_command=int(one.is_command), is_last=int(one.is_last), data=one.fragment
        )
        for one in values
    ]
    check(pdu.DataTransfer(values), bytes(scapy.DICOM(pdu_type=4) / scapy.P_DATA_TF(pdv_items=their_values)))


@few
@given(st.sampled_from([1, 3, 4, 5]), st.binary(max_size=30), st.booleans())
def test_a_user_identity_without_the_length_of_a_passcode_is_read(kind: int, primary: bytes, wanted: bool) -> None:
    """They leave the length out where there is no passcode; we write it, as PS3.7 table D.3-14 has it."""
    item = items.UserIdentity(kind, primary, b"", wanted)
    octets = bytes(their_user_item(item))
    assert items.decode_user_items(octets) == (item,)
    assert items.decode_user_items(items.encode_user_item(item)) == (item,)


COMMANDS = {
    CommandField.C_ECHO_RQ: ("C_ECHO_RQ", ("message_id",)),
    CommandField.C_ECHO_RSP: ("C_ECHO_RSP", ("message_id_being_responded_to", "status")),
    CommandField.C_STORE_RQ: ("C_STORE_RQ", ("message_id", "priority", "affected_sop_instance_uid")),
    CommandField.C_STORE_RSP: (
        "C_STORE_RSP",
        ("message_id_being_responded_to", "status", "affected_sop_instance_uid"),
    ),
    CommandField.C_FIND_RQ: ("C_FIND_RQ", ("message_id", "priority")),
    CommandField.C_FIND_RSP: ("C_FIND_RSP", ("message_id_being_responded_to", "status")),
}


@few
@given(st.sampled_from(sorted(COMMANDS)), uids, uids, st.data())
def test_command_sets(field: CommandField, sop_class: str, sop_instance: str, data: st.DataObject) -> None:
    layer, names = COMMANDS[field]
    values: dict[str, Any] = {"affected_sop_class_uid": sop_class, "data_set_type": data.draw(u16)}
    values |= {name: sop_instance if name.endswith("uid") else data.draw(u16) for name in names}
    command = Command(command_field=field, **values)
    their_names = {"message_id_being_responded_to": "message_id_responded"}
    octets = bytes(getattr(scapy, layer)(**{their_names.get(name, name): value for name, value in values.items()}))
    assert encode_command(command) == octets
    assert decode_command(octets) == command
