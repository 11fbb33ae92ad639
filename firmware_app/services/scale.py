"""Which scale holds: the calibration on record, or what the configuration states; and what is to be warned of. Pure.

A record goes before the configuration: it was measured, on this instrument, on a known day. The configured value stays
what it always was, the nominal scale: it is used, and said to be only stated, until there is a record, and a record
that is far from it is suspicious.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from firmware_app.calibration import Calibration, StageCheck
from firmware_app.config.schema import CalibrationConfig


@dataclass(frozen=True, slots=True)
class Scale:
    """`um_per_px` is None where nobody knows it; `calibration` is None where it is only stated."""

    um_per_px: float | None
    calibration: Calibration | None = None

    @property
    def words(self) -> str:
        if self.um_per_px is None:
            return "not calibrated: no numbers in um and mm"
        if self.calibration is None:
            return f"{self.um_per_px:g} um/px as the configuration states, not measured on a target"
        day, error = self.calibration.measured_at[:10], self.calibration.uncertainty_percent
        return f"{self.um_per_px:.5g} um/px +-{error:.2g} %, measured {day} on {self.calibration.target}"


def scale_of(calibration: Calibration | None, nominal_um_per_px: float) -> Scale:
    """`nominal_um_per_px` is 0 where the configuration states none."""
    if calibration is not None:
        return Scale(calibration.um_per_px, calibration)
    return Scale(nominal_um_per_px or None)


def camera_warnings(
    calibration: Calibration | None, nominal_um_per_px: float, limits: CalibrationConfig, now: datetime
) -> Iterator[str]:
    """What a person should look at before believing numbers in um."""
    if calibration is None:
        return
    yield from _age(calibration.measured_at, "the calibration", limits, now)
    if calibration.drift_percent is not None and abs(calibration.drift_percent) > limits.max_drift_percent:
        yield (
            f"the calibration differs by {calibration.drift_percent:+.2f} % from the one before, "
            f"more than {limits.max_drift_percent:g} %"
        )
    if nominal_um_per_px:
        off = 100 * (calibration.um_per_px / nominal_um_per_px - 1)
        if abs(off) > limits.max_drift_percent:
            yield (
                f"the calibration is {off:+.2f} % from camera.um_per_px = {nominal_um_per_px:g}, "
                f"more than {limits.max_drift_percent:g} %"
            )


def stage_warnings(check: StageCheck | None, limits: CalibrationConfig, now: datetime) -> Iterator[str]:
    if check is None:
        return
    yield from _age(check.measured_at, "the check of the stage", limits, now)
    for axis, ratio in (("x", check.x_ratio), ("y", check.y_ratio)):
        off = 100 * (ratio - 1)
        if abs(off) > limits.max_drift_percent + check.uncertainty_percent:
            yield f"the stage goes {ratio:.4f} um for each um in {axis} ({off:+.2f} %): are the steps per mm right?"


def _age(measured_at: str, what: str, limits: CalibrationConfig, now: datetime) -> Iterator[str]:
    age = now - datetime.fromisoformat(measured_at)
    if age > timedelta(days=limits.max_age_days):
        yield f"{what} is {age.days} days old, more than {limits.max_age_days}"
    elif age < -timedelta(days=1):
        yield f"{what} is from the future ({measured_at[:10]}): is the clock right?"
