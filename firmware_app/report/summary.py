"""The report as data: the same numbers as on the page, for other software."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from firmware_app.model import Equipment, Exam
from firmware_app.report.content import (
    METHOD,
    NOT_FOR_CLINICAL_USE,
    EyeReport,
    area_histogram,
    figures,
    is_simulated,
    refusal_text,
    sides_histogram,
    warnings_of,
)


def summarise(
    exam: Exam, eyes: Sequence[EyeReport], *, equipment: Equipment, created_at: datetime
) -> dict[str, object]:
    """JSON values only. `eyes` maps "R" and "L" to numbers, or to the reason why there are none."""
    item = exam.worklist_item
    return {
        "notice": NOT_FOR_CLINICAL_USE,
        "simulated": is_simulated(eyes),
        "created_at": created_at.isoformat(),
        "exam": {
            "exam_id": exam.exam_id,
            "started_at": exam.started_at,
            "operator": exam.operator,
            "study_instance_uid": exam.study_instance_uid,
            "accession_number": item.accession_number if item else "",
            "requested_procedure_id": item.requested_procedure_id if item else "",
            "scheduled": item is not None,
        },
        "patient": {
            "name": exam.patient.name,
            "patient_id": exam.patient.patient_id,
            "birth_date": exam.patient.birth_date,
            "sex": exam.patient.sex,
        },
        "instrument": {
            "institution_name": equipment.institution_name,
            "model_name": equipment.model_name,
            "device_serial_number": equipment.device_serial_number,
            "software_versions": equipment.software_versions,
        },
        "eyes": {str(eye.capture.eye): eye_summary(eye) for eye in eyes},
    }


def eye_summary(eye: EyeReport) -> dict[str, object]:
    measurement, capture = eye.measurement, eye.capture
    summary: dict[str, object] = {
        "capture_id": capture.capture_id,
        "captured_at": capture.captured_at,
        "um_per_px": capture.um_per_px,
        "status": "ok" if measurement.morphometry else "refused",
        "reason": "" if measurement.morphometry else refusal_text(measurement),
        "quality": {"grade": measurement.quality.grade, "reasons": list(measurement.quality.reasons)},
        "warnings": warnings_of(eye),
    }
    numbers = measurement.morphometry
    if numbers is not None:
        summary |= {figure.key: getattr(numbers, figure.key) for figure in figures(numbers)}
        summary["method"] = METHOD
        summary["n_complete_ring"] = numbers.n_complete_ring
        summary["analysed_area_mm2"] = numbers.analysed_area_mm2
        summary["sides"] = {str(sides): count for sides, count in sides_histogram(measurement).items()}
        summary["area_histogram_um2"] = {str(lower): count for lower, count in area_histogram(measurement).items()}
    return summary
