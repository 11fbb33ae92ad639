"""The front of a DICOM file: preamble and File Meta Information (PS3.10 section 7), as far as sending needs it."""

from __future__ import annotations

import struct

import msgspec

from firmware_app.dicom.elements import read_data_set, tag_words
from firmware_app.dicom.octets import decode_text

PREAMBLE_LENGTH = 128
PREFIX = b"DICM"
# (0002,0000) File Meta Information Group Length: tag, UL, 4, value.
GROUP_LENGTH = struct.Struct("<HH2sHI")
FRONT_LENGTH = PREAMBLE_LENGTH + len(PREFIX) + GROUP_LENGTH.size
MAX_META_LENGTH = 64 * 1024  # a dozen short elements; private information is of no use to us

SOP_CLASS = 0x00020002
SOP_INSTANCE = 0x00020003
TRANSFER_SYNTAX = 0x00020010


class NotAnInstance(ValueError):
    """The octets are not a DICOM file that can be sent; the text says why."""


class FileMeta(msgspec.Struct, frozen=True):
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def meta_length(front: bytes) -> int:
    """How many octets of File Meta Information follow the first FRONT_LENGTH octets of a file."""
    if len(front) < FRONT_LENGTH or front[PREAMBLE_LENGTH : PREAMBLE_LENGTH + 4] != PREFIX:
        raise NotAnInstance("no DICM prefix: not a DICOM file")
    group, element, vr, value_length, length = GROUP_LENGTH.unpack_from(front, PREAMBLE_LENGTH + 4)
    if (group, element, vr, value_length) != (2, 0, b"UL", 4):
        raise NotAnInstance("the File Meta Information does not begin with its group length (0002,0000)")
    if length > MAX_META_LENGTH:
        raise NotAnInstance(f"File Meta Information of {length} octets, at most {MAX_META_LENGTH} are read")
    return int(length)


def read_meta(octets: bytes) -> FileMeta:
    """The File Meta Information behind its group length."""
    read = read_data_set(octets, explicit_vr=True, sequence_tags=frozenset())
    if read.problems:
        raise NotAnInstance(f"File Meta Information: {read.problems[0]}")
    uids = []
    for tag in (SOP_CLASS, SOP_INSTANCE, TRANSFER_SYNTAX):
        value = read.elements.get(tag, b"")
        uid = decode_text(value) if isinstance(value, bytes) else ""
        if not uid:
            raise NotAnInstance(f"File Meta Information without {tag_words(tag)}")
        uids.append(uid)
    return FileMeta(*uids)
