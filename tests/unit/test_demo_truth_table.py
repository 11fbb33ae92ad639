"""The table that the demo ends with."""

from __future__ import annotations

from typing import Any

from firmware_app.demo.truth_table import differences, table

TRUTH = {
    "cd_per_mm2": 2500.0,
    "cv_percent": 30.0,
    "hex_percent": 60.0,
    "n": 550,
    "area_min_um2": 200.0,
    "area_max_um2": 800.0,
    "area_mean_um2": 400.0,
    "area_sd_um2": 120.0,
}
MEASURED: dict[str, Any] = {
    "cd_per_mm2": 2475.0,
    "cv_percent": 31.5,
    "hex_percent": 55.0,
    "n": 420,
    "area_min_um2": 210.0,
    "area_max_um2": 760.0,
    "area_mean_um2": 404.0,
    "area_sd_um2": None,
}


def test_differences_are_percent_of_the_truth_or_points() -> None:
    told = differences(MEASURED, TRUTH)
    assert told["cd_per_mm2"] == -1.0
    assert told["cv_percent"] == 1.5
    assert told["hex_percent"] == -5.0
    assert told["n"] == -130
    assert told["area_max_um2"] == -5.0
    assert told["area_sd_um2"] is None


def test_table_has_every_number_beside_its_truth() -> None:
    text = table({"R": {"measured": MEASURED, "truth": TRUTH, "reason": None}})
    rows = [line.split() for line in text.splitlines()]
    assert rows[0] == ["right", "eye", "(OD)", "measured", "truth", "difference"]
    assert rows[1] == ["CD,", "cells/mm2", "2475", "2500", "-1.0", "%"]
    assert rows[2] == ["CV,", "%", "31.5", "30.0", "+1.5", "points"]
    assert rows[4] == ["N,", "cells", "420", "550", "-130"]
    assert rows[8] == ["area", "SD,", "um2", "-", "120.0", "-"]
    assert len({len(line) for line in text.splitlines()}) == 1


def test_a_refusal_is_told_with_its_reason_and_without_a_number() -> None:
    text = table({"L": {"measured": None, "truth": TRUTH, "reason": "out of focus"}})
    assert text == "left eye (OS): not measured: out of focus"
