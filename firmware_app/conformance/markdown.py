"""A document as Markdown with pipe tables (GitHub's and CommonMark's reading): what is shown is the text, no markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

from firmware_app.conformance.document import (
    Bullets,
    Caption,
    Contents,
    Document,
    Exchange,
    Heading,
    Line,
    Paragraph,
    Table,
    headings,
    lines,
)

CONTENTS_DEPTH = 3
# What CommonMark 2.4 lets be escaped and what would otherwise mean something somewhere in a line or a cell.
SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~&$])")
# What means something only at the beginning of a line: a heading, a list, a rule, a numbered item.
LEADING = re.compile(r"\A(\s*)([#+=-]|\d+[.)])")


def render_markdown(document: Document) -> str:
    parts = [f"# {escaped(document.title)}"]
    parts += [_table(block) if isinstance(block, Table) else _line(document, block) for block in document.cover]
    parts += [_line(document, line) for line in lines(document)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """`text` as it is read, in one line."""
    flat = SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return LEADING.sub(lambda match: f"{match[1]}{match[2][:-1]}\\{match[2][-1]}", flat)


def _line(document: Document, line: Line) -> str:
    match line:
        case Heading():
            return f"{'#' * min(line.depth + 1, 6)} {line.number} {escaped(line.title)}"
        case Caption(label, Table() as table):
            return f"*{label}: {escaped(table.caption)}*\n\n{_table(table)}"
        case Caption(label, Exchange() as exchange):
            return f"*{label}: {escaped(exchange.caption)}*\n\n{_exchange(exchange)}"
        case Paragraph():
            return f"**{escaped(line.text)}**" if line.strong else escaped(line.text)
        case Bullets():
            return "\n".join(f"- {escaped(item)}" for item in line.items)
        case Contents():
            return "\n".join(_contents(document))
    raise TypeError(f"no Markdown for {line!r}")


def _contents(document: Document) -> Iterator[str]:
    for heading in headings(document):
        if heading.depth <= CONTENTS_DEPTH:
            target = anchor(f"{heading.number} {heading.title}")
            yield f"{'  ' * (heading.depth - 1)}- [{heading.number} {escaped(heading.title)}](#{target})"


def anchor(heading: str) -> str:
    """The name that GitHub gives a heading: lower case, spaces to hyphens, other punctuation left out."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _table(table: Table) -> str:
    head = _row(table.columns)
    rule = "|" + "|".join(" --- " for _ in table.columns) + "|"
    return "\n".join([head, rule, *(_row(row) for row in table.rows)])


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(SPECIAL.sub(r"\\\1", " ".join(cell.split())) for cell in cells) + " |"


def _exchange(exchange: Exchange) -> str:
    """A table too: a drawing in characters would break at the first proportional typeface."""
    rows = tuple(
        (str(number), f"{sender} → {receiver}", what)
        for number, (sender, receiver, what) in enumerate(exchange.messages, start=1)
    )
    return _table(Table(exchange.caption, ("", "From → to", "What"), rows))
