from __future__ import annotations

import pytest

from firmware_app.console.client import completions
from firmware_app.console.text import columns_of, format_table, printable

NAMES = ["capture", "help", "stage home", "stage move", "status"]


def test_columns_are_aligned_by_what_a_terminal_shows() -> None:
    table = format_table(["name", "id"], [["Yamada", 1], ["山田", None], ["ﾔﾏﾀﾞ", "x\ny"]])
    assert table.split("\n") == ["name    id", "Yamada  1", "山田    -", "ﾔﾏﾀﾞ    x y"]


def test_no_control_character_reaches_the_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\x07\x9b") == "a\N{REPLACEMENT CHARACTER}[2Jb\nc" + 2 * "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("山田", 4), ("ﾔﾏ", 2), ("e\u0301", 1), ("", 0)])
def test_terminal_columns(text: str, columns: int) -> None:
    assert columns_of(text) == columns


@pytest.mark.parametrize(
    ("before", "word", "found"),
    [
        ([], "sta", ["stage ", "status "]),
        ([], "", ["capture ", "help ", "stage ", "status "]),
        (["stage"], "", ["home ", "move "]),
        (["stage"], "h", ["home "]),
        (["help", "stage"], "m", ["move "]),
        (["capture"], "", []),
    ],
)
def test_completion(before: list[str], word: str, found: list[str]) -> None:
    assert completions(NAMES, before, word) == found
