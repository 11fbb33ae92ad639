"""What was measured beside what the simulator knows to be true. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Row:
    """One number: its key in the measurement and in the truth, and how a difference is told."""

    title: str
    measured_key: str
    truth_key: str
    digits: int
    difference: Literal["percent", "points", "count", "um"]


ROWS = (
    Row("CD, cells/mm2", "cd_per_mm2", "cd_per_mm2", 0, "percent"),
    Row("CV, %", "cv_percent", "cv_percent", 1, "points"),
    Row("HEX, %", "hex_percent", "hex_percent", 1, "points"),
    Row("N, cells", "n", "n", 0, "count"),
    Row("area min, um2", "area_min_um2", "area_min_um2", 1, "percent"),
    Row("area max, um2", "area_max_um2", "area_max_um2", 1, "percent"),
    Row("area mean, um2", "area_mean_um2", "area_mean_um2", 1, "percent"),
    Row("area SD, um2", "area_sd_um2", "area_sd_um2", 1, "percent"),
    Row("thickness, um", "thickness_um", "thickness_um", 0, "um"),
)
EYE_NAMES = {"R": "right eye (OD)", "L": "left eye (OS)"}


def differences(measured: Mapping[str, Any], truth: Mapping[str, Any]) -> dict[str, float | None]:
    """Measured minus true by the measurement's key: percent of the truth, or plain where `ROWS` says so."""
    return {row.measured_key: _difference(row, measured, truth) for row in ROWS if row.truth_key in truth}


def table(eyes: Mapping[str, Mapping[str, Any]]) -> str:
    """Lines for people; per eye `measured` and `truth`, or the `reason` why there is no measurement."""
    blocks = []
    for eye, summary in eyes.items():
        measured, truth = summary["measured"], summary["truth"]
        if measured is None:
            blocks.append(f"{EYE_NAMES[eye]}: not measured: {summary['reason']}")
            continue
        rows = [(EYE_NAMES[eye], "measured", "truth", "difference")]
        rows += [
            (row.title, _number(row, measured.get(row.measured_key)), _number(row, truth.get(row.truth_key)), told)
            for row, told in ((row, _told(row, measured, truth)) for row in ROWS if row.truth_key in truth)
        ]
        blocks.append(_aligned(rows))
    return "\n\n".join(blocks)


def _difference(row: Row, measured: Mapping[str, Any], truth: Mapping[str, Any]) -> float | None:
    value, true = measured.get(row.measured_key), truth.get(row.truth_key)
    if value is None or true is None or (row.difference == "percent" and not true):
        return None
    return float((value - true) / true * 100 if row.difference == "percent" else value - true)


def _told(row: Row, measured: Mapping[str, Any], truth: Mapping[str, Any]) -> str:
    difference = _difference(row, measured, truth)
    if difference is None:
        return "-"
    unit = {"percent": " %", "points": " points", "count": "", "um": " um"}[row.difference]
    return f"{difference:+.{0 if row.difference == 'count' else 1}f}{unit}"


def _number(row: Row, value: float | None) -> str:
    return "-" if value is None else f"{value:.{row.digits}f}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )
