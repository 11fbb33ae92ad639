"""Text into octets by Specific Character Set, exactly as the examples of PS3.5 annexes H to K write it.

pydicom leaves out escape sequences (ISO 2022 IR 58), writes what is not declared, and puts "?" for what a set lacks. A
name must come back as the octets it came as, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firmware_app.dicom.charset import TextDecoder
from firmware_app.dicom.repertoires import (
    ASCII,
    CODECS,
    ESCAPES,
    JIS_X_0201,
    JIS_X_0212_PREFIX,
    PERSON_NAME_DELIMITERS,
    SELF_CONTAINED,
    TEXT_DELIMITERS,
    Designation,
    encode_character,
    is_known_number,
    repertoire_numbers,
)


class Unencodable(ValueError):
    """The declared repertoires lack a character of the text; the message names it."""


class TextEncoder:
    """Writes the text of one data set whose Specific Character Set has the values `terms`.

    `as_received` are texts with the octets that they came as under the same terms: those are written again where they
    stand for the same text.
    """

    def __init__(self, terms: Sequence[str], as_received: Mapping[str, bytes] | None = None) -> None:
        self._terms = tuple(terms)
        self._as_received = dict(as_received or {})
        numbers = repertoire_numbers(self._terms)
        self.known = all(map(is_known_number, numbers)) and numbers[0] in CODECS
        self._initial_codec = CODECS.get(numbers[0], ASCII)
        self._extensions: list[tuple[bytes, Designation]] = []
        if len(numbers) > 1 and self._initial_codec not in SELF_CONTAINED:
            self._extensions = [
                (b"\x1b" + escape, designation)
                for number in numbers
                for escape, designation in ESCAPES.items()
                # Not the two of G0 alone: they are where one comes back to.
                if designation.number == number and (designation.into_g1 or designation.double)
            ]

    def encode(self, text: str, *, person_name: bool = False) -> bytes:
        """Raises `Unencodable`."""
        if not self.known:
            raise Unencodable("unknown Specific Character Set " + "\\".join(self._terms))
        # pydicom drops empty component groups at the end of a name.
        received = self._as_received.get(text.rstrip("=") if person_name else text)
        if received is not None and self._means(received, text, person_name):
            return received
        if self._initial_codec in SELF_CONTAINED:
            return self._encode_plain(text)
        return ExtendedWriting(self._initial_codec, self._extensions, person_name).write(text)

    def holds(self, text: str) -> bool:
        """Whether every character can be written, and the same text is read again."""
        try:
            octets = self.encode(text, person_name=True)
        except Unencodable:
            return False
        return self._means(octets, text, True)

    def _means(self, octets: bytes, text: str, person_name: bool) -> bool:
        read, problem = TextDecoder(self._terms).decode(octets, person_name=person_name)
        same = read.rstrip("=") == text.rstrip("=") if person_name else read == text
        return same and not problem

    def _encode_plain(self, text: str) -> bytes:
        try:
            return text.encode(self._initial_codec)
        except UnicodeEncodeError as error:
            raise _unencodable(text[error.start], self._initial_codec) from None


class ExtendedWriting:
    """One value, character by character: the initial repertoire first, then the extensions in their order."""

    def __init__(self, initial_codec: str, extensions: Sequence[tuple[bytes, Designation]], person_name: bool) -> None:
        self._initial_codec = initial_codec
        self._extensions = extensions
        self._delimiters = PERSON_NAME_DELIMITERS if person_name else TEXT_DELIMITERS
        self._return_to_g0 = b"\x1b(J" if initial_codec == JIS_X_0201 else b"\x1b(B"
        self._g0 = b""  # the escape sequence of what is designated; empty: the initial one
        self._g1 = b""

    def write(self, text: str) -> bytes:
        """Raises `Unencodable`."""
        return b"".join([*map(self._character, text), self._initial_g0()])

    def _character(self, character: str) -> bytes:
        own = encode_character(character, self._initial_codec)
        if character.isascii():
            # Every set of two octets is left before them, so that a delimiter can be told (PS3.5 6.1.2.5.3).
            if own is None:
                raise _unencodable(character, self._initial_codec)
            if ord(character) in self._delimiters:
                self._g1 = b""
            return self._initial_g0() + own
        if own is not None and not self._g1:
            return self._initial_g0() + own
        for escape, designation in self._extensions:
            octets_or_none = _extended(character, designation)
            if octets_or_none is not None:
                return self._designate(escape, designation) + octets_or_none
        raise _unencodable(character, self._initial_codec)

    def _initial_g0(self) -> bytes:
        if not self._g0:
            return b""
        self._g0 = b""
        return self._return_to_g0

    def _designate(self, escape: bytes, designation: Designation) -> bytes:
        if designation.into_g1:
            leaving = self._initial_g0()
            if self._g1 == escape:
                return leaving
            self._g1 = escape
            return leaving + escape
        if self._g0 == escape:
            return b""
        self._g0 = escape
        return escape


def _extended(character: str, designation: Designation) -> bytes | None:
    octets = encode_character(character, designation.codec)
    if octets is None or not designation.double:
        return octets
    if designation.number == "159":
        if not octets.startswith(JIS_X_0212_PREFIX):
            return None
        octets = octets[1:]
    # Python's codecs write more than the set of the term: half-width katakana, composed Hangul of eight octets.
    if len(octets) != 2 or min(octets) < 0xA1:
        return None
    return octets if designation.into_g1 else bytes(octet & 0x7F for octet in octets)


def _unencodable(character: str, codec: str) -> Unencodable:
    return Unencodable(f"U+{ord(character):04X} is not in {codec}")
