"""Reading a data set just far enough: tags and octets, sequences as lists of such items (PS3.5 section 7).

For identifiers that a peer sends: a whole toolkit's data set would cost a hundred times the octets, and would refuse
what we have to show and flag. Reading never fails; what cannot be read further is named in `ReadDataSet.problems`, and
what came before it is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_DELIMITATION = 0xFFFEE00D
SEQUENCE_DELIMITATION = 0xFFFEE0DD
MAX_DEPTH = 8
# VRs with two reserved octets and a 32-bit length (PS3.5 table 7.1-1).
LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())

TAG_AND_LENGTH = struct.Struct("<HHI")
TAG_AND_SHORT = struct.Struct("<HH2sH")
LENGTH = struct.Struct("<I")

Elements = dict[int, "bytes | list[Elements]"]


class ReadDataSet(msgspec.Struct, frozen=True):
    elements: Elements
    problems: tuple[str, ...]


class _Unreadable(Exception):
    """Where reading has to stop; the message becomes a problem."""


def read_data_set(octets: bytes, *, explicit_vr: bool, sequence_tags: frozenset[int]) -> ReadDataSet:
    """The elements of a little endian data set. `sequence_tags` are the sequences that Implicit VR cannot tell."""
    reader = _Reader(octets, sequence_tags)
    elements: Elements = {}
    try:
        reader.read_elements(elements, 0, len(octets), explicit_vr, 0)
    except _Unreadable as stop:
        return ReadDataSet(elements, (f"data set is broken, read up to here: {stop}",))
    return ReadDataSet(elements, ())


def tag_words(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


class _Reader:
    def __init__(self, octets: bytes, sequence_tags: frozenset[int]) -> None:
        self._octets = octets
        self._sequence_tags = sequence_tags

    def read_elements(self, into: Elements, start: int, end: int, explicit_vr: bool, depth: int) -> int:
        """Elements from `start` to `end` or an item delimitation; what is read is in `into` even when it stops."""
        offset = start
        while offset < end:
            tag, vr, length, offset = self._read_header(offset, end, explicit_vr)
            if tag == ITEM_DELIMITATION:
                return offset
            if vr == b"SQ" or length == UNDEFINED_LENGTH or tag in self._sequence_tags:
                items: list[Elements] = []
                into[tag] = items
                # An UN of undefined length, or a sequence sent as UN, holds Implicit VR (PS3.5 6.2.2 note 4).
                offset = self._read_items(items, tag, offset, end, length, explicit_vr and vr == b"SQ", depth + 1)
                continue
            if length > end - offset:
                into[tag] = self._octets[offset:end]
                raise _Unreadable(f"{tag_words(tag)} announces {length} octets, {end - offset} are left")
            into[tag] = self._octets[offset : offset + length]
            offset += length
        return offset

    def _read_items(
        self, items: list[Elements], sequence: int, start: int, limit: int, length: int, explicit_vr: bool, depth: int
    ) -> int:
        if depth > MAX_DEPTH:
            raise _Unreadable(f"{tag_words(sequence)} is nested more than {MAX_DEPTH} deep")
        end = limit if length == UNDEFINED_LENGTH else start + length
        if end > limit:
            raise _Unreadable(f"sequence {tag_words(sequence)} announces {length} octets, {limit - start} are left")
        offset = start
        while offset < end:
            if end - offset < TAG_AND_LENGTH.size:
                raise _Unreadable(f"sequence {tag_words(sequence)} ends inside an item")
            group, element, item_length = TAG_AND_LENGTH.unpack_from(self._octets, offset)
            offset += TAG_AND_LENGTH.size
            tag = group << 16 | element
            if tag == SEQUENCE_DELIMITATION:
                return offset
            if tag != ITEM:
                raise _Unreadable(f"sequence {tag_words(sequence)} holds {tag_words(tag)} instead of an item")
            item_end = end if item_length == UNDEFINED_LENGTH else offset + item_length
            if item_end > end:
                raise _Unreadable(f"an item of {tag_words(sequence)} announces {item_length} octets")
            item: Elements = {}
            items.append(item)
            offset = self.read_elements(item, offset, item_end, explicit_vr, depth)
        return offset

    def _read_header(self, offset: int, end: int, explicit_vr: bool) -> tuple[int, bytes, int, int]:
        if end - offset < TAG_AND_LENGTH.size:
            raise _Unreadable(f"{end - offset} octets are no element")
        if not explicit_vr:
            group, element, length = TAG_AND_LENGTH.unpack_from(self._octets, offset)
            return group << 16 | element, b"", length, offset + 8
        group, element, vr, length = TAG_AND_SHORT.unpack_from(self._octets, offset)
        tag = group << 16 | element
        if vr in SHORT_VRS:
            return tag, vr, length, offset + 8
        if vr in LONG_VRS:
            if end - offset < 12:
                raise _Unreadable(f"{tag_words(tag)} ends inside its length")
            return tag, vr, LENGTH.unpack_from(self._octets, offset + 8)[0], offset + 12
        if group == 0xFFFE:
            return tag, b"", LENGTH.unpack_from(self._octets, offset + 4)[0], offset + 8
        raise _Unreadable(f"{tag_words(tag)} has the unknown VR {vr!r}")


def first_item(elements: Elements, tag: int) -> Elements | None:
    value = elements.get(tag)
    return value[0] if isinstance(value, list) and value else None


def items(elements: Elements, tag: int) -> Iterator[Elements]:
    value = elements.get(tag)
    if isinstance(value, list):
        yield from value
