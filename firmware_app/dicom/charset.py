"""Text of a data set by its Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1.2): strict, and honest when it is not.

`TextDecoder.decode` never fails and never writes a replacement character. Octets that are not what the data set
declares are read with the first configured fallback that takes them, and the problem is returned beside the text.
Latin-1 ends every chain: it maps each octet to one character, so even then nothing is lost.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

ESC = 0x1B
DEFAULT_FALLBACKS = ("ISO_IR 192", "ISO_IR 100")  # UTF-8 recognizes itself; Latin-1 takes what is left
LAST_RESORT = "iso8859_1"

# Single-octet and self-contained repertoires, by ISO-IR number or term.
CODECS = {
    "6": "ascii",
    "100": "iso8859_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "144": "iso8859_5",
    "127": "iso8859_6",
    "126": "iso8859_7",
    "138": "iso8859_8",
    "148": "iso8859_9",
    "203": "iso8859_15",
    "13": "jis_x_0201",
    "166": "tis_620",
    "192": "utf_8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
JIS_X_0201 = "jis_x_0201"  # not a Python codec: half-width katakana in G1, see decode_piece


class Designation(NamedTuple):
    """What an escape sequence designates: into G0 or G1, read by which codec, of how many octets a character."""

    into_g1: bool
    codec: str
    number: str
    double: bool = False


# PS3.3 tables C.12-3 and C.12-4.
ESCAPES: dict[bytes, Designation] = {
    b"(B": Designation(False, "ascii", "6"),
    b"(J": Designation(False, "ascii", "13"),  # JIS X 0201 romaji; 5CH and 7EH stay what ASCII readers expect
    b")I": Designation(True, JIS_X_0201, "13"),
    b"-A": Designation(True, "iso8859_1", "100"),
    b"-B": Designation(True, "iso8859_2", "101"),
    b"-C": Designation(True, "iso8859_3", "109"),
    b"-D": Designation(True, "iso8859_4", "110"),
    b"-L": Designation(True, "iso8859_5", "144"),
    b"-G": Designation(True, "iso8859_6", "127"),
    b"-F": Designation(True, "iso8859_7", "126"),
    b"-H": Designation(True, "iso8859_8", "138"),
    b"-M": Designation(True, "iso8859_9", "148"),
    b"-b": Designation(True, "iso8859_15", "203"),
    b"-T": Designation(True, "tis_620", "166"),
    b"$B": Designation(False, "iso2022_jp", "87", True),
    b"$(D": Designation(False, "iso2022_jp_2", "159", True),
    b"$)C": Designation(True, "euc_kr", "149"),
    b"$)A": Designation(True, "gb2312", "58"),
}
ESCAPE_SEQUENCE = re.compile(rb"\x1b(\$[()][A-D]|\$B|[()\-][A-Za-z])")
# Where code extensions fall back to the first value of (0008,0005): PS3.5 6.1.2.5.3.
PERSON_NAME_DELIMITERS = re.compile(rb"[\^=\\\r\n\f\t]")
TEXT_DELIMITERS = re.compile(rb"[\\\r\n\f\t]")


class DecodedText(NamedTuple):
    text: str
    problem: str | None


def repertoire_number(term: str) -> str:
    """`ISO_IR 100`, `ISO 2022 IR 100`, and what people write instead of them: the registration number, or the term."""
    match = re.fullmatch(r"ISO[ _-]*(?:2022[ _-]*)?IR[ _-]*(\d+)", term.strip().upper())
    return match[1] if match else term.strip().upper()


class TextDecoder:
    """Reads the text of one data set. `terms` are the values of its Specific Character Set, none if it is absent."""

    def __init__(self, terms: Sequence[str], fallbacks: Sequence[str] = DEFAULT_FALLBACKS) -> None:
        self._terms = tuple(terms)
        numbers = [repertoire_number(term) if term else "6" for term in terms] or ["6"]
        self._declared = frozenset(numbers)
        extensions = frozenset(designation.number for designation in ESCAPES.values())
        unknown = [
            term
            for term, number in zip(terms, numbers, strict=False)
            if number not in CODECS and number not in extensions
        ]
        self.problem = f"unknown Specific Character Set {', '.join(map(repr, unknown))}" if unknown else None
        self._initial_codec = CODECS.get(numbers[0], "ascii")
        self._fallbacks = tuple(CODECS[repertoire_number(term)] for term in fallbacks)

    def decode(self, octets: bytes, *, person_name: bool = False) -> DecodedText:
        if octets.isascii() and ESC not in octets:
            return DecodedText(octets.decode("ascii"), None)
        try:
            if ESC in octets:
                return self._decode_extended(octets, PERSON_NAME_DELIMITERS if person_name else TEXT_DELIMITERS)
            return DecodedText(decode_piece(octets, self._initial_codec), None)
        except UnicodeDecodeError:
            return self._decode_by_fallback(octets)

    def _decode_by_fallback(self, octets: bytes) -> DecodedText:
        declared = "\\".join(self._terms) or "absent"
        problem = f"does not fit its character set ({declared}), read as "
        for codec in self._fallbacks:
            with suppress(UnicodeDecodeError):
                return DecodedText(decode_piece(octets, codec), problem + codec)
        return DecodedText(octets.decode(LAST_RESORT), problem + LAST_RESORT)

    def _decode_extended(self, octets: bytes, delimiters: re.Pattern[bytes]) -> DecodedText:
        """ISO 2022: pieces between escape sequences, each by what is designated there."""
        pieces = ESCAPE_SEQUENCE.split(octets)
        if any(ESC in run for run in pieces[::2]):
            raise UnicodeDecodeError("iso2022", octets, 0, 1, "unknown escape sequence")
        g1 = self._initial_codec
        text = [self._decode_run(pieces[0], g1, g1, delimiters)]
        undeclared: set[str] = set()
        double: tuple[bytes, str] | None = None
        for escape, run in zip(pieces[1::2], pieces[2::2], strict=True):
            designation = ESCAPES.get(escape)
            if designation is None:
                raise UnicodeDecodeError("iso2022", octets, 0, 1, "unknown escape sequence")
            if designation.number not in self._declared and designation.number != "6":
                undeclared.add(f"ISO 2022 IR {designation.number}")
            if designation.into_g1:
                g1 = designation.codec
            else:
                double = (b"\x1b" + escape, designation.codec) if designation.double else None
            if double is not None:
                text.append((double[0] + run).decode(double[1]))
            else:
                text.append(self._decode_run(run, g1, self._initial_codec, delimiters))
                if delimiters.search(run):
                    g1 = self._initial_codec
        problem = f"uses {', '.join(sorted(undeclared))} without declaring it" if undeclared else None
        return DecodedText("".join(text), problem)

    def _decode_run(self, run: bytes, codec: str, initial: str, delimiters: re.Pattern[bytes]) -> str:
        """Up to the first delimiter by the designated codec, behind it by the initial one."""
        match = delimiters.search(run)
        if match is None:
            return decode_piece(run, codec)
        head, tail = run[: match.start()], run[match.start() :]
        try:
            return decode_piece(head, codec) + decode_piece(tail, initial)
        except UnicodeDecodeError:
            # Senders forget to designate again behind a delimiter (RIS that write EUC-KR after `^`).
            return decode_piece(head, codec) + decode_piece(tail, codec)


def decode_piece(octets: bytes, codec: str) -> str:
    if codec != JIS_X_0201:
        return codecs.decode(octets, codec)
    characters = []
    for position, octet in enumerate(octets):
        if octet < 0x80:
            characters.append(chr(octet))
        elif 0xA1 <= octet <= 0xDF:
            characters.append(chr(octet - 0xA1 + 0xFF61))
        else:
            raise UnicodeDecodeError(JIS_X_0201, octets, position, position + 1, "not in JIS X 0201")
    return "".join(characters)
