"""The two printed statements as their PDF text has them: rows by tag, figures by clause. Line breaks mean nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

TAG = r"\((?P<group>[0-9A-F]{4}), ?(?P<element>[0-9A-F]{4})\)"


@dataclass(frozen=True)
class SourceRow:
    """`words` is what stands between this tag and the next one; the next row's name is at its end."""

    tag: str
    depth: int
    column: str  # what stands beside the tag: a type, a usage, or matching and display
    words: str


def flattened(text: str) -> str:
    """One line; a UID that was broken after a dot is whole again, page furniture is gone."""
    text = re.sub(r"Conformance Statement for SP-1P\s*|Page \d+\s*", "", text)
    text = re.sub(r"(?<=\d\.)\s*\n\s*(?=\d)", "", text)
    return " ".join(text.split())


def between(text: str, first: str, last: str) -> str:
    start = text.index(first)
    return text[start : text.index(last, start + len(first))]


def rows(text: str, after: str = "", before: str = "") -> Iterator[SourceRow]:
    """Every tag with what the patterns find directly after it, or before it. `>` marks an attribute of an item."""
    matches = list(re.finditer(rf"(?:(?P<before>{before})\s+)?{TAG}\s*(?P<after>{after})?", text))
    ends = [match.start() for match in matches[1:]] + [len(text)]
    begin = 0
    for match, end in zip(matches, ends, strict=True):
        column = (match["before"] if before else match["after"]) or ""
        name = text[begin : match.start()]
        yield SourceRow(
            f"{match['group']},{match['element']}",
            name.count(">"),
            " ".join(column.split()),
            text[match.end() : end].strip(),
        )
        begin = match.end()
