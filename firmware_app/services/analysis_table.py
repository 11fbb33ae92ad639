"""The results as a CSV table (RFC 4180), one row per image. The columns only ever grow."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from firmware_app.services.analysis_rows import Row
from firmware_app.services.whole_files import written_whole

SIDES = tuple(range(3, 11))
# One column per number, with its unit; the histogram in one cell as "0:3 100:17", classes without cells left out.
COLUMNS = (
    *("file", "status", "reason", "refusal_code", "method", "n", "n_complete_ring"),
    *("cd_per_mm2", "cd_low_per_mm2", "cd_high_per_mm2", "cv_percent", "cv_low_percent", "cv_high_percent"),
    *("hex_percent", "hex_low_percent", "hex_high_percent"),
    *("area_min_um2", "area_max_um2", "area_mean_um2", "area_sd_um2", "mean_area_px"),
    *(f"sides_{number}" for number in SIDES),
    *("analysed_area_mm2", "guttae_percent", "quality", "quality_reasons", "um_per_px", "seconds"),
    "area_histogram_um2",
)


@contextmanager
def csv_file(target: Path) -> Iterator[Callable[[Row], None]]:
    """A function that adds a row. The table takes its name when it is whole: an interrupted run leaves none."""
    with written_whole(target) as octets, io.TextIOWrapper(octets, "utf-8", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        yield lambda row: writer.writerow(cells(row))


def tabled(rows: Iterator[Row], target: Path) -> Iterator[Row]:
    """The rows as they come, each also in the table."""
    with csv_file(target) as add:
        for row in rows:
            add(row)
            yield row


def cells(row: Row) -> list[object]:
    flat: dict[str, object] = {column: row.get(column) for column in COLUMNS}
    for name, unit in (("cd", "per_mm2"), ("cv", "percent"), ("hex", "percent")):
        for end in ("low", "high"):
            flat[f"{name}_{end}_{unit}"] = part(row, f"{name}_interval", end)
    for key in ("min", "max", "mean", "sd"):
        flat[f"area_{key}_um2"] = part(row, "area_um2", key)
    for number in SIDES:
        flat[f"sides_{number}"] = part(row, "sides", str(number))
    reasons, histogram = row.get("quality_reasons"), row.get("area_histogram")
    if isinstance(reasons, list):
        flat["quality_reasons"] = "; ".join(str(reason) for reason in reasons)
    if isinstance(histogram, dict):
        flat["area_histogram_um2"] = " ".join(f"{low}:{count}" for low, count in histogram.items() if count)
    return [flat[column] for column in COLUMNS]


def part(row: Row, key: str, inner: str) -> object:
    value = row.get(key)
    return value.get(inner) if isinstance(value, dict) else None
