"""The user information sub-items of A-ASSOCIATE-RQ and -AC (PS3.8 annex D, PS3.7 annex D.3.3).

Each item class has its type octet, writes its body and reads it back. An item type that is not in `USER_ITEMS` is
skipped: PS3.8 9.3.1 forbids to treat it as an error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import msgspec

from firmware_app.dicom.errors import LocalProtocolError, RemoteProtocolError
from firmware_app.dicom.octets import U16, U32, OctetReader, decode_text, encode_uid

ITEM_HEADER = struct.Struct(">BBH")  # type, reserved, length of the body
MAX_ITEM_LENGTH = 0xFFFF
MAX_VERSION_NAME_LENGTH = 16  # PS3.7 D.3.3.2.4


def encode_item(item_type: int, body: bytes, second_octet: int = 0) -> bytes:
    if len(body) > MAX_ITEM_LENGTH:
        raise LocalProtocolError(f"item {item_type:02X}H: {len(body)} octets do not fit a length of 16 bits")
    return ITEM_HEADER.pack(item_type, second_octet, len(body)) + body


def iterate_items(body: bytes | memoryview, what: str) -> Iterator[tuple[int, memoryview]]:
    """The (type, body) of each item; the reserved octet is not tested, as the standard demands."""
    reader = OctetReader(body, what)
    while reader.remaining:
        item_type = reader.u8("item type")
        reader.u8("reserved octet")
        length = reader.u16(f"length of item {item_type:02X}H")
        yield item_type, reader.take(length, f"item {item_type:02X}H")


def counted(field: bytes, what: str) -> bytes:
    """A field behind its own 16-bit length."""
    if len(field) > MAX_ITEM_LENGTH:
        raise LocalProtocolError(f"{what}: {len(field)} octets do not fit a length of 16 bits")
    return U16.pack(len(field)) + field


class MaximumLength(msgspec.Struct, frozen=True):
    """The longest P-DATA-TF variable field the sender of this item receives; 0 is no limit (PS3.8 D.1)."""

    ITEM_TYPE: ClassVar[int] = 0x51
    length: int

    def encode_body(self) -> bytes:
        return U32.pack(self.length)

    @classmethod
    def decode_body(cls, body: memoryview) -> MaximumLength:
        return cls(OctetReader(body, "Maximum Length item").u32("maximum length"))


class ImplementationClassUid(msgspec.Struct, frozen=True):
    ITEM_TYPE: ClassVar[int] = 0x52
    uid: str

    def encode_body(self) -> bytes:
        return encode_uid(self.uid, "Implementation Class UID") if self.uid else b""

    @classmethod
    def decode_body(cls, body: memoryview) -> ImplementationClassUid:
        return cls(decode_text(body))


class AsynchronousOperationsWindow(msgspec.Struct, frozen=True):
    """0 is unlimited; without this item each side has one outstanding operation (PS3.7 D.3.3.3)."""

    ITEM_TYPE: ClassVar[int] = 0x53
    invoked: int
    performed: int

    def encode_body(self) -> bytes:
        return U16.pack(self.invoked) + U16.pack(self.performed)

    @classmethod
    def decode_body(cls, body: memoryview) -> AsynchronousOperationsWindow:
        reader = OctetReader(body, "Asynchronous Operations Window item")
        return cls(reader.u16("operations invoked"), reader.u16("operations performed"))


class RoleSelection(msgspec.Struct, frozen=True):
    """Roles of the association's requestor for one SOP class (PS3.7 D.3.3.4)."""

    ITEM_TYPE: ClassVar[int] = 0x54
    sop_class_uid: str
    scu: bool
    scp: bool

    def encode_body(self) -> bytes:
        return counted(encode_uid(self.sop_class_uid, "role selection"), "UID") + bytes((self.scu, self.scp))

    @classmethod
    def decode_body(cls, body: memoryview) -> RoleSelection:
        reader = OctetReader(body, "SCP/SCU Role Selection item")
        uid = decode_text(reader.take(reader.u16("UID length"), "UID"))
        return cls(uid, reader.u8("SCU role") == 1, reader.u8("SCP role") == 1)


class ImplementationVersionName(msgspec.Struct, frozen=True):
    ITEM_TYPE: ClassVar[int] = 0x55
    name: str

    def encode_body(self) -> bytes:
        if len(self.name) > MAX_VERSION_NAME_LENGTH or not self.name.isascii():
            raise LocalProtocolError(f"implementation version name of more than 16 ASCII characters: {self.name!r}")
        return self.name.encode("ascii")

    @classmethod
    def decode_body(cls, body: memoryview) -> ImplementationVersionName:
        return cls(decode_text(body))


