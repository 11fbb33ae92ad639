"""Dots that somebody set on cell centres, from a text file: a row and a column in px on each line."""

from __future__ import annotations

import math
from pathlib import Path

from firmware_app.endothelium.dots import DOTS_MAX

SIZE_MAX = 1_000_000  # 5000 lines of 200 octets


class BadDotFile(Exception):
    """The file cannot be read as dots; the text names it and the line."""


def read_dots(path: Path) -> tuple[tuple[float, float], ...]:
    """Blocking: for a worker thread. Raises `BadDotFile`."""
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_MAX + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDotFile(f"{path}: {error}") from error
    if len(data) > SIZE_MAX:
        raise BadDotFile(f"{path}: more than {SIZE_MAX} octets")
    return parse_dots(text, str(path))


def parse_dots(text: str, name: str) -> tuple[tuple[float, float], ...]:
    """(row, column) of every dot. Numbers stand apart by commas, semicolons, tabs or blanks; `#` begins a comment.

    A first line of names says which columns they are, "row" and "column" or "y" and "x"; without one they are the first
    two. Raises `BadDotFile` with the line's number, never with what stands in it.
    """
    at = (0, 1)
    dots: list[tuple[float, float]] = []
    is_first = True
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].replace(",", " ").replace(";", " ").split()
        if not words:
            continue
        if is_first and not _is_number(words[0]):
            at = _named_columns(words, name)
            is_first = False
            continue
        is_first = False
        if len(words) <= max(at) or not all(_is_number(words[each]) for each in at):
            raise BadDotFile(f"{name}, line {number}: a row and a column are expected")
        if len(dots) == DOTS_MAX:
            raise BadDotFile(f"{name}: more than {DOTS_MAX} dots")
        dots.append((float(words[at[0]]), float(words[at[1]])))
    return tuple(dots)


def _named_columns(words: list[str], name: str) -> tuple[int, int]:
    lowered = [word.lower() for word in words]
    for row, column in (("row", "column"), ("y", "x")):
        if row in lowered and column in lowered:
            return lowered.index(row), lowered.index(column)
    raise BadDotFile(f'{name}: the first line names neither "row" and "column" nor "y" and "x"')


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
