"""Command sets: group 0000 in Implicit VR Little Endian (PS3.7 section 6.3.1 and annex E), as one frozen value.

`ELEMENTS` says how each command element is written, `MESSAGES` (PS3.7 section 9.3 and 10.3) which message needs which
of them. A new service adds no code here. Reading is lenient where a message stays usable: unknown elements are skipped,
the group length is not needed, optional fields may be missing. What is needed to match a response is not optional.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import Enum, IntEnum

from firmware_app.dicom.errors import LocalProtocolError, RemoteProtocolError
from firmware_app.dicom.octets import decode_text

ELEMENT_HEADER = struct.Struct("<HHI")  # group, element, length of the value
NO_DATA_SET = 0x0101  # PS3.7 annex E.1, (0000,0800)
DATA_SET_PRESENT = 0x0001
RESPONSE_BIT = 0x8000
MAX_COMMAND_LENGTH = 64 * 1024
# What a peer says of a failure is shown and kept, so a comment (64 characters by its VR) or a list of 60 kB is cut.
MAX_RECEIVED_COMMENT = 256
MAX_RECEIVED_TAGS = 64


class CommandField(IntEnum):
    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_GET_RSP = 0x8110
    N_SET_RQ = 0x0120
    N_SET_RSP = 0x8120
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    N_CREATE_RQ = 0x0140
    N_CREATE_RSP = 0x8140
    N_DELETE_RQ = 0x0150
    N_DELETE_RSP = 0x8150
    C_CANCEL_RQ = 0x0FFF

    @property
    def is_response(self) -> bool:
        return bool(self & RESPONSE_BIT)

    @property
    def response(self) -> CommandField:
        """The field that answers this request."""
        return CommandField(self | RESPONSE_BIT)

    @property
    def words(self) -> str:
        """As the standard writes it: `N-EVENT-REPORT-RQ`."""
        return self.name.replace("_", "-")


class Priority(IntEnum):
    MEDIUM = 0
    HIGH = 1
    LOW = 2


class ValueForm(Enum):
    """How a command element's value is written; the names are the VRs of PS3.5."""

    UI = "UI"
    AE = "AE"
    LO = "LO"
    US = "US"
    AT = "AT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command set. An attribute that is None is not in it."""

    command_field: CommandField
    message_id: int | None = None
    message_id_being_responded_to: int | None = None
    affected_sop_class_uid: str | None = None
    requested_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None
    requested_sop_instance_uid: str | None = None
    move_destination: str | None = None
    priority: int | None = None
    data_set_type: int = NO_DATA_SET
    status: int | None = None
    offending_elements: tuple[int, ...] | None = None
    error_comment: str | None = None
    error_id: int | None = None
    event_type_id: int | None = None
    attribute_identifiers: tuple[int, ...] | None = None
    action_type_id: int | None = None
    remaining_suboperations: int | None = None
    completed_suboperations: int | None = None
    failed_suboperations: int | None = None
    warning_suboperations: int | None = None
    move_originator_ae_title: str | None = None
    move_originator_message_id: int | None = None

    @property
    def has_data_set(self) -> bool:
        return self.data_set_type != NO_DATA_SET


CommandValue = str | int | tuple[int, ...]

# PS3.7 table E.1-1, in tag order because that is the order on the wire.
ELEMENTS: dict[int, tuple[str, ValueForm]] = {
    0x0002: ("affected_sop_class_uid", ValueForm.UI),
    0x0003: ("requested_sop_class_uid", ValueForm.UI),
    0x0100: ("command_field", ValueForm.US),
    0x0110: ("message_id", ValueForm.US),
    0x0120: ("message_id_being_responded_to", ValueForm.US),
    0x0600: ("move_destination", ValueForm.AE),
    0x0700: ("priority", ValueForm.US),
    0x0800: ("data_set_type", ValueForm.US),
    0x0900: ("status", ValueForm.US),
    0x0901: ("offending_elements", ValueForm.AT),
    0x0902: ("error_comment", ValueForm.LO),
    0x0903: ("error_id", ValueForm.US),
    0x1000: ("affected_sop_instance_uid", ValueForm.UI),
    0x1001: ("requested_sop_instance_uid", ValueForm.UI),
    0x1002: ("event_type_id", ValueForm.US),
    0x1005: ("attribute_identifiers", ValueForm.AT),
    0x1008: ("action_type_id", ValueForm.US),
    0x1020: ("remaining_suboperations", ValueForm.US),
    0x1021: ("completed_suboperations", ValueForm.US),
    0x1022: ("failed_suboperations", ValueForm.US),
    0x1023: ("warning_suboperations", ValueForm.US),
    0x1030: ("move_originator_ae_title", ValueForm.AE),
    0x1031: ("move_originator_message_id", ValueForm.US),
}

_REQUEST = ("message_id",)
_RESPONSE = ("message_id_being_responded_to", "status")
_AFFECTED = (*_REQUEST, "affected_sop_class_uid")
_REQUESTED = (*_REQUEST, "requested_sop_class_uid", "requested_sop_instance_uid")

