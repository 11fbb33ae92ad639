"""Who a certificate (RFC 5280) is for, who issued it and until when it is valid. Pure; verifies nothing.

The standard library tells this only of a certificate that was found good, and an error has to tell it of the others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

DER_MAX_BYTES = 1 << 16  # a certificate has 1 to 4 kB; one with a thousand alternative names has 30 kB
NAME_MAX_CHARACTERS = 120  # of a name in a message: peers choose theirs
PEM_BLOCK = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END", re.DOTALL)

SEQUENCE, SET, OBJECT_IDENTIFIER = 0x30, 0x31, 0x06
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
EXPLICIT_VERSION = 0xA0
# Tags of the choices of DirectoryString, and IA5String. What T61String is meant to be is long forgotten: Latin-1.
STRINGS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}
ATTRIBUTES = {
    bytes.fromhex("550403"): "CN",
    bytes.fromhex("550405"): "serialNumber",
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    bytes.fromhex("55040a"): "O",
    bytes.fromhex("55040b"): "OU",
    bytes.fromhex("0992268993f22c640119"): "DC",
    bytes.fromhex("2a864886f70d010901"): "emailAddress",
}


class BadCertificate(ValueError):
    """Octets that are not an X.509 certificate."""


@dataclass(frozen=True, slots=True)
class Certificate:
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    sha256: str  # of the whole certificate, 64 lower-case hexadecimal digits

    @property
    def words(self) -> str:
        """`CN=pacs, O=Clinic, issued by CN=Clinic CA, valid until 2027-01-31`."""
        issuer = "itself" if self.issuer == self.subject else self.issuer
        return f"{self.subject}, issued by {issuer}, valid until {self.not_after:%Y-%m-%d}"


def read_certificate(der: bytes) -> Certificate:
    """The certificate in DER. Raises `BadCertificate`."""
    if len(der) > DER_MAX_BYTES:
        raise BadCertificate(f"longer than {DER_MAX_BYTES} bytes")
    try:
        (whole,) = elements(der)
        fields = elements(elements(content(whole, SEQUENCE))[0][1])
        if fields[0][0] == EXPLICIT_VERSION:
            del fields[0]
        _serial, _algorithm, issuer, validity, subject = fields[:5]
        not_before, not_after = elements(content(validity, SEQUENCE))
        return Certificate(
            subject=name_of(subject),
            issuer=name_of(issuer),
            not_before=time_of(not_before),
            not_after=time_of(not_after),
            sha256=hashlib.sha256(der).hexdigest(),
        )
    except (ValueError, IndexError) as error:
        raise BadCertificate(f"not an X.509 certificate: {error}") from error


def read_pem(text: bytes) -> list[Certificate]:
    """Every certificate of a PEM file, in its order. Raises `BadCertificate` if one cannot be read."""
    found = []
    for match in PEM_BLOCK.finditer(text):
        try:
            der = base64.b64decode(b"".join(match[1].split()), validate=True)
        except binascii.Error as error:
            raise BadCertificate(f"not base64: {error}") from error
        found.append(read_certificate(der))
    return found


# ------------------------------------------------------------------ DER (X.690)

Element = tuple[int, bytes]  # tag, content


def elements(octets: bytes) -> list[Element]:
    found: list[Element] = []
    offset = 0
    while offset < len(octets):
        if offset + 2 > len(octets):
            raise ValueError("an element is cut off")
        tag, length = octets[offset], octets[offset + 1]
        offset += 2
        if length & 0x80:  # the long form: so many octets of length
            size = length & 0x7F
            if not 1 <= size <= 4 or offset + size > len(octets):
                raise ValueError("an element has no usable length")
            length = int.from_bytes(octets[offset : offset + size], "big")
            offset += size
        if offset + length > len(octets):
            raise ValueError("an element is cut off")
        found.append((tag, octets[offset : offset + length]))
        offset += length
    return found


def content(element: Element, tag: int) -> bytes:
    if element[0] != tag:
        raise ValueError(f"tag {element[0]:02x} where {tag:02x} belongs")
    return element[1]


def name_of(element: Element) -> str:
    """RFC 4514, most specific part first; what does not print is escaped, for this goes into logs."""
    parts = []
    for relative in reversed(elements(content(element, SEQUENCE))):
        for attribute in elements(content(relative, SET)):
            kind, value = elements(content(attribute, SEQUENCE))
            key = ATTRIBUTES.get(content(kind, OBJECT_IDENTIFIER), kind[1].hex())
            words = value[1].decode(STRINGS.get(value[0], "latin-1"), errors="replace")
            parts.append(f"{key}={words}")
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in ", ".join(parts))
    if len(shown) > NAME_MAX_CHARACTERS:
        shown = shown[: NAME_MAX_CHARACTERS - 3] + "..."
    return shown or "no name"


def time_of(element: Element) -> datetime:
    tag, octets = element
    text = octets.decode("ascii", errors="replace")
    if tag == UTC_TIME:  # RFC 5280, 4.1.2.5.1: years 1950 to 2049
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != GENERALIZED_TIME:
        raise ValueError(f"tag {tag:02x} where a time belongs")
    if not re.fullmatch(r"\d{14}Z", text, re.ASCII):
        raise ValueError(f"a time that is not in UTC with seconds: {text!r}")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
