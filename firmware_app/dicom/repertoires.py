"""Character repertoires: the terms of Specific Character Set and the escape sequences (PS3.3 C.12.1.1.2, PS3.5 6.1)."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

ESC = 0x1B

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
# Complete in themselves: no escape sequences, no second value beside them (PS3.3 C.12.1.1.2, table C.12-5).
SELF_CONTAINED = frozenset({"utf_8", "gb18030", "gbk"})
GB_CODECS = frozenset({"gb18030", "gbk"})
JIS_X_0201 = "jis_x_0201"  # not a Python codec: half-width katakana in G1, see decode_octets
ASCII = "ascii"


class Designation(NamedTuple):
    """What an escape sequence designates: into G0 or G1, by which codec, of how many octets a character.

    A codec of a set of two octets has both in G1: in G0 each is 80H less.
    """

    into_g1: bool
    codec: str
    number: str
    double: bool = False


# PS3.3 tables C.12-3 and C.12-4.
ESCAPES: dict[bytes, Designation] = {
    b"(B": Designation(False, ASCII, "6"),
    b"(J": Designation(False, ASCII, "13"),  # JIS X 0201 romaji; 5CH and 7EH stay what ASCII readers expect
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
    b"$B": Designation(False, "euc_jp", "87", True),
    b"$(D": Designation(False, "euc_jp", "159", True),
    b"$)C": Designation(True, "euc_kr", "149", True),
    b"$)A": Designation(True, "gb2312", "58", True),
}
EXTENSIONS = frozenset(designation.number for designation in ESCAPES.values())
# Where code extensions fall back to the first value of (0008,0005): PS3.5 6.1.2.5.3. The backslash separates values in
# either; in a text of one value (LT, ST, UT) it is a character like others, and a line break ends what was designated.
PERSON_NAME_DELIMITERS = frozenset(b"^=\\\r\n\f\t")
TEXT_DELIMITERS = frozenset(b"\\\r\n\f\t")
# G1 of EUC-JP: JIS X 0212 is announced by this octet.
JIS_X_0212_PREFIX = b"\x8f"


def repertoire_number(term: str) -> str:
    """`ISO_IR 100`, `ISO 2022 IR 100`, and what people write instead of them: the registration number, or the term."""
    match = re.fullmatch(r"ISO[ _-]*(?:2022[ _-]*)?IR[ _-]*(\d+)", term.strip().upper())
    return match[1] if match else term.strip().upper()


def repertoire_numbers(terms: tuple[str, ...]) -> list[str]:
    """One for each value; an absent attribute and an empty first value are the default repertoire."""
    return [repertoire_number(term) if term.strip() else "6" for term in terms] or ["6"]


def is_known_number(number: str) -> bool:
    return number in CODECS or number in EXTENSIONS


def decode_octets(octets: bytes, codec: str) -> str:
    """Text of one repertoire, G0 and G1 as it has them. Raises UnicodeDecodeError."""
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


def encode_character(character: str, codec: str) -> bytes | None:
    """The octets of one character; None if the repertoire lacks it."""
    if codec == JIS_X_0201:
        if "\uff61" <= character <= "\uff9f":
            return bytes([ord(character) - 0xFF61 + 0xA1])
        # 5CH and 7EH are yen and overline there: a reader may make something else of them.
        return character.encode() if character.isascii() and character not in "\\~" else None
    try:
        return character.encode(codec)
    except UnicodeEncodeError:
        return None
