"""What a report says, as text and numbers, before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from firmware_app.endothelium.history import NOT_EDITED, History
from firmware_app.model import (
    Capture,
    Equipment,
    Exam,
    Eye,
    FixationPoint,
    Frame,
    Interval,
    Measurement,
    Method,
    Morphometry,
)

NOT_FOR_CLINICAL_USE = "Not for clinical use"
SIMULATED = "SIMULATED INSTRUMENT: computed pictures, not a patient"
EYE_TITLES = {Eye.RIGHT: "R (OD)", Eye.LEFT: "L (OS)"}
METHODS = {
    Method.AUTOMATIC: "automatic, whole cells",
    Method.CENTRE: "centre method, from dots",
    Method.FLEX_CENTRE: "flex-centre method, from dots",
    Method.FIXED_FRAME: "fixed frame, L-count",
    Method.MANUAL: "cells edited by hand",
}
SIDES_SHOWN = range(3, 11)


@dataclass(frozen=True, slots=True, eq=False)
class EyeReport:
    """One eye on the page: the accepted capture, its frame, what the core said of it and what was done by hand."""

    capture: Capture
    frame: Frame
    measurement: Measurement
    history: History = NOT_EDITED


@dataclass(frozen=True, slots=True)
class Figure:
    """One number as it is printed; `interval` is its 95 % confidence interval, empty where there is none."""

    key: str
    label: str
    value: str
    unit: str
    interval: str = ""


def figures(numbers: Morphometry) -> list[Figure]:
    """The numbers of one eye in the order of print; without a scale those in um and mm are missing, not zero."""
    printed = [
        ("cd_per_mm2", "CD", numbers.cd_per_mm2, 0, "/mm²"),
        ("n", "N", numbers.n, 0, "cells"),
        ("area_mean_um2", "AVG", numbers.area_mean_um2, 0, "µm²"),
        ("area_sd_um2", "SD", numbers.area_sd_um2, 0, "µm²"),
        ("area_min_um2", "MIN", numbers.area_min_um2, 0, "µm²"),
        ("area_max_um2", "MAX", numbers.area_max_um2, 0, "µm²"),
        ("cv_percent", "CV", numbers.cv_percent, 1, "%"),
        ("hex_percent", "HEX", numbers.hex_percent, 1, "%"),
    ]
    intervals = {
        "cd_per_mm2": numbers.cd_interval,
        "cv_percent": numbers.cv_interval,
        "hex_percent": numbers.hex_interval,
    }
    return [
        Figure(key, label, "–", "")
        if value is None
        else Figure(key, label, f"{value:.{digits}f}", unit, interval_text(intervals.get(key)))
        for key, label, value, digits, unit in printed
    ]


def interval_text(interval: Interval | None) -> str:
    return f"{interval.low:.0f}–{interval.high:.0f}" if interval else ""


def guttae_text(numbers: Morphometry) -> str:
    """Empty where nobody looked for guttae."""
    return "" if numbers.guttae_percent is None else f"guttae {numbers.guttae_percent:.1f} % of the area"


def thickness_text(capture: Capture) -> str:
    """Central corneal thickness with its uncertainty; empty where it was not measured."""
    thickness = capture.thickness
    return "" if thickness is None else f"CCT {thickness.thickness_um:.0f} ± {thickness.uncertainty_um:.0f} µm"


def point_text(capture: Capture) -> str:
    """Where the patient looked, if not straight ahead."""
    return "" if capture.point is FixationPoint.CENTRE else f"looking {capture.point}"


def edited_text(eye: EyeReport) -> str:
    """Who changed the numbers since the instrument measured them, and from what; empty where nobody did."""
    done = eye.history.done
    if not done:
        return ""
    names = ", ".join(dict.fromkeys(record.who.replace("^", " ").strip() for record in eye.history.records))
    before = done[0].before.numbers
    changes = "1 change" if len(done) == 1 else f"{len(done)} changes"
    if before is None:
        return f"By hand: {names}, {changes} (automatic: not measured)"
    parts = [("N", f"{before.n}"), ("CV", f"{before.cv_percent:.1f} %")]
    if before.cd_per_mm2 is not None:
        parts.insert(0, ("CD", f"{before.cd_per_mm2:.0f}"))
    if before.hex_percent is not None:
        parts.append(("HEX", f"{before.hex_percent:.1f} %"))
    automatic = ", ".join(f"{label} {value}" for label, value in parts)
    return f"By hand: {names}, {changes} (automatic: {automatic})"


def sides_histogram(measurement: Measurement) -> dict[int, int]:
    """Number of sides 3..10 -> number of cells with a complete ring of neighbours."""
    numbers = measurement.morphometry
    return {sides: numbers.sides.get(sides, 0) for sides in SIDES_SHOWN} if numbers else {}


def refusal_text(measurement: Measurement) -> str:
    return measurement.refusal.reason if measurement.refusal else "no result"


def warnings_of(eye: EyeReport) -> list[str]:
    """What a reader of this eye's numbers must know."""
    numbers = eye.measurement.morphometry
    warnings = list(numbers.warnings) if numbers else []
    if eye.capture.um_per_px is None:
        warnings.append("not calibrated: no lengths, areas or densities")
    elif eye.capture.calibration is None:
        warnings.append("scale as stated, not from a calibration on record")
    return warnings


def calibration_text(eye: EyeReport) -> str:
    """When and on what the scale was measured; empty where it was not, which is a warning then."""
    known = eye.capture.calibration
    if known is None:
        return ""
    error = f"±{known.uncertainty_percent:.2g} %"
    return f"Scale {known.um_per_px:.4g} µm/px {error}, calibrated {known.measured_at[:10]} on {known.target}"


def is_simulated(eyes: Sequence[EyeReport]) -> bool:
    return any(eye.capture.simulated for eye in eyes)


def date_text(dicom_date: str) -> str:
    """A DICOM date for people; what is not a date is shown as it is."""
    if len(dicom_date) == 8 and dicom_date.isdecimal():
        return f"{dicom_date[:4]}-{dicom_date[4:6]}-{dicom_date[6:]}"
    return dicom_date


def moment_text(moment: datetime, *, with_seconds: bool = False) -> str:
    """Date, time and zone, because a report travels."""
    shown, offset = moment.strftime("%Y-%m-%d %H:%M:%S" if with_seconds else "%Y-%m-%d %H:%M"), moment.strftime("%z")
    return f"{shown} UTC{offset[:3]}:{offset[3:5]}" if offset else shown


def identity_lines(exam: Exam, equipment: Equipment) -> list[tuple[str, str]]:
    """Label and value of what identifies patient, order and instrument; the name is drawn apart."""
    patient, item = exam.patient, exam.worklist_item
    return [
        ("Patient ID", patient.patient_id),
        ("Born", date_text(patient.birth_date)),
        ("Sex", patient.sex),
        ("Accession", item.accession_number if item else "unscheduled"),
        ("Procedure", item.requested_procedure_id if item else ""),
        ("Exam", moment_text(datetime.fromisoformat(exam.started_at))),
        ("Operator", exam.operator.replace("^", " ").strip()),
        ("Instrument", " ".join(part for part in (equipment.model_name, equipment.device_serial_number) if part)),
        ("Software", equipment.software_versions),
    ]
