"""Dots from a text file: numbers on lines, names of columns, and what is wrong with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_app.services.dot_files import SIZE_MAX, BadDotFile, parse_dots, read_dots


@pytest.mark.parametrize(
    "text",
    [
        "10 20\n30.5 40\n",
        "10,20\r\n30.5,40",
        "# dots of the right eye\n10\t20\n\n30.5\t40  # the last one\n",
        "row,column\n10,20\n30.5,40\n",
        "id\tx\ty\ttag\n1\t20\t10\t0\n2\t40\t30.5\t0\n",
        "Column; Row\n20; 10\n40; 30.5\n",
    ],
)
def test_rows_and_columns_are_found(text: str) -> None:
    assert parse_dots(text, "dots.txt") == ((10.0, 20.0), (30.5, 40.0))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("10 20\n30\n", "dots.txt, line 2: a row and a column"),
        ("10 20\n30 secret\n", "dots.txt, line 2: a row and a column"),
        ("10 20\n30 nan\n", "line 2"),
        ("a,b\n1,2\n", 'names neither "row" and "column" nor "y" and "x"'),
        ("1 2\n" * 5001, "more than 5000 dots"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_never_quoted(text: str, complaint: str) -> None:
    with pytest.raises(BadDotFile, match=complaint) as caught:
        parse_dots(text, "dots.txt")
    assert "secret" not in str(caught.value)


def test_files_are_bounded_and_named(tmp_path: Path) -> None:
    path = tmp_path / "dots.csv"
    path.write_text("\ufeffrow,column\n1,2\n", encoding="utf-8")
    assert read_dots(path) == ((1.0, 2.0),)
    path.write_bytes(b"1 2\n" * (SIZE_MAX // 4 + 1))
    with pytest.raises(BadDotFile, match=r"dots\.csv: more than 1000000 octets"):
        read_dots(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(BadDotFile, match=r"dots\.csv"):
        read_dots(path)
    with pytest.raises(BadDotFile, match="missing"):
        read_dots(tmp_path / "missing")
    with pytest.raises(BadDotFile, match=str(tmp_path)):
        read_dots(tmp_path)
