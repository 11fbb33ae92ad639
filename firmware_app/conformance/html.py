"""A document as one HTML file that needs nothing else, written so that an XML parser reads it too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

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
from firmware_app.conformance.figure import draw_exchange
from firmware_app.conformance.style import STYLE

CONTENTS_DEPTH = 3
# Tags, UIDs, status codes, configuration keys and AE titles: not broken, and in a typeface where 0 is no O.
CODE = re.compile(
    r"\([0-9A-F]{4},[0-9A-F]{4}\)|[0-9]+(\.[0-9]+){2,}|[0-9A-F]{4}H( - [0-9A-F]{4}H)?|[a-z_]+(\.[a-z_0-9]+)+"
)
NESTING = re.compile(r"\A(>+)")


def render_html(document: Document) -> str:
    title = escape(document.title)
    parts = [
        "<!DOCTYPE html>",
        '<html xmlns="http://www.w3.org/1999/xhtml" lang="en">',
        '<head><meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>',
        f"<title>{title}</title><style>{STYLE}</style></head>",
        '<body><div class="page">',
        '<nav aria-label="Contents"><strong>Contents</strong>',
        *_contents(document),
        "</nav>",
        f'<main><header class="cover"><h1>{title}</h1>',
        *(_cover(document)),
        "</header>",
        *(_line(document, line) for line in lines(document)),
        "</main></div></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _cover(document: Document) -> Iterator[str]:
    for block in document.cover:
        yield _table(block, "") if isinstance(block, Table) else _line(document, block)


def _contents(document: Document) -> Iterator[str]:
    yield '<ol class="contents">'
    for heading in headings(document):
        if heading.depth <= CONTENTS_DEPTH:
            yield (
                f'<li class="d{heading.depth}"><a href="#{anchor(heading)}">'
                f'<span class="n">{heading.number}</span> {escape(heading.title)}</a></li>'
            )
    yield "</ol>"


def anchor(heading: Heading) -> str:
    return "s" + heading.number.replace(".", "-")


def _line(document: Document, line: Line) -> str:
    match line:
        case Heading():
            level = min(line.depth + 1, 6)
            number = f'<span class="n">{line.number}</span>'
            return f'<h{level} id="{anchor(line)}">{number}{escape(line.title)}</h{level}>'
        case Caption(label, Table() as table):
            return _table(table, label)
        case Caption(label, Exchange() as exchange):
            caption = f"<b>{escape(label)}</b> {escape(exchange.caption)}"
            return f"<figure><figcaption>{caption}</figcaption>{draw_exchange(exchange)}</figure>"
        case Paragraph():
            kind = ' class="strong"' if line.strong else ""
            return f"<p{kind}>{escape(line.text)}</p>"
        case Bullets():
            return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in line.items) + "</ul>"
        case Contents():
            return "\n".join(_contents(document))
    raise TypeError(f"no HTML for {line!r}")


def _table(table: Table, label: str) -> str:
    name = f"<b>{escape(label)}</b> {escape(table.caption)}" if label else escape(table.caption)
    caption = f"<caption>{name}</caption>" if name else ""
    columns = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    head = f"<thead><tr>{columns}</tr></thead>\n" if any(table.columns) else ""
    body = "\n".join(_row(row) for row in table.rows)
    width = "narrow" if len(table.columns) == 2 else "wide"
    return f'<div class="{width}"><table>{caption}{head}<tbody>{body}</tbody></table></div>'


def _row(cells: tuple[str, ...]) -> str:
    """A row of which only the first cell says something is a heading within the table."""
    if len(cells) > 2 and cells[0] and not any(cells[1:]):
        return f'<tr class="group"><th colspan="{len(cells)}" scope="rowgroup">{escape(cells[0])}</th></tr>'
    return f"<tr>{''.join(map(_cell, cells))}</tr>"


def _cell(text: str) -> str:
    kinds = ["code"] if CODE.fullmatch(text) else []
    if nesting := NESTING.match(text):
        kinds.append(f"in{min(len(nesting[1]), 3)}")
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    return f"<td{kind}>{escape(text)}</td>"
