"""Text for a terminal: tables in columns, and nothing in it that a terminal would obey. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

COLUMN_GAP = "  "


def printable(text: str) -> str:
    """`text` with its line breaks, and every other control character (a name from a worklist may hold ESC) replaced."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def columns_of(text: str) -> int:
    """How many terminal columns `text` takes: kanji and full-width forms two, combining marks none (UAX #11)."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def format_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Left-aligned columns as wide as their widest cell, headings first; None is shown as "-"."""
    table = [list(headings)]
    table += [["-" if cell is None else printable(str(cell)).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(columns_of(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join(
        COLUMN_GAP.join(
            cell + " " * (width - columns_of(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    )
