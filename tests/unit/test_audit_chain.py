"""The chain of the trail, and the frame of a syslog message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firmware_app.audit.chain import ORIGIN, BadEntry, Entry, breaks, decode, encode, next_entry
from firmware_app.audit.syslog import Sender, frame, printable

AT = "2026-03-01T09:00:00.123456+01:00"


def chain(count: int) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(1, count + 1):
        previous = entries[-1].digest if entries else ORIGIN
        entries.append(next_entry(number, AT, f"<a>{number}ü</a>", previous))
    return entries


def test_whole() -> None:
    entries = chain(5)
    assert list(breaks(entries)) == []
    assert [decode(encode(entry)) for entry in entries] == entries
    assert list(breaks(entries[2:])) == []  # older segments have gone


@pytest.mark.parametrize(
    ("tamper", "word"),
    [
        (lambda e: [*e[:2], replace(e[2], message="<a>other</a>"), *e[3:]], "entry 3 was changed"),
        (lambda e: [*e[:2], replace(e[2], at="2020-01-01T00:00:00+00:00"), *e[3:]], "entry 3 was changed"),
        (lambda e: [*e[:2], *e[3:]], "entries 3 to 3 are missing"),
        (
            lambda e: [*e[:2], next_entry(3, AT, "<forged/>", e[1].digest), *e[3:]],
            "entry 4 does not follow entry 3",
        ),
        (lambda e: [next_entry(1, AT, "<forged/>", "f" * 64), *e[1:]], "entry 1 is not the first of its trail"),
    ],
)
def test_what_is_changed_or_taken_out_is_found(tamper, word: str) -> None:  # type: ignore[no-untyped-def]
    assert word in list(breaks(tamper(chain(5))))


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b"not json\n", b'{"number": 1}', b"\xff\xfe", b'{"x":' + b"[" * 50_000]
)
def test_what_is_no_entry(line: bytes) -> None:
    with pytest.raises(BadEntry):
        decode(line)


def test_a_frame() -> None:
    """RFC 5424 6: PRI, version, time, host, application, process, message ID, no data; RFC 5425 4.3: octets counted."""
    message = '<AuditMessage EventOutcomeIndicator="0">山田\n</AuditMessage>'
    sent = frame(Sender("ROOM 1", "specular", "17"), AT, message)
    count, _, rest = sent.partition(b" ")
    assert int(count) == len(rest)
    head, bom, text = rest.partition(b"\xef\xbb\xbf")
    assert head == b"<85>1 2026-03-01T09:00:00.123+01:00 ROOM_1 specular 17 DICOM+RFC3881 - "
    assert (bom, text.decode()) == (b"\xef\xbb\xbf", message)


@pytest.mark.parametrize(("outcome", "priority"), [("0", 85), ("4", 84), ("8", 83), ("12", 82)])
def test_severity_is_the_outcome(outcome: str, priority: int) -> None:
    sent = frame(Sender("h", "a", "1"), AT, f'<x EventOutcomeIndicator="{outcome}"/>')
    assert sent.partition(b" ")[2].startswith(f"<{priority}>1 ".encode())


@pytest.mark.parametrize(
    ("text", "expected"), [("", "-"), (" ", "-"), ("a b", "a_b"), ("Ü", "_"), ("x" * 300, "x" * 255)]
)
def test_printable(text: str, expected: str) -> None:
    assert printable(text, 255) == expected
