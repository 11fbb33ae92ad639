"""Which Specific Character Set (0008,0005) can hold a text without loss (PS3.3 C.12.1.1.2, PS3.5 6.1.2).

pydicom writes a character that the declared sets lack as "?", and takes the default repertoire for Latin-1. Both would
change a patient's name without a word, so every text is tried here before anything is encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.charset import convert_encodings, decode_bytes, encode_string, python_encoding
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

DEFAULT_REPERTOIRE = ("", "ISO_IR 6", "ISO 2022 IR 6")
PN_SEPARATORS = ("=", "^")


def is_default(terms: Sequence[str]) -> bool:
    """Whether these terms mean the default repertoire, for which the attribute is left out."""
    return all(term in DEFAULT_REPERTOIRE for term in terms)


def is_known(terms: Sequence[str]) -> bool:
    return all(term in DEFAULT_REPERTOIRE or term in python_encoding for term in terms)


def can_hold(text: str, terms: Sequence[str]) -> bool:
    """Whether the sets hold every character of the text, and give the same text back."""
    if is_default(terms):
        return text.isascii()
    if not is_known(terms):
        return False
    if terms[0] in DEFAULT_REPERTOIRE and any("\x80" <= character <= "\xff" for character in text):
        return False  # pydicom would write these as Latin-1, which nobody declared
    encodings = convert_encodings(list(terms))
    if not all(any(_holds(encoding, character) for encoding in encodings) for character in text):
        return False
    return all(_survives(part, encodings) for part in _parts(text))


def choose(
    texts: Iterable[str], preferred: Sequence[str], accepted: Sequence[Sequence[str]], fallback: Sequence[str]
) -> tuple[str, ...]:
    """The preferred sets if accepted and sufficient, else the default repertoire if sufficient, else `fallback`."""
    texts = tuple(texts)
    wanted = tuple(preferred)
    candidates: list[tuple[str, ...]] = [("ISO_IR 6",)]
    if wanted and any(wanted == tuple(terms) for terms in accepted):
        candidates.insert(0, wanted)
    for terms in candidates:
        if all(can_hold(text, terms) for text in texts):
            return terms
    return tuple(fallback)


def _parts(text: str) -> Iterable[str]:
    # Code extensions end at these characters, so each part is encoded by itself (PS3.5 6.1.2.5.3).
    for separator in PN_SEPARATORS:
        text = text.replace(separator, "\n")
    return text.splitlines()


def _survives(part: str, encodings: list[str]) -> bool:
    encoded = encode_string(part, encodings)
    return decode_bytes(encoded, encodings, TEXT_VR_DELIMS | PN_DELIMS) == part


def _holds(encoding: str, character: str) -> bool:
    if encoding == "shift_jis":  # JIS X 0201 alone: 0x5C and 0x7E are yen and overline there
        return "｡" <= character <= "ﾟ" or (character.isascii() and character not in "\\~")
    try:
        encoded = character.encode(encoding)
    except UnicodeEncodeError:
        return False
    # These two Python codecs also know sets that the DICOM term does not stand for.
    escapes = {"iso2022_jp": b"\x1b$B", "iso2022_jp_2": b"\x1b$(D"}
    return character.isascii() or encoded.startswith(escapes.get(encoding, b""))