# What a message must hold when we write it (PS3.7 tables 9.3-1 to 10.3-12, mandatory fields).
MESSAGES: dict[CommandField, tuple[str, ...]] = {
    CommandField.C_STORE_RQ: (*_AFFECTED, "affected_sop_instance_uid", "priority"),
    CommandField.C_STORE_RSP: _RESPONSE,
    CommandField.C_GET_RQ: (*_AFFECTED, "priority"),
    CommandField.C_GET_RSP: _RESPONSE,
    CommandField.C_FIND_RQ: (*_AFFECTED, "priority"),
    CommandField.C_FIND_RSP: _RESPONSE,
    CommandField.C_MOVE_RQ: (*_AFFECTED, "priority", "move_destination"),
    CommandField.C_MOVE_RSP: _RESPONSE,
    CommandField.C_ECHO_RQ: _AFFECTED,
    CommandField.C_ECHO_RSP: _RESPONSE,
    CommandField.N_EVENT_REPORT_RQ: (*_AFFECTED, "affected_sop_instance_uid", "event_type_id"),
    CommandField.N_EVENT_REPORT_RSP: _RESPONSE,
    CommandField.N_GET_RQ: _REQUESTED,
    CommandField.N_GET_RSP: _RESPONSE,
    CommandField.N_SET_RQ: _REQUESTED,
    CommandField.N_SET_RSP: _RESPONSE,
    CommandField.N_ACTION_RQ: (*_REQUESTED, "action_type_id"),
    CommandField.N_ACTION_RSP: _RESPONSE,
    CommandField.N_CREATE_RQ: _AFFECTED,
    CommandField.N_CREATE_RSP: _RESPONSE,
    CommandField.N_DELETE_RQ: _REQUESTED,
    CommandField.N_DELETE_RSP: _RESPONSE,
    CommandField.C_CANCEL_RQ: ("message_id_being_responded_to",),
}
# What makes a message that we read usable at all: the rest may be missing (fo-dicom#323, #852).
NEEDED_ON_RECEIPT: dict[CommandField, tuple[str, ...]] = {
    field: _RESPONSE if field.is_response else _REQUEST for field in CommandField
}
NEEDED_ON_RECEIPT[CommandField.C_CANCEL_RQ] = ("message_id_being_responded_to",)

ATTRIBUTE_NAMES = tuple(field.name for field in fields(Command))


def encode_command(command: Command) -> bytes:
    """The command set with its group length; LocalProtocolError names a mandatory field that is missing."""
    for name in MESSAGES[command.command_field]:
        if getattr(command, name) is None:
            raise LocalProtocolError(f"{command.command_field.words} without {name}")
    body = bytearray()
    for element, (name, form) in ELEMENTS.items():
        value = getattr(command, name)
        if value is not None:
            octets = encode_value(form, value, name)
            body += ELEMENT_HEADER.pack(0, element, len(octets)) + octets
    if len(body) > MAX_COMMAND_LENGTH:
        raise LocalProtocolError(f"{command.command_field.words}: a command set of {len(body)} octets")
    return ELEMENT_HEADER.pack(0, 0, 4) + struct.pack("<I", len(body)) + bytes(body)


def decode_command(octets: bytes | memoryview) -> Command:
    values: dict[str, CommandValue] = {}
    for element, value in iterate_elements(memoryview(octets)):
        if element in ELEMENTS and (len(value) or element in EMPTY_IS_A_VALUE):
            name, form = ELEMENTS[element]
            values[name] = decode_value(form, value, name)
    number = values.pop("command_field", None)
    if number is None:
        raise RemoteProtocolError("command set without a Command Field")
    try:
        command_field = CommandField(number)  # type: ignore[arg-type]
    except ValueError:
        raise RemoteProtocolError(f"command set with the unknown Command Field {number:04X}H") from None
    if "data_set_type" not in values:
        raise RemoteProtocolError(f"{command_field.words} without a Command Data Set Type")
    for name in NEEDED_ON_RECEIPT[command_field]:
        if name not in values:
            raise RemoteProtocolError(f"{command_field.words} without {name.replace('_', ' ')}")
    return Command(command_field=command_field, **values)  # type: ignore[arg-type]


# An empty UID or comment is still worth keeping apart from an absent one; an empty number is no number.
EMPTY_IS_A_VALUE = frozenset(
    element for element, (_, form) in ELEMENTS.items() if form in (ValueForm.UI, ValueForm.AE, ValueForm.LO)
)


def iterate_elements(octets: memoryview) -> Iterator[tuple[int, memoryview]]:
    offset, end = 0, len(octets)
    while offset < end:
        if end - offset < ELEMENT_HEADER.size:
            raise RemoteProtocolError(f"command set: {end - offset} octets left are no element")
        group, element, length = ELEMENT_HEADER.unpack_from(octets, offset)
        offset += ELEMENT_HEADER.size
        if group != 0:
            raise RemoteProtocolError(f"command set: element ({group:04X},{element:04X}) is not of group 0000")
        if length > end - offset:
            raise RemoteProtocolError(f"command set: element (0000,{element:04X}) of {length} octets does not fit")
        yield element, octets[offset : offset + length]
        offset += length


def encode_value(form: ValueForm, value: CommandValue, name: str) -> bytes:
    try:
        if form is ValueForm.US:
            return struct.pack("<H", value)
        if form is ValueForm.AT and isinstance(value, tuple):
            return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in value)
        octets = str(value).encode("latin-1")
    except (struct.error, UnicodeEncodeError) as error:
        raise LocalProtocolError(f"{name} cannot be {value!r}: {error}") from None
    padding = b"\0" if form is ValueForm.UI else b" "
    return octets + padding * (len(octets) % 2)


def decode_value(form: ValueForm, octets: memoryview, name: str) -> CommandValue:
    if form is ValueForm.US:
        if len(octets) % 2:
            raise RemoteProtocolError(f"command set: {name} of {len(octets)} octets is no 16-bit number")
        return int.from_bytes(octets[:2], "little")  # of several values, which some peers send, the first
    if form is ValueForm.AT:
        if len(octets) % 4:
            raise RemoteProtocolError(f"command set: {name} of {len(octets)} octets is no list of tags")
        tags = struct.iter_unpack("<HH", octets[: 4 * MAX_RECEIVED_TAGS])
        return tuple(group << 16 | element for group, element in tags)
    return decode_text(octets[:MAX_RECEIVED_COMMENT] if form is ValueForm.LO else octets)
