"""Image Comments (0020,4000): what a reader of the image must know before believing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from firmware_app.model import Measurement, Method, Morphometry
from firmware_app.objects.picture import Picture

SIMULATED = "SIMULATED INSTRUMENT: computed picture, not a patient."
NOT_FOR_CLINICAL_USE = "Not for clinical use."
STATED_SCALE = "Scale as stated, not from a calibration on record."
MAX_PROBLEMS = 20


def image_comments(picture: Picture, problems: Sequence[str]) -> str:
    lines = [SIMULATED] if picture.simulated else []
    lines += _results(picture)
    if picture.gaze_deg is not None and picture.gaze != "ahead":
        left_deg, up_deg = picture.gaze_deg
        lines.append(f"Gaze {left_deg:+.1f} deg to the patient's left, {up_deg:+.1f} deg up.")
    if any(exposure.um_per_px is None for exposure in picture.exposures):
        lines.append("Not calibrated: no lengths or densities.")
    elif any(exposure.calibration is None for exposure in picture.exposures):
        lines.append(STATED_SCALE)
    lines.append(NOT_FOR_CLINICAL_USE)
    lines += [f"Problem: {problem}" for problem in problems[:MAX_PROBLEMS]]
    return "\r\n".join(lines)


def _results(picture: Picture) -> Iterator[str]:
    for exposure, measurement in zip(picture.exposures, picture.measurements, strict=False):
        if measurement is not None:
            yield f"{exposure.eye}: {result_line(measurement)}"


def result_line(measurement: Measurement) -> str:
    """The result of one image in one line, always with N."""
    if measurement.morphometry is None:
        reason = measurement.refusal.reason if measurement.refusal else "no result"
        return f"not measured: {reason}"
    return ", ".join(_figures(measurement.morphometry))


def _figures(numbers: Morphometry) -> Iterator[str]:
    if numbers.cd_per_mm2 is not None:
        yield f"CD {numbers.cd_per_mm2:.0f} /mm2"
    yield f"N {numbers.n}"
    yield f"CV {numbers.cv_percent:.1f} %"
    if numbers.hex_percent is not None:
        yield f"HEX {numbers.hex_percent:.1f} %"
    if numbers.method is not Method.AUTOMATIC:
        yield f"method {numbers.method}"
