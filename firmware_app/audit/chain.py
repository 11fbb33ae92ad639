"""The chain of the trail: each entry holds the digest of the one before, so that none can be changed or taken out.

An entry is one line of JSON. Its `digest` is SHA-256 over the digest before it, its number, its time and its message,
each on a line. The first entry of all follows `ORIGIN`; where older segments have gone, the first that is left tells
which digest it followed. That the last ones were cut off is seen only against a digest that was told elsewhere: the
syslog receiver's copy, or what `audit` showed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

ORIGIN = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """`at` is ISO 8601 with its offset; `message` is XML."""

    number: int
    at: str
    message: str
    previous: str
    digest: str


class BadEntry(ValueError):
    """Not a whole line of the trail."""


def next_entry(number: int, at: str, message: str, previous: str) -> Entry:
    return Entry(number, at, message, previous, digest_of(number, at, message, previous))


def digest_of(number: int, at: str, message: str, previous: str) -> str:
    return hashlib.sha256(f"{previous}\n{number}\n{at}\n{message}".encode()).hexdigest()


def encode(entry: Entry) -> bytes:
    said = {
        "number": entry.number,
        "at": entry.at,
        "previous": entry.previous,
        "digest": entry.digest,
        "message": entry.message,
    }
    return json.dumps(said, ensure_ascii=False).encode() + b"\n"


def decode(line: bytes) -> Entry:
    """Raises `BadEntry`."""
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEntry(f"not an entry of an audit trail: {type(error).__name__}") from error


def breaks(entries: Iterable[Entry]) -> Iterator[str]:
    """What does not follow from what is before it, in words; nothing where the chain is whole."""
    before: Entry | None = None
    for entry in entries:
        if entry.digest != digest_of(entry.number, entry.at, entry.message, entry.previous):
            yield f"entry {entry.number} was changed"
        if before is not None and entry.number != before.number + 1:
            yield f"entries {before.number + 1} to {entry.number - 1} are missing"
        elif before is not None and entry.previous != before.digest:
            yield f"entry {entry.number} does not follow entry {before.number}"
        elif before is None and entry.number == 1 and entry.previous != ORIGIN:
            yield "entry 1 is not the first of its trail"
        before = entry
