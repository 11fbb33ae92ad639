"""Bounded reading of octets that came from a peer, and the two text fields of the upper layer."""

from __future__ import annotations

import struct

from firmware_app.dicom.errors import LocalProtocolError, RemoteProtocolError

AE_TITLE_LENGTH = 16
UID_LENGTH = 64

U16 = struct.Struct(">H")
U32 = struct.Struct(">I")


class OctetReader:
    """Takes fields from the front of a buffer; a field that does not fit is the peer's error, by name."""

    __slots__ = ("_buffer", "_offset", "_what")

    def __init__(self, buffer: bytes | memoryview, what: str) -> None:
        self._buffer = memoryview(buffer)
        self._offset = 0
        self._what = what

    @property
    def remaining(self) -> int:
        return len(self._buffer) - self._offset

    def take(self, length: int, field: str) -> memoryview:
        end = self._offset + length
        if end > len(self._buffer):
            raise RemoteProtocolError(f"{self._what}: {field} needs {length} octets, only {self.remaining} are left")
        taken = self._buffer[self._offset : end]
        self._offset = end
        return taken

    def u8(self, field: str) -> int:
        return self.take(1, field)[0]

    def u16(self, field: str) -> int:
        value: int = U16.unpack(self.take(2, field))[0]
        return value

    def u32(self, field: str) -> int:
        value: int = U32.unpack(self.take(4, field))[0]
        return value

    def rest(self) -> memoryview:
        return self.take(self.remaining, "the rest")


def decode_text(field: bytes | memoryview) -> str:
    """A UID or AE title without its padding; accepts NUL and space. Latin-1 so that no octet is lost or refused."""
    return bytes(field).decode("latin-1").strip("\0 ")


def encode_uid(uid: str, what: str) -> bytes:
    """A UID as upper-layer items carry it: not padded (PS3.8 annex F)."""
    if not 0 < len(uid) <= UID_LENGTH or not uid.isascii():
        raise LocalProtocolError(f"{what}: not a UID of 1 to {UID_LENGTH} characters: {uid!r}")
    return uid.encode("ascii")


def encode_ae_title(title: str, what: str) -> bytes:
    """An AE title of 1 to 16 significant characters of the default repertoire, padded with spaces (PS3.5 6.2, AE)."""
    significant = title.strip(" ")
    if not 0 < len(significant) <= AE_TITLE_LENGTH:
        raise LocalProtocolError(f"{what}: not an AE title of 1 to {AE_TITLE_LENGTH} characters: {title!r}")
    if not significant.isascii() or not significant.isprintable() or "\\" in significant:
        raise LocalProtocolError(f"{what}: AE title with a backslash or a character outside ASCII: {title!r}")
    return significant.encode("ascii").ljust(AE_TITLE_LENGTH)
