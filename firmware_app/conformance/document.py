"""A document as values: chapters return these, renderers turn them into text. Nothing here knows Markdown or HTML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str
    strong: bool = False  # a warning: nobody may overlook it


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under their column heads. Every row has a cell for each column."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.caption!r}: {len(row)} cells for {len(self.columns)} columns: {row}")


@dataclass(frozen=True, slots=True)
class Exchange:
    """Messages between parties, in order of time: (from, to, what). A figure, or lines where there are no figures."""

    caption: str
    parties: tuple[str, ...]
    messages: tuple[tuple[str, str, str], ...]

    def __post_init__(self) -> None:
        for sender, receiver, what in self.messages:
            if sender not in self.parties or receiver not in self.parties:
                raise ValueError(f"figure {self.caption!r}: {what!r} goes from {sender!r} to {receiver!r}: not a party")


@dataclass(frozen=True, slots=True)
class Contents:
    """Stands where the table of contents is to be."""


Block = Paragraph | Bullets | Table | Exchange | Contents


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter, or a part of one."""

    title: str
    blocks: tuple[Block, ...] = ()
    parts: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    cover: tuple[Paragraph | Table, ...]
    chapters: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A section with the number that it is cited by, such as 4.2.1; `depth` 1 is a chapter."""

    number: str
    title: str
    depth: int


@dataclass(frozen=True, slots=True)
class Caption:
    """A table or figure with the number that it is cited by, such as `Table 4-12`."""

    label: str
    block: Table | Exchange


Line = Heading | Caption | Paragraph | Bullets | Contents


def lines(document: Document) -> Iterator[Line]:
    """The chapters from top to bottom, every section, table and figure numbered as in PS3.2: within its chapter."""
    for index, chapter in enumerate(document.chapters, start=1):
        counts = {"Table": 0, "Figure": 0}
        yield from _section(chapter, str(index), 1, str(index), counts)


def _section(section: Section, number: str, depth: int, chapter: str, counts: dict[str, int]) -> Iterator[Line]:
    yield Heading(number, section.title, depth)
    for block in section.blocks:
        if isinstance(block, Table | Exchange):
            kind = "Table" if isinstance(block, Table) else "Figure"
            counts[kind] += 1
            yield Caption(f"{kind} {chapter}-{counts[kind]}", block)
        else:
            yield block
    for index, part in enumerate(section.parts, start=1):
        yield from _section(part, f"{number}.{index}", depth + 1, chapter, counts)


def headings(document: Document) -> tuple[Heading, ...]:
    return tuple(line for line in lines(document) if isinstance(line, Heading))
