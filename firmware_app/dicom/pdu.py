"""The seven protocol data units of PS3.8 section 9.3: values, their octets, and the octets read back.

Every PDU is a type octet, a reserved octet and a 32-bit big-endian length of what follows. Reserved fields are sent as
zero and not tested on receipt. A decoder takes the whole variable field and raises RemoteProtocolError on anything
that does not fit in it; it never reads a length it has not compared with the octets that are there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import ClassVar

import msgspec

from firmware_app.dicom.errors import AbortReason, LocalProtocolError, RemoteProtocolError
from firmware_app.dicom.items import (
    MaximumLength,
    UserItem,
    decode_user_items,
    encode_item,
    encode_user_item,
    iterate_items,
)
from firmware_app.dicom.octets import OctetReader, decode_text, encode_ae_title, encode_uid
from firmware_app.dicom.uids import APPLICATION_CONTEXT

HEADER = struct.Struct(">BxI")  # type, reserved, length
PDV_HEADER = struct.Struct(">IBB")  # item length, presentation context id, message control header
P_DATA_HEADER = struct.Struct(">BxIIBB")  # a P-DATA-TF with one PDV: PDU header and PDV header in one piece
PDV_OVERHEAD = 6
COMMAND_FRAGMENT = 0x01  # PS3.8 annex E.2, message control header bit 0
LAST_FRAGMENT = 0x02  # bit 1

# 128 contexts x 40 transfer syntaxes x 68 octets is 348 KiB; two user identity fields add 128 KiB.
MAX_ASSOCIATE_LENGTH = 512 * 1024
FIXED_LENGTH = 4  # A-ASSOCIATE-RJ, both releases, A-ABORT
MAX_CONTEXTS = 128  # the odd ids 1..255

APPLICATION_CONTEXT_ITEM = 0x10
PROPOSED_CONTEXT_ITEM = 0x20
CONTEXT_RESULT_ITEM = 0x21
ABSTRACT_SYNTAX_ITEM = 0x30
TRANSFER_SYNTAX_ITEM = 0x40
USER_INFORMATION_ITEM = 0x50
PROTOCOL_VERSION_1 = 0x0001  # bit 0 is version 1


class ProposedContext(msgspec.Struct, frozen=True):
    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]

    def encode(self) -> bytes:
        if not self.transfer_syntaxes:
            raise LocalProtocolError(f"presentation context {self.context_id} proposes no transfer syntax")
        body = encode_context_id(self.context_id) + b"\0\0\0"
        body += encode_item(ABSTRACT_SYNTAX_ITEM, encode_uid(self.abstract_syntax, "abstract syntax"))
        for uid in self.transfer_syntaxes:
            body += encode_item(TRANSFER_SYNTAX_ITEM, encode_uid(uid, "transfer syntax"))
        return encode_item(PROPOSED_CONTEXT_ITEM, body)

    @classmethod
    def decode_body(cls, body: memoryview) -> ProposedContext:
        reader = OctetReader(body, "Presentation Context item")
        context_id = reader.u8("presentation context id")
        reader.take(3, "reserved octets")
        abstract_syntax: str | None = None
        transfer_syntaxes = []
        for item_type, uid in iterate_items(reader.rest(), "Presentation Context item"):
            if item_type == ABSTRACT_SYNTAX_ITEM and abstract_syntax is None:
                abstract_syntax = decode_text(uid)
            elif item_type == TRANSFER_SYNTAX_ITEM:
                transfer_syntaxes.append(decode_text(uid))
        if context_id % 2 == 0:
            raise RemoteProtocolError(f"presentation context id {context_id} is not odd")
        if abstract_syntax is None:
            raise RemoteProtocolError(f"presentation context {context_id} has no abstract syntax")
        return cls(context_id, abstract_syntax, tuple(transfer_syntaxes))


class ContextResult(msgspec.Struct, frozen=True):
    """`transfer_syntax` is significant only when `result` is 0; a rejected context may carry none, or junk."""

    context_id: int
    result: int
    transfer_syntax: str | None

    def encode(self) -> bytes:
        body = encode_context_id(self.context_id) + bytes((0, self.result, 0))
        if self.transfer_syntax is not None:
            uid = encode_uid(self.transfer_syntax, "transfer syntax") if self.transfer_syntax else b""
            body += encode_item(TRANSFER_SYNTAX_ITEM, uid)
        return encode_item(CONTEXT_RESULT_ITEM, body)

    @classmethod
    def decode_body(cls, body: memoryview) -> ContextResult:
        reader = OctetReader(body, "Presentation Context result")
        context_id = reader.u8("presentation context id")
        reader.u8("reserved octet")
        result = reader.u8("result")
        reader.u8("reserved octet")
        if result != 0:
            return cls(context_id, result, lenient_transfer_syntax(reader.rest()))
        for item_type, uid in iterate_items(reader.rest(), "Presentation Context result"):
            if item_type == TRANSFER_SYNTAX_ITEM:
                return cls(context_id, result, decode_text(uid))
        return cls(context_id, result, None)


def lenient_transfer_syntax(body: memoryview) -> str | None:
    """Of a rejected context, where the sub-item "shall not be significant" (PS3.8 9.3.3.2)."""
    try:
        return next((decode_text(uid) for kind, uid in iterate_items(body, "") if kind == TRANSFER_SYNTAX_ITEM), None)
    except RemoteProtocolError:
        return None


def encode_context_id(context_id: int) -> bytes:
    if not 1 <= context_id <= 255 or context_id % 2 == 0:
        raise LocalProtocolError(f"presentation context id {context_id} is not an odd number from 1 to 255")
    return bytes((context_id,))


class AssociateRequest(msgspec.Struct, frozen=True):
    PDU_TYPE: ClassVar[int] = 0x01
    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ProposedContext, ...]
    user_items: tuple[UserItem, ...] = ()
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION_1

    def encode(self) -> bytes:
        if not 1 <= len(self.contexts) <= MAX_CONTEXTS:
            raise LocalProtocolError(f"an association proposes 1 to {MAX_CONTEXTS} contexts, not {len(self.contexts)}")
        return encode_associate(self, (context.encode() for context in self.contexts))

    @classmethod
    def decode_body(cls, body: memoryview) -> AssociateRequest:
        version, called, calling, fields = decode_associate(body, "A-ASSOCIATE-RQ")
        contexts = tuple(ProposedContext.decode_body(item) for item in fields.contexts_of(PROPOSED_CONTEXT_ITEM))
        if len({context.context_id for context in contexts}) != len(contexts):
            raise RemoteProtocolError("A-ASSOCIATE-RQ: a presentation context id is used twice")
        return cls(called, calling, contexts, fields.user_items, fields.application_context, version)


class AssociateAccept(msgspec.Struct, frozen=True):
    """The AE titles are the reserved fields that echo the request; they are never tested (PS3.8 9.3.3)."""

    PDU_TYPE: ClassVar[int] = 0x02
    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ContextResult, ...]
    user_items: tuple[UserItem, ...] = ()
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION_1

    def encode(self) -> bytes:
        return encode_associate(self, (context.encode() for context in self.contexts))

    @classmethod
    def decode_body(cls, body: memoryview) -> AssociateAccept:
        version, called, calling, fields = decode_associate(body, "A-ASSOCIATE-AC")
        contexts = tuple(ContextResult.decode_body(item) for item in fields.contexts_of(CONTEXT_RESULT_ITEM))
        return cls(called, calling, contexts, fields.user_items, fields.application_context, version)


class AssociateReject(msgspec.Struct, frozen=True):
    PDU_TYPE: ClassVar[int] = 0x03
    result: int
    source: int
    reason: int

    def encode(self) -> bytes:
        return encode_pdu(self.PDU_TYPE, bytes((0, self.result, self.source, self.reason)))

    @classmethod
    def decode_body(cls, body: memoryview) -> AssociateReject:
        _, result, source, reason = fixed_body(body, "A-ASSOCIATE-RJ")
        return cls(result, source, reason)


class PresentationDataValue(msgspec.Struct, frozen=True):
    """One fragment of a command or of a data set."""

    context_id: int
    control: int
    fragment: bytes | memoryview

    @property
    def is_command(self) -> bool:
        return bool(self.control & COMMAND_FRAGMENT)

    @property
    def is_last(self) -> bool:
        return bool(self.control & LAST_FRAGMENT)


class DataTransfer(msgspec.Struct, frozen=True):
    PDU_TYPE: ClassVar[int] = 0x04
    values: tuple[PresentationDataValue, ...]

    def encode(self) -> bytes:
        body = b"".join(
            PDV_HEADER.pack(len(value.fragment) + 2, value.context_id, value.control) + bytes(value.fragment)
            for value in self.values
        )
        return encode_pdu(self.PDU_TYPE, body)

    @classmethod
    def decode_body(cls, body: memoryview) -> DataTransfer:
        values = []
        offset, end = 0, len(body)
        while offset < end:
            if end - offset < PDV_OVERHEAD:
                raise RemoteProtocolError(f"P-DATA-TF: {end - offset} octets left are no PDV item")
            length, context_id, control = PDV_HEADER.unpack_from(body, offset)
            start, offset = offset + PDV_OVERHEAD, offset + 4 + length
            if length < 2 or offset > end:
                raise RemoteProtocolError(f"P-DATA-TF: PDV length {length} does not fit into the PDU")
            values.append(PresentationDataValue(context_id, control, body[start:offset]))
        if not values:
            raise RemoteProtocolError("P-DATA-TF without a PDV item")
        return cls(tuple(values))


class ReleaseRequest(msgspec.Struct, frozen=True):
    PDU_TYPE: ClassVar[int] = 0x05

    def encode(self) -> bytes:
        return encode_pdu(self.PDU_TYPE, bytes(FIXED_LENGTH))

    @classmethod
    def decode_body(cls, body: memoryview) -> ReleaseRequest:
        fixed_body(body, "A-RELEASE-RQ")
        return cls()


class ReleaseReply(msgspec.Struct, frozen=True):
    PDU_TYPE: ClassVar[int] = 0x06

    def encode(self) -> bytes:
        return encode_pdu(self.PDU_TYPE, bytes(FIXED_LENGTH))

    @classmethod
    def decode_body(cls, body: memoryview) -> ReleaseReply:
        fixed_body(body, "A-RELEASE-RP")
        return cls()


class Abort(msgspec.Struct, frozen=True):
    """`source` 0 is the service user, 2 the service provider; `reason` is significant only from the provider."""

    PDU_TYPE: ClassVar[int] = 0x07
    source: int
    reason: int = 0

    def encode(self) -> bytes:
        return encode_pdu(self.PDU_TYPE, bytes((0, 0, self.source, self.reason)))

    @classmethod
    def decode_body(cls, body: memoryview) -> Abort:
        _, _, source, reason = fixed_body(body, "A-ABORT")
        return cls(source, reason)


Pdu = AssociateRequest | AssociateAccept | AssociateReject | DataTransfer | ReleaseRequest | ReleaseReply | Abort
DECODERS: dict[int, Callable[[memoryview], Pdu]] = {
    AssociateRequest.PDU_TYPE: AssociateRequest.decode_body,
    AssociateAccept.PDU_TYPE: AssociateAccept.decode_body,
    AssociateReject.PDU_TYPE: AssociateReject.decode_body,
    DataTransfer.PDU_TYPE: DataTransfer.decode_body,
    ReleaseRequest.PDU_TYPE: ReleaseRequest.decode_body,
    ReleaseReply.PDU_TYPE: ReleaseReply.decode_body,
    Abort.PDU_TYPE: Abort.decode_body,
}
ASSOCIATE_TYPES = (AssociateRequest.PDU_TYPE, AssociateAccept.PDU_TYPE)


def check_header(pdu_type: int, length: int, max_data_length: int) -> None:
    """Refuse a PDU by its header, before one octet of it is kept. `max_data_length` bounds P-DATA-TF."""
    if pdu_type not in DECODERS:
        raise RemoteProtocolError(f"PDU of the unknown type {pdu_type:02X}H", AbortReason.UNRECOGNIZED_PDU)
    if pdu_type == DataTransfer.PDU_TYPE:
        limit = max_data_length
    else:
        limit = MAX_ASSOCIATE_LENGTH if pdu_type in ASSOCIATE_TYPES else FIXED_LENGTH
    if length > limit:
        raise RemoteProtocolError(f"PDU of type {pdu_type:02X}H announces {length} octets, at most {limit} are allowed")


def decode_pdu(octets: bytes | memoryview, max_data_length: int = 0xFFFFFFFF) -> Pdu:
    """One whole PDU, no octet more or less."""
    reader = OctetReader(octets, "PDU")
    pdu_type, length = HEADER.unpack(reader.take(HEADER.size, "header"))
    check_header(pdu_type, length, max_data_length)
    body = reader.take(length, "variable field")
    if reader.remaining:
        raise RemoteProtocolError(f"{reader.remaining} octets behind the PDU")
    return DECODERS[pdu_type](body)


def encode_pdu(pdu_type: int, body: bytes) -> bytes:
    return HEADER.pack(pdu_type, len(body)) + body


def encode_data_header(context_id: int, control: int, fragment_length: int) -> bytes:
    """The 12 octets in front of the only fragment of a P-DATA-TF, so that the fragment itself need not be copied."""
    return P_DATA_HEADER.pack(
        DataTransfer.PDU_TYPE, fragment_length + PDV_OVERHEAD, fragment_length + 2, context_id, control
    )


def fixed_body(body: memoryview, what: str) -> tuple[int, int, int, int]:
    if len(body) != FIXED_LENGTH:
        raise RemoteProtocolError(f"{what}: {len(body)} octets instead of {FIXED_LENGTH}")
    return body[0], body[1], body[2], body[3]


def encode_associate(pdu: AssociateRequest | AssociateAccept, contexts: Iterable[bytes]) -> bytes:
    titles = encode_ae_title(pdu.called_ae_title, "called AE title")
    titles += encode_ae_title(pdu.calling_ae_title, "calling AE title")
    application_context = encode_uid(pdu.application_context, "application context") if pdu.application_context else b""
    body = struct.pack(">HH", pdu.protocol_version, 0) + titles + bytes(32)
    body += encode_item(APPLICATION_CONTEXT_ITEM, application_context)
    body += b"".join(contexts)
    body += encode_item(USER_INFORMATION_ITEM, b"".join(encode_user_item(item) for item in pdu.user_items))
    return encode_pdu(pdu.PDU_TYPE, body)


class AssociateFields(msgspec.Struct, frozen=True):
    """The variable items that A-ASSOCIATE-RQ and -AC share."""

    application_context: str
    context_items: tuple[tuple[int, memoryview], ...]
    user_items: tuple[UserItem, ...]

    def contexts_of(self, item_type: int) -> list[memoryview]:
        return [item for kind, item in self.context_items if kind == item_type]


def decode_associate(body: memoryview, what: str) -> tuple[int, str, str, AssociateFields]:
    reader = OctetReader(body, what)
    version = reader.u16("protocol version")
    reader.u16("reserved octets")
    called, calling = decode_text(reader.take(16, "called AE title")), decode_text(reader.take(16, "calling AE title"))
    reader.take(32, "reserved octets")
    application_context = ""
    contexts: list[tuple[int, memoryview]] = []
    user_items: tuple[UserItem, ...] = ()
    for item_type, item in iterate_items(reader.rest(), what):
        if item_type == APPLICATION_CONTEXT_ITEM:
            application_context = decode_text(item)
        elif item_type in (PROPOSED_CONTEXT_ITEM, CONTEXT_RESULT_ITEM):
            contexts.append((item_type, item))
        elif item_type == USER_INFORMATION_ITEM:
            user_items += decode_user_items(item)
    if len(contexts) > MAX_CONTEXTS:
        raise RemoteProtocolError(f"{what}: {len(contexts)} presentation contexts, at most {MAX_CONTEXTS} are possible")
    return version, called, calling, AssociateFields(application_context, tuple(contexts), user_items)


def maximum_length(user_items: Iterable[UserItem]) -> int:
    """The peer's limit for the P-DATA-TF it receives; 0, also when it does not say, is no limit."""
    return next((item.length for item in user_items if isinstance(item, MaximumLength)), 0)
