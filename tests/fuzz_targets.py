"""What must hold for any octets, one function a decoder: for hypothesis, for the seeds, and for the long fuzzing runs.

A target returns or raises AssertionError; any other exception is a finding. `LENGTH_BOUND` times the input, plus
`FIXED_BOUND`, is the memory that a decoder may take.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from firmware_app.dicom import events, items, pdu
from firmware_app.dicom.association import Association
from firmware_app.dicom.charset import CODECS, ESCAPES, TextDecoder
from firmware_app.dicom.command import Command, CommandField, decode_command, encode_command
from firmware_app.dicom.elements import read_data_set
from firmware_app.dicom.errors import LocalProtocolError, RemoteProtocolError
from firmware_app.dicom.negotiation import propose_contexts
from firmware_app.dicom.part10 import FRONT_LENGTH, NotAnInstance, meta_length, read_meta
from firmware_app.dicom.state import State
from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, MODALITY_WORKLIST_FIND, VERIFICATION
from firmware_app.dicom.worklist_item import SEQUENCE_TAGS, read_worklist_item

LENGTH_BOUND = 150  # the dearest: an empty PDV of six octets becomes a value with a view, 106 times its length
FIXED_BOUND = 64 * 1024

USER_ITEMS = (items.MaximumLength(16384), items.ImplementationClassUid("1.2.3"))
PROPOSED = propose_contexts(
    [(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)), (MODALITY_WORKLIST_FIND, (IMPLICIT_VR_LITTLE_ENDIAN,))]
)
REQUEST = pdu.AssociateRequest("CALLED", "CALLING", PROPOSED, USER_ITEMS)
ACCEPT = pdu.AssociateAccept(
    "CALLED", "CALLING", tuple(pdu.ContextResult(one.context_id, 0, IMPLICIT_VR_LITTLE_ENDIAN) for one in PROPOSED)
)


def check_pdu(octets: bytes) -> None:
    try:
        decoded = pdu.decode_pdu(octets)
    except RemoteProtocolError:
        return
    with suppress(LocalProtocolError):  # an empty AE title and the like are read but never written
        again = decoded.encode()
        assert pdu.decode_pdu(again).encode() == again


def check_user_items(octets: bytes) -> None:
    try:
        decoded = items.decode_user_items(octets)
    except RemoteProtocolError:
        return
    with suppress(LocalProtocolError):
        assert items.decode_user_items(b"".join(map(items.encode_user_item, decoded))) == decoded


def check_command(octets: bytes) -> None:
    try:
        decoded = decode_command(octets)
    except RemoteProtocolError:
        return
    with suppress(LocalProtocolError):
        assert decode_command(encode_command(decoded)).command_field is decoded.command_field


def check_association(octets: bytes) -> None:
    """The first octet chooses where the association stands, the second how the rest is cut, the third what we do."""
    if len(octets) < 3:
        return
    association = STARTS[octets[0] % len(STARTS)]()
    association.data_to_send()
    step, ours, stream = octets[1] + 1, octets[2], octets[3:]
    violations = 0
    for number, offset in enumerate(range(0, len(stream), step)):
        if number == ours:
            act(association, ours)
        association.receive_data(stream[offset : offset + step])
        violations += take_events(association)
    assert violations <= 1
    association.transport_closed()
    while association.next_event() is not None:
        pass
    assert association.state is State.IDLE


def take_events(association: Association) -> int:
    """Answer as a user does; 1 for a violation, which must have been answered by A-ABORT and ended everything."""
    try:
        while (event := association.next_event()) is not None:
            if isinstance(event, events.Requested):
                association.accept(ACCEPT)
            elif isinstance(event, events.Received) and not event.message.command.command_field.is_response:
                with suppress(LocalProtocolError):  # it may have announced no room, or a field of ours cannot be
                    association.send_command(event.message.context_id, decline(event.message.command))
            elif isinstance(event, events.ReleaseRequested):
                with suppress(LocalProtocolError):  # Sta10: the requestor's answer comes first
                    association.confirm_release()
    except RemoteProtocolError:
        assert association.state is State.AWAIT_CLOSE and association.artim_running
        assert association.data_to_send()[-10:-6] == b"\x07\0\0\0"
        return 1
    association.data_to_send()
    return 0


def decline(request: Command) -> Command:
    field = CommandField(request.command_field | 0x8000) if request.message_id is not None else CommandField.C_ECHO_RSP
    return Command(command_field=field, message_id_being_responded_to=request.message_id or 0, status=0x0211)


def act(association: Association, choice: int) -> None:
    if choice % 2:
        association.abort()
    else:
        with suppress(LocalProtocolError):
            association.release()


def requesting() -> Association:
    association = Association.requestor(REQUEST)
    association.request()
    association.transport_connected()
    return association


def established() -> Association:
    association = requesting()
    association.receive_data(ACCEPT.encode())
    association.next_event()
    return association


def releasing() -> Association:
    association = established()
    association.release()
    return association


def accepting() -> Association:
    association = Association.acceptor(16384)
    association.transport_accepted()
    return association


def accepted() -> Association:
    association = accepting()
    association.receive_data(REQUEST.encode())
    association.next_event()
    association.accept(ACCEPT)
    return association


STARTS = (requesting, established, releasing, accepting, accepted)


def check_data_set(octets: bytes) -> None:
    for explicit_vr in (True, False):
        read_data_set(octets, explicit_vr=explicit_vr, sequence_tags=SEQUENCE_TAGS)


def check_worklist_item(octets: bytes) -> None:
    for explicit_vr in (True, False):
        read_worklist_item(octets, explicit_vr=explicit_vr)


def check_part10(octets: bytes) -> None:
    with suppress(NotAnInstance):
        read_meta(octets[FRONT_LENGTH : FRONT_LENGTH + meta_length(octets[:FRONT_LENGTH])])
    with suppress(NotAnInstance):
        read_meta(octets)


REPERTOIRES = (*CODECS, *sorted({one.number for one in ESCAPES.values()}))
TERMS = ("", "?", *(f"{prefix} {number}" for prefix in ("ISO_IR", "ISO 2022 IR") for number in REPERTOIRES))


def check_charset(octets: bytes) -> None:
    """The first two octets choose the declaration, the rest is text."""
    if len(octets) < 2:
        return
    decoder = TextDecoder((TERMS[octets[0] % len(TERMS)], TERMS[octets[1] % len(TERMS)]))
    for person_name in (False, True):
        decoder.decode(octets[2:], person_name=person_name)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "association": check_association,
    "charset": check_charset,
    "command": check_command,
    "data_set": check_data_set,
    "part10": check_part10,
    "pdu": check_pdu,
    "user_items": check_user_items,
    "worklist_item": check_worklist_item,
}