class ExtendedNegotiation(msgspec.Struct, frozen=True):
    ITEM_TYPE: ClassVar[int] = 0x56
    sop_class_uid: str
    information: bytes

    def encode_body(self) -> bytes:
        return counted(encode_uid(self.sop_class_uid, "extended negotiation"), "UID") + self.information

    @classmethod
    def decode_body(cls, body: memoryview) -> ExtendedNegotiation:
        reader = OctetReader(body, "SOP Class Extended Negotiation item")
        return cls(decode_text(reader.take(reader.u16("UID length"), "UID")), bytes(reader.rest()))


class CommonExtendedNegotiation(msgspec.Struct, frozen=True):
    ITEM_TYPE: ClassVar[int] = 0x57
    sop_class_uid: str
    service_class_uid: str
    related_sop_class_uids: tuple[str, ...] = ()

    def encode_body(self) -> bytes:
        what = "common extended negotiation"
        related = b"".join(counted(encode_uid(uid, what), "UID") for uid in self.related_sop_class_uids)
        return (
            counted(encode_uid(self.sop_class_uid, what), "UID")
            + counted(encode_uid(self.service_class_uid, what), "UID")
            + counted(related, "related general SOP classes")
        )

    @classmethod
    def decode_body(cls, body: memoryview) -> CommonExtendedNegotiation:
        reader = OctetReader(body, "SOP Class Common Extended Negotiation item")
        sop_class = decode_text(reader.take(reader.u16("SOP class length"), "SOP class UID"))
        service_class = decode_text(reader.take(reader.u16("service class length"), "service class UID"))
        listed = OctetReader(reader.take(reader.u16("list length"), "related classes"), "related general SOP classes")
        related = []
        while listed.remaining:
            related.append(decode_text(listed.take(listed.u16("UID length"), "UID")))
        return cls(sop_class, service_class, tuple(related))


@dataclass(frozen=True, slots=True)  # msgspec cannot keep a field out of the repr
class UserIdentity:
    """`kind` 1 name, 2 name and passcode, 3 Kerberos ticket, 4 SAML assertion, 5 JSON Web Token (PS3.7 D.3.3.7)."""

    ITEM_TYPE: ClassVar[int] = 0x58
    kind: int
    primary: bytes = field(repr=False)  # tickets, assertions and passcodes are not for the log
    secondary: bytes = field(default=b"", repr=False)
    positive_response_requested: bool = False

    def encode_body(self) -> bytes:
        head = bytes((self.kind, self.positive_response_requested))
        return head + counted(self.primary, "user identity") + counted(self.secondary, "passcode")

    @classmethod
    def decode_body(cls, body: memoryview) -> UserIdentity:
        reader = OctetReader(body, "User Identity item")
        kind = reader.u8("type")
        wanted = reader.u8("positive response requested") == 1
        primary = bytes(reader.take(reader.u16("primary length"), "primary field"))
        if not reader.remaining:  # some leave the length of an absent passcode out
            return cls(kind, primary, b"", wanted)
        secondary = bytes(reader.take(reader.u16("secondary length"), "secondary field"))
        return cls(kind, primary, secondary, wanted)


class UserIdentityReply(msgspec.Struct, frozen=True):
    ITEM_TYPE: ClassVar[int] = 0x59
    server_response: bytes

    def encode_body(self) -> bytes:
        return counted(self.server_response, "server response")

    @classmethod
    def decode_body(cls, body: memoryview) -> UserIdentityReply:
        reader = OctetReader(body, "User Identity reply")
        return cls(bytes(reader.take(reader.u16("response length"), "server response")))


UserItem = (
    MaximumLength
    | ImplementationClassUid
    | AsynchronousOperationsWindow
    | RoleSelection
    | ImplementationVersionName
    | ExtendedNegotiation
    | CommonExtendedNegotiation
    | UserIdentity
    | UserIdentityReply
)
USER_ITEMS: dict[int, type[UserItem]] = {
    item.ITEM_TYPE: item
    for item in (
        MaximumLength,
        ImplementationClassUid,
        AsynchronousOperationsWindow,
        RoleSelection,
        ImplementationVersionName,
        ExtendedNegotiation,
        CommonExtendedNegotiation,
        UserIdentity,
        UserIdentityReply,
    )
}


def encode_user_item(item: UserItem) -> bytes:
    return encode_item(item.ITEM_TYPE, item.encode_body())


def decode_user_items(body: bytes | memoryview) -> tuple[UserItem, ...]:
    """The known items in wire order; unknown ones are skipped. Two limits would be no limit."""
    items = [
        USER_ITEMS[item_type].decode_body(item_body)
        for item_type, item_body in iterate_items(body, "User Information")
        if item_type in USER_ITEMS
    ]
    if sum(isinstance(item, MaximumLength) for item in items) > 1:
        raise RemoteProtocolError("User Information: more than one Maximum Length item")
    return tuple(items)
