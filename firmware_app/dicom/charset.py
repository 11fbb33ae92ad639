"""Text of a data set by its Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1.2): strict, and honest when it is not.

`TextDecoder.decode` never fails and never writes a replacement character. Octets that are not what the data set
declares are read with the first configured fallback that takes them, and the problem is returned beside the text.
Latin-1 ends every chain: it maps each octet to one character, so even then nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from firmware_app.dicom.repertoires import (
    ASCII,
    CODECS,
    ESC,
    ESCAPES,
    GB_CODECS,
    JIS_X_0212_PREFIX,
    PERSON_NAME_DELIMITERS,
    SELF_CONTAINED,
    TEXT_DELIMITERS,
    Designation,
    decode_octets,
    is_known_number,
    repertoire_number,
    repertoire_numbers,
)

__all__ = ["CODECS", "DEFAULT_FALLBACKS", "DecodedText", "TextDecoder", "repertoire_number"]

DEFAULT_FALLBACKS = ("ISO_IR 192", "ISO_IR 100")  # UTF-8 recognizes itself; Latin-1 takes what is left
LAST_RESORT = "iso8859_1"
UNREADABLE = "does not fit its character set"
WESTERN = frozenset({"iso8859_1", "iso8859_9"})  # in the others such pairs are letters

ESCAPE = re.compile(rb"\x1b(?P<escape>\$[()][A-D]|\$B|[()\-][A-Za-z])")
TOKEN = re.compile(ESCAPE.pattern + rb"|(?P<low>[^\x1b\x80-\xff]+)|(?P<high>[\x80-\xff]+)")


class DecodedText(NamedTuple):
    text: str
    problem: str | None

    @property
    def undecodable(self) -> bool:
        """The octets are not what was declared: the text is a guess."""
        return self.problem is not None and self.problem.startswith(UNREADABLE)


class TextDecoder:
    """Reads the text of one data set. `terms` are the values of its Specific Character Set, none if it is absent."""

    def __init__(self, terms: Sequence[str], fallbacks: Sequence[str] = DEFAULT_FALLBACKS) -> None:
        self.terms = tuple(terms)
        numbers = repertoire_numbers(self.terms)
        self._declared = frozenset(numbers)
        unknown = [term for term, number in zip(terms, numbers, strict=False) if not is_known_number(number)]
        self.problem = f"unknown Specific Character Set {', '.join(map(repr, unknown))}" if unknown else None
        self._initial_codec = CODECS.get(numbers[0], ASCII)
        self._fallbacks = tuple(CODECS[repertoire_number(term)] for term in fallbacks)

    def decode(self, octets: bytes, *, person_name: bool = False) -> DecodedText:
        if octets.isascii() and ESC not in octets:
            return DecodedText(octets.decode("ascii"), None)
        try:
            if ESC in octets:
                return self._decode_extended(octets, PERSON_NAME_DELIMITERS if person_name else TEXT_DELIMITERS)
            text = decode_octets(octets, self._initial_codec)
            return DecodedText(text, self._doubt(octets))
        except UnicodeDecodeError:
            return self._decode_by_fallback(octets)

    def _doubt(self, octets: bytes) -> str | None:
        """Latin-1 takes any octets; in names, its signs from 80H to BFH do not follow its letters as in UTF-8."""
        if self._initial_codec not in WESTERN:
            return None
        try:
            octets.decode("utf_8")
        except UnicodeDecodeError:
            return None
        return f"{UNREADABLE} ({self.terms[0]}): by its octets it is UTF-8"

    def values(self, octets: bytes) -> list[bytes]:
        """The values of a text that may have several: 5CH separates them only where it is no part of a character."""
        ends = [*delimiter_positions(octets, self._initial_codec), len(octets)]
        starts = [0, *(end + 1 for end in ends)]
        return [octets[start:end] for start, end in zip(starts, ends, strict=False)]

    def _decode_by_fallback(self, octets: bytes) -> DecodedText:
        declared = "\\".join(self.terms) or "absent"
        problem = f"{UNREADABLE} ({declared}), read as "
        for codec in self._fallbacks:
            with suppress(UnicodeDecodeError):
                return DecodedText(decode_octets(octets, codec), problem + codec)
        return DecodedText(octets.decode(LAST_RESORT), problem + LAST_RESORT)

    def _decode_extended(self, octets: bytes, delimiters: frozenset[int]) -> DecodedText:
        reading = ExtendedReading(self._initial_codec, delimiters)
        text = reading.read(octets)
        undeclared = sorted(f"ISO 2022 IR {number}" for number in reading.used - self._declared - {"6"})
        return DecodedText(text, f"uses {', '.join(undeclared)} without declaring it" if undeclared else None)


def delimiter_positions(octets: bytes, initial_codec: str) -> Iterator[int]:
    """Where a backslash stands by itself: not in a character of GBK or GB18030, nor of a set of two octets in G0."""
    position, in_pairs = 0, False
    while position < len(octets):
        octet = octets[position]
        escape = ESCAPE.match(octets, position) if octet == ESC else None
        designation = ESCAPES.get(escape[1]) if escape else None
        if escape and designation:
            in_pairs = designation.double if not designation.into_g1 else in_pairs
            position = escape.end()
        elif in_pairs and octet > 0x20:
            position += 2
        elif initial_codec in GB_CODECS and octet >= 0x81:
            is_four = initial_codec == "gb18030" and octets[position + 1 : position + 2].isdigit()
            position += 4 if is_four else 2
        else:
            if octet == 0x5C:
                yield position
            position += 1


class ExtendedReading:
    """One value with code extensions: what is designated into G0 and G1 at each octet (PS3.5 6.1.2.5)."""

    def __init__(self, initial_codec: str, delimiters: frozenset[int]) -> None:
        self._initial_codec = self._g1 = self._last_g1 = initial_codec
        self._g0: Designation | None = None  # a set of two octets; otherwise ASCII or its Japanese sister
        self._delimiters = delimiters
        self.used: set[str] = set()

    def read(self, octets: bytes) -> str:
        """Raises UnicodeDecodeError."""
        if self._initial_codec in SELF_CONTAINED:
            raise UnicodeDecodeError(self._initial_codec, octets, octets.index(ESC), len(octets), "no escape sequences")
        text, end = [], 0
        while end < len(octets):
            token = TOKEN.match(octets, end)
            designation = ESCAPES.get(token["escape"]) if token and token["escape"] else None
            if token is None or (token["escape"] and designation is None):
                raise UnicodeDecodeError("iso2022", octets, end, end + 1, "unknown escape sequence")
            if designation is not None:
                self._designate(designation)
            else:
                text.append(self._low(token["low"]) if token["low"] else self._high(token["high"]))
            end = token.end()
        return "".join(text)

    def _designate(self, designation: Designation) -> None:
        self.used.add(designation.number)
        if designation.into_g1:
            self._g1 = self._last_g1 = designation.codec
        else:
            self._g0 = designation if designation.double else None

    def _low(self, octets: bytes) -> str:
        if self._g0 is not None:
            return self._pairs(octets, self._g0)
        if not self._delimiters.isdisjoint(octets):
            self._g1 = self._initial_codec
        return octets.decode(ASCII)

    def _pairs(self, octets: bytes, designation: Designation) -> str:
        """Two octets a character, each of which may be 5CH, 5EH or 3DH; below 21H there is none of them."""
        text: list[str] = []
        position = 0
        while position < len(octets):
            if octets[position] in self._delimiters and octets[position] <= 0x20:
                self._g0 = None  # a line end
                return "".join(text) + self._low(octets[position:])
            if octets[position] <= 0x20:
                text.append(chr(octets[position]))
                position += 1
                continue
            pair = bytes(octet | 0x80 for octet in octets[position : position + 2])
            prefix = JIS_X_0212_PREFIX if designation.number == "159" else b""
            text.append((prefix + pair).decode(designation.codec))
            position += 2
        return "".join(text)

    def _high(self, octets: bytes) -> str:
        try:
            return decode_octets(octets, self._g1)
        except UnicodeDecodeError:
            # Senders forget to designate again behind a delimiter (RIS that write EUC-KR after `^`).
            return decode_octets(octets, self._last_g1)
