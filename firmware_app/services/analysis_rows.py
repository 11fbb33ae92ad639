"""A result as a row: the keys of `specular analyze --json`. They only ever grow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from firmware_app.model import NOT_ATTEMPTED, Code, Interval, Measurement, Morphometry

Row = dict[str, object]


def measured_row(file: Path, measurement: Measurement, um_per_px: float | None, seconds: float) -> Row:
    """Numbers, or the reason why there are none."""
    numbers, refusal = measurement.morphometry, measurement.refusal
    reason = refusal.reason if refusal is not None else "; ".join(numbers.warnings) if numbers is not None else ""
    return row(file, numbers, measurement, reason, refusal.code if refusal else None, um_per_px, seconds)


def unmeasured_row(file: Path, reason: str, um_per_px: float | None, seconds: float, code: Code = NOT_ATTEMPTED) -> Row:
    """A file that gave no image, or whose measuring did not come to an end."""
    return row(file, None, None, reason, code, um_per_px, seconds)


def row(
    file: Path,
    numbers: Morphometry | None,
    measurement: Measurement | None,
    reason: str,
    refusal_code: Code | None,
    um_per_px: float | None,
    seconds: float,
) -> Row:
    """Every key is always there, null where there is no number. The last ten came later than the others."""
    return {
        "file": shown_name(file),
        "status": "refused" if numbers is None else "ok",
        "reason": reason or None,
        "cd_per_mm2": numbers and numbers.cd_per_mm2,
        "cv_percent": numbers and numbers.cv_percent,
        "hex_percent": numbers and numbers.hex_percent,
        "n": numbers and numbers.n,
        "area_um2": numbers and area_row(numbers),
        "sides": numbers and {str(number): count for number, count in numbers.sides.items()},
        "analysed_area_mm2": numbers and numbers.analysed_area_mm2,
        "quality": measurement and measurement.quality.grade,
        "um_per_px": um_per_px,
        "mean_area_px": numbers and numbers.mean_area_px,
        "seconds": seconds,
        "refusal_code": refusal_code and refusal_code.value,
        "method": numbers and str(numbers.method),
        "n_complete_ring": numbers and numbers.n_complete_ring,
        "cd_interval": numbers and interval_row(numbers.cd_interval),
        "cv_interval": numbers and interval_row(numbers.cv_interval),
        "hex_interval": numbers and interval_row(numbers.hex_interval),
        "area_histogram": numbers and numbers.area_histogram and texted(numbers.area_histogram),
        "guttae_percent": numbers and numbers.guttae_percent,
        "quality_reasons": measurement and list(measurement.quality.reasons),
    }


def shown_name(file: Path) -> str:
    """The path as UTF-8 text: octets of a name that are none are written as \\xNN."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def area_row(numbers: Morphometry) -> dict[str, float | None] | None:
    if numbers.area_mean_um2 is None:
        return None
    return {
        "min": numbers.area_min_um2,
        "max": numbers.area_max_um2,
        "mean": numbers.area_mean_um2,
        "sd": numbers.area_sd_um2,
    }


def interval_row(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else {"low": interval.low, "high": interval.high}


def texted(counts: Mapping[int, int]) -> dict[str, int]:
    """JSON's keys are texts."""
    return {str(key): count for key, count in counts.items()}
