"""A printed conformance statement read back, by a Markdown parser that is not ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from firmware_app.config import Config
from firmware_app.config.reading import default_config
from firmware_app.conformance.markdown import render_markdown
from firmware_app.conformance.statement import write_statement
from firmware_app.profiles import Profile, load_profile

Path = tuple[str, ...]  # the tags around and of an attribute, outermost first: ("0040,0275", "0040,1001")


@dataclass(frozen=True)
class PrintedTable:
    sections: tuple[str, ...]  # the headings above it, without their numbers
    caption: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    def column(self, name: str) -> list[str]:
        return [row[name] for row in self.rows]

    def attributes(self) -> dict[Path, dict[str, str]]:
        """Rows by the path of their tags."""
        found: dict[Path, dict[str, str]] = {}
        around: list[str] = []
        for row in self.rows:
            depth = len(row["Attribute Name"]) - len(row["Attribute Name"].lstrip(">"))
            around = [*around[:depth], row["Tag"].strip("()")]
            assert len(around) == depth + 1, f"{self.caption}: {row} has no row around it"
            found[tuple(around)] = row
        return found


class PrintedStatement:
    def __init__(self, markdown: str) -> None:
        self.markdown = markdown
        self.tables = tuple(read_tables(markdown))
        self.headings = tuple(heading for _, heading in read_headings(tokens_of(markdown)))

    def all(self, caption: str) -> list[PrintedTable]:
        return [table for table in self.tables if table.caption.startswith(caption)]

    def table(self, caption: str) -> PrintedTable:
        found = self.all(caption)
        assert len(found) == 1, f"{len(found)} tables are captioned {caption!r}"
        return found[0]

    def pairs(self, caption: str) -> dict[str, str]:
        """Of a table of items and values."""
        return {row["Item"]: row["Value"] for row in self.table(caption).rows}

    def section(self, title: str) -> list[PrintedTable]:
        return [table for table in self.tables if title in table.sections]


@cache
def printed_statement(profile_name: str) -> PrintedStatement:
    return print_profile(load_profile(profile_name))


def print_profile(profile: Profile, defaults: Config | None = None) -> PrintedStatement:
    return PrintedStatement(render_markdown(write_statement(profile, defaults or default_config(profile))))


def tokens_of(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(markdown)


def text_of(token: Token) -> str:
    """What is read: markup gone, entities and escapes resolved."""
    return "".join(child.content for child in token.children or () if child.type in ("text", "text_special"))


def read_headings(tokens: list[Token]) -> Iterator[tuple[int, str]]:
    """Depth by number, and title with number: `4.2.1 Worklist AE`; what has no number is the title."""
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open":
            text = text_of(content)
            number = text.partition(" ")[0]
            yield (number.count(".") + 1 if number.replace(".", "").isdigit() else 0), text


def read_tables(markdown: str) -> Iterator[PrintedTable]:
    tokens = tokens_of(markdown)
    sections: list[str] = []
    caption = ""
    rows: list[list[str]] = []
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            (depth, text), *_ = read_headings(tokens[index : index + 2])
            sections = [*sections[: depth - 1], text.partition(" ")[2]]
        elif token.type == "inline" and tokens[index - 1].type == "paragraph_open":
            caption = text_of(token)
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and tokens[index - 1].type in ("th_open", "td_open"):
            rows[-1].append(text_of(token))
        elif token.type == "table_close":
            columns, *cells = rows
            yield PrintedTable(
                tuple(sections),
                caption.partition(": ")[2],
                tuple(columns),
                tuple(dict(zip(columns, row, strict=True)) for row in cells),
            )
            rows, caption = [], ""
