"""Whether octets name a patient, in whatever way a program may have written the name."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator

ENCODINGS = (
    "utf-8", "utf-16-le", "utf-16-be", "latin-1", "iso8859-5", "shift-jis", "iso2022-jp", "euc-jp", "gb18030", "euc-kr",
)  # fmt: skip


def parts_of(name: str) -> list[str]:
    """The parts of a PN value that name somebody by themselves."""
    words = name.replace("=", "^").split("^")
    return [part for word in words for part in (word, *word.split()) if len(part) > 1 + part.isascii()]


def writings(word: str) -> Iterator[bytes]:
    """The word in every character set that can write it, escaped as JSON does it, and in base64 wherever it begins."""
    yield json.dumps(word).strip('"').encode()
    yield ascii(word).strip("'").encode()
    for encoding in ENCODINGS:
        try:
            octets = word.encode(encoding)
        except UnicodeEncodeError:
            continue
        yield octets
        yield octets.hex().encode()
        yield from in_base64(octets)


def in_base64(octets: bytes) -> Iterator[bytes]:
    """What stands in base64 of a longer text with these octets in it, wherever they begin."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + octets + bytes((-before - len(octets)) % 3))
        inner = text[4 if before else 0 :] if before else text
        whole = inner[: (len(octets) - (3 - before) % 3) // 3 * 4] if before else text[: len(octets) // 3 * 4]
        if len(whole) >= 4 and whole != whole.lower():  # otherwise an English word may be it
            yield whole


def traces(octets: bytes, words: Iterable[str]) -> list[str]:
    """Which of the words are in the octets, and how they are written there."""
    return [f"{word!r} as {writing!r}" for word in words for writing in set(writings(word)) if writing in octets]
