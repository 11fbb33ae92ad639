"""Attributes of N- services: pydicom's Dataset to octets in a transfer syntax, and back. pydicom is imported late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from firmware_app.dicom.text_elements import with_text_octets
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, is_uid, uid_name

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
# Of what a peer answers or reports: a report on commitment repeats at most 200 references of two UIDs and of where they
# can be retrieved, 50 kB, and all else is shorter. Reading what may come, 4 MiB of short items, took 6 s.
MAX_READ_OCTETS = 128 * 1024


class AttributesUnreadable(ValueError):
    """What a peer sent is no data set in the transfer syntax that was agreed on.

    Without pydicom's words, which are in the cause: they quote the data, and this goes into logs.
    """


def encode_attributes(
    attributes: Dataset, transfer_syntax: str, as_received: Mapping[str, bytes] | None = None
) -> bytes:
    """The octets. ValueError for a transfer syntax that messages are not written in, and for text outside its set.

    `as_received`: see `dicom.text_encoder`.
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    if transfer_syntax not in SYNTAXES:
        raise ValueError(f"data sets of messages are not written in {uid_name(transfer_syntax)}")
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
    written = with_text_octets(attributes, implicit_vr=buffer.is_implicit_VR, as_received=as_received)
    write_dataset(buffer, written)
    return bytes(buffer.getvalue())


def decode_attributes(octets: bytes | None, transfer_syntax: str) -> Dataset:
    """The data set, every element read; an absent one is empty. AttributesUnreadable says what is wrong with it."""
    from pydicom.dataset import Dataset
    from pydicom.filereader import read_dataset

    if not octets:
        return Dataset()
    is_implicit_vr = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
    try:
        attributes = read_dataset(BytesIO(octets), is_implicit_VR=is_implicit_vr, is_little_endian=True)
        for _ in attributes.iterall():
            pass  # pydicom converts a value when it is first asked for, and only then finds it broken
    except Exception as error:  # pydicom has no common base for what foreign octets can do to it
        syntax = uid_name(transfer_syntax)
        raise AttributesUnreadable(f"{len(octets)} octets are no {syntax} data set") from error
    return attributes


def decode_received(octets: bytes | None, transfer_syntax: str) -> Dataset:
    """As `decode_attributes`, for what a peer made; AttributesUnreadable also where it is too long."""
    if octets and len(octets) > MAX_READ_OCTETS:
        raise AttributesUnreadable(f"{len(octets)} octets; {MAX_READ_OCTETS} are read")
    return decode_attributes(octets, transfer_syntax)


def items_of(attributes: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence; none where it is absent, empty, or by its explicit VR no sequence."""
    from pydicom.sequence import Sequence as Items

    value = attributes.get(keyword)
    return value if isinstance(value, Items) else ()


def uid_of(attributes: Dataset, keyword: str) -> str:
    """A UID that can be sent back; empty where there is none, or anything else in its place."""
    text = str(attributes.get(keyword) or "")
    return text if is_uid(text) else ""


def kept_attributes(octets: bytes, transfer_syntax: str) -> Dataset:
    """A data set of ours for sending once more: `encode_attributes` writes its text as the octets that it is here.

    AttributesUnreadable where it was damaged.
    """
    from pydicom.filereader import read_dataset

    is_implicit_vr = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
    try:
        attributes = read_dataset(BytesIO(octets), is_implicit_VR=is_implicit_vr, is_little_endian=True)
        _open_sequences(attributes)  # what is broken is found now, not in the middle of writing
    except Exception as error:  # as above
        raise AttributesUnreadable(f"{len(octets)} octets are no data set of ours") from error
    return attributes


def _open_sequences(attributes: Dataset) -> None:
    for tag in list(attributes.keys()):
        if attributes.get_item(tag).VR == "SQ":
            for item in attributes[tag].value:
                _open_sequences(item)
