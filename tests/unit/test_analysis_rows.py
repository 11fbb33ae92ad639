"""A result as a row and as a line of the table: every key and column there, whatever is known."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from report_samples import mosaic_measurement, refused

from firmware_app.model import Interval, Measurement, Method
from firmware_app.services.analysis_rows import measured_row, unmeasured_row
from firmware_app.services.analysis_table import COLUMNS, tabled

FILE = Path("eyes/a.png")


def rich() -> Measurement:
    plain = mosaic_measurement()
    assert plain.morphometry is not None
    numbers = replace(
        plain.morphometry,
        method=Method.MANUAL,
        cd_interval=Interval(900.0, 1100.0),
        cv_interval=Interval(20.0, 30.0),
        hex_interval=Interval(40.0, 60.0),
        area_histogram={500: 2, 600: 0, 700: 10},
        guttae_percent=12.5,
        warnings=("only 12 cells", 'a comma, and a "quote"'),
    )
    return replace(plain, morphometry=numbers, quality=replace(plain.quality, reasons=("soft", "dark")))


def table(*rows: dict[str, object], into: Path) -> list[dict[str, str]]:
    assert list(tabled(iter(rows), into)) == list(rows)
    with into.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_all_that_is_known_is_in_the_row() -> None:
    row = measured_row(FILE, rich(), 3.0, 0.25)
    assert row["method"] == "manual"
    assert row["cd_interval"] == {"low": 900.0, "high": 1100.0}
    assert row["area_histogram"] == {"500": 2, "600": 0, "700": 10}
    assert (row["guttae_percent"], row["n_complete_ring"], row["refusal_code"]) == (12.5, 11, None)
    assert row["quality_reasons"] == ["soft", "dark"]
    assert row["reason"] == 'only 12 cells; a comma, and a "quote"'
    assert json.loads(json.dumps(row)) == row


def test_a_refusal_has_its_code_and_no_numbers() -> None:
    row = measured_row(FILE, refused("out of focus"), 3.0, 0.25)
    assert (row["status"], row["reason"], row["refusal_code"], row["quality"]) == (
        "refused",
        "out of focus",
        "114006",
        "D",
    )
    assert row["quality_reasons"] == ["blurred"]
    missing = ("cd_per_mm2", "n", "method", "cd_interval", "area_histogram", "sides", "area_um2", "guttae_percent")
    assert [row[key] for key in missing] == [None] * len(missing)


def test_every_row_has_the_same_keys_in_the_same_order() -> None:
    rows = [measured_row(FILE, rich(), 3.0, 0.1), measured_row(FILE, refused("no"), None, 0.1)]
    rows.append(unmeasured_row(FILE, "the file is empty", None, 0.1))
    assert len({tuple(row) for row in rows}) == 1
    assert rows[2]["refusal_code"] == "114007", "nothing was measured, so nothing failed"


def test_a_name_that_is_no_text_is_written_as_octets() -> None:
    name = Path(os.fsdecode(b"eyes/\xe9.png"))
    assert unmeasured_row(name, "no", None, 0.0)["file"] == "eyes/\\xe9.png"


def test_the_table_has_one_column_per_number(tmp_path: Path) -> None:
    (line,) = table(measured_row(FILE, rich(), 3.0, 0.25), into=tmp_path / "t.csv")
    assert tuple(line) == COLUMNS
    assert (line["cd_low_per_mm2"], line["cd_high_per_mm2"]) == ("900.0", "1100.0")
    assert (line["hex_low_percent"], line["cv_high_percent"]) == ("40.0", "30.0")
    assert (line["sides_6"], line["sides_10"]) == ("4", "1")
    assert line["area_histogram_um2"] == "500:2 700:10"
    assert line["quality_reasons"] == "soft; dark"
    assert line["reason"] == 'only 12 cells; a comma, and a "quote"'
    assert all(line[column] for column in COLUMNS if column != "refusal_code")


def test_what_is_not_known_is_an_empty_cell(tmp_path: Path) -> None:
    (line,) = table(unmeasured_row(FILE, "the file is empty", None, 0.25), into=tmp_path / "t.csv")
    filled = {column: cell for column, cell in line.items() if cell}
    assert filled == {
        "file": "eyes/a.png",
        "status": "refused",
        "reason": "the file is empty",
        "refusal_code": "114007",
        "seconds": "0.25",
    }


def test_an_interrupted_table_leaves_the_one_before_it(tmp_path: Path) -> None:
    target = tmp_path / "t.csv"
    row = unmeasured_row(FILE, "no", None, 0.0)
    table(row, into=target)
    before = target.read_bytes()
    rows = tabled(iter([row] * 1000), target)
    next(rows)
    rows.close()
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_table_that_cannot_be_written_stops_before_the_first_row(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        next(tabled(iter([{}]), tmp_path / "absent" / "t.csv"))
