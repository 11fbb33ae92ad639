"""What a single value of the configuration may be, each with its words for an error message."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

# `\Z`, not `$`: `$` would let one trailing newline through.
# [0-9], not \d: that is a digit of any script, and what is read here stands in rules of the packet filter.
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_TEXT = r"\A[^\x00-\x1f\x7f\\]*\Z"

Port = Annotated[int, Meta(ge=0, le=65535, description="a port number from 0 to 65535")]
Address = Annotated[
    str,
    Meta(pattern=rf"\A(?:(?:{_OCTET}\.){{3}}{_OCTET})?\Z", description='an IPv4 address such as "192.168.1.10", or ""'),
]
# PS3.5 table 6.2-1, AE: at most 16 characters of the default repertoire, no backslash, no control characters.
_AE_CHARACTERS = r"[\x20-\x5b\x5d-\x7e]{1,16}"
AE_TITLE_WORDS = "1 to 16 printable ASCII characters, not only spaces, no backslash"
AeTitle = Annotated[str, Meta(pattern=rf"\A(?=.*[^ ]){_AE_CHARACTERS}\Z", description=AE_TITLE_WORDS)]
OptionalAeTitle = Annotated[
    str, Meta(pattern=rf"\A(?:(?=.*[^ ]){_AE_CHARACTERS})?\Z", description=f'{AE_TITLE_WORDS}; or ""')
]
AeTitles = Annotated[
    tuple[AeTitle, ...],
    Meta(max_length=100, description=f'a list of AE titles such as ["PACS"], each {AE_TITLE_WORDS}'),
]
Addresses = Annotated[
    tuple[Annotated[str, Meta(pattern=rf"\A(?:{_OCTET}\.){{3}}{_OCTET}\Z")], ...],
    Meta(max_length=100, description='a list of IPv4 addresses such as ["192.168.1.20"]'),
]
# PS3.5 table 6.2-1: LO and PN 64 characters, SH 16; the backslash separates values.
LongText = Annotated[
    str, Meta(max_length=64, pattern=_TEXT, description="at most 64 characters, no backslash, no control characters")
]
ShortText = Annotated[
    str, Meta(max_length=16, pattern=_TEXT, description="at most 16 characters, no backslash, no control characters")
]
ModalityKey = Annotated[
    str, Meta(pattern=r"\A[A-Z0-9_ ]{0,16}\Z", description='at most 16 of A-Z, 0-9, "_" and space, such as "OP"; or ""')
]
# IFNAMSIZ is 16 with the final NUL. The kernel takes more characters, but the name stands in files of nftables, systemd
# and networkd, to which quotes, stars, semicolons and percent signs are syntax.
InterfaceName = Annotated[
    str, Meta(pattern=r"\A(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,15}\Z", description='an interface name such as "eth0"')
]
AbsolutePath = Annotated[
    str, Meta(pattern=r"\A/[^\x00-\x1f]*\Z", max_length=4095, description='an absolute path such as "/run/specular"')
]
# That of hw.usb_identity, with which a test compares it: who only reads a configuration imports no driver.
_PLACE = r"[0-9]{1,3}-[0-9]{1,3}(?:\.[0-9]{1,3}){0,6}(?::[0-9]{1,3}\.[0-9]{1,3})?"
USB_PATTERN = rf"usb:[0-9A-Fa-f]{{4}}:[0-9A-Fa-f]{{4}}(?::[^\s@\x00-\x1f\x7f]{{1,126}})?(?:@{_PLACE})?"
DevicePort = Annotated[
    str,
    Meta(
        pattern=rf"\A(?:/[^\x00-\x1f]*|{USB_PATTERN})\Z",
        max_length=4095,
        description='an absolute path such as "/dev/specular-stage", or a USB identity: "usb:2341:0043", with a serial '
        'number "usb:2341:0043:95032303837351F0B1D1", with a place "usb:2341:0043@1-1.4"',
    ),
]
ProfileName = Annotated[
    str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,63}\Z", description='the name of a profile such as "specular"')
]
WaitSeconds = Annotated[float, Meta(gt=0, le=3600, description="seconds above 0, at most 3600")]
RetrySeconds = Annotated[float, Meta(gt=0, le=86400, description="seconds above 0, at most 86400")]
BytesPerSecond = Annotated[
    int,
    Meta(ge=0, le=1_000_000_000, description="bytes per second from 1000 to 1000000000, or 0 (not bounded)"),
]
_Positive = Annotated[float, Meta(gt=0, le=1e6)]
PositiveVector = Annotated[
    tuple[_Positive, _Positive, _Positive],
    Meta(description="three numbers above 0, for x, y and z, such as [800.0, 800.0, 800.0]"),
]
_Coordinate = Annotated[float, Meta(ge=-1e9, le=1e9)]
PositionVector = Annotated[
    tuple[_Coordinate, _Coordinate, _Coordinate],
    Meta(description="three numbers, um in x, y and z, such as [-82000.0, -20000.0, -20000.0]"),
]

HostName = Annotated[
    str,
    Meta(
        pattern=r"\A(?:(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*)?\Z",
        max_length=253,
        description='a host name or an IPv4 address such as "pacs.clinic.example", or ""',
    ),
]
Fingerprints = Annotated[
    tuple[Annotated[str, Meta(pattern=r"\A(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}\Z")], ...],
    Meta(
        max_length=100,
        description="at most 100 SHA-256 fingerprints of certificates, each of 64 hexadecimal digits, with or without "
        'colons, such as ["12:AB:...:EF"]',
    ),
]
