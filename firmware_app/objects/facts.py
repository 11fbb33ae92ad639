"""Exam, picture and equipment -> the values of every source that a profile may name (profiles.sources)."""

from __future__ import annotations

from datetime import datetime

from firmware_app.model import Code, Equipment, Exam, Eye, ReferencedInstance, WorklistItem
from firmware_app.objects.compose import Fact
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.identifiers import derived_uid
from firmware_app.objects.picture import Picture
from firmware_app.objects.pixels import EncodedPixels

SERIES: dict[tuple[Eye, ...], tuple[str, int]] = {(Eye.RIGHT,): ("right", 1), (Eye.LEFT,): ("left", 2)}
REPORT_SERIES = ("report", 3)
EYE_NAMES = {Eye.RIGHT: "right eye (OD)", Eye.LEFT: "left eye (OS)"}


def patient_facts(exam: Exam, simulated: bool) -> dict[str, Fact]:
    patient = exam.patient
    return {
        "patient.name": patient.name,
        "patient.id": patient.patient_id,
        "patient.issuer_of_id": patient.issuer_of_patient_id,
        "patient.birth_date": patient.birth_date,
        "patient.sex": patient.sex,
        "patient.ethnic_group": patient.ethnic_group,
        "patient.weight_kg": patient.weight_kg,
        "patient.quality_control_subject": "YES" if simulated else None,
    }


def study_facts(exam: Exam, started_at: datetime) -> dict[str, Fact]:
    """An unscheduled exam has no accession number, no request and no procedure: nothing is made up for it."""
    item = exam.worklist_item or WorklistItem(exam.patient)
    return {
        "study.instance_uid": exam.study_instance_uid,
        "study.date": dicom_date(started_at),
        "study.time": dicom_time(started_at),
        "study.id": item.requested_procedure_id,  # a worklist has no Study ID (PS3.4 table K.6-1)
        "study.accession_number": item.accession_number,
        "study.referring_physician": item.referring_physician,
        "study.description": item.requested_procedure_description,
        "study.procedure_codes": code_facts(item.requested_procedure_codes),
        "study.referenced_studies": reference_facts(item.referenced_studies),
    }


def series_facts(exam: Exam, picture: Picture, modality: str, started_at: datetime) -> dict[str, Fact]:
    item = exam.worklist_item
    role, number = REPORT_SERIES if picture.kind == "report" else SERIES.get(picture.eyes, REPORT_SERIES)
    return {
        "series.modality": modality,
        # Laterality belongs to a series, so that each eye needs its own.
        "series.instance_uid": derived_uid(exam.series_instance_uid, role),
        "series.number": picture.series_number or number,
        "series.laterality": str(picture.eyes[0]) if picture.kind == "image" and picture.eyes else None,
        "series.description": _series_description(picture),
        "series.date": dicom_date(started_at),
        "series.time": dicom_time(started_at),
        "series.operator": exam.operator,
        "series.performing_physician": item.scheduled_performing_physician if item else None,
        "series.protocol_name": _protocol_name(item) if item else None,
        "series.requests": [request_facts(item)] if item else [],
    }


def image_facts(picture: Picture, created_at: datetime) -> dict[str, Fact]:
    is_report = picture.kind == "report"
    exposed_at = created_at
    if not is_report:
        exposed_at = parse_time(picture.captures[0].captured_at, "the time of the capture").astimezone(
            created_at.tzinfo
        )
    return {
        "image.creation_date": dicom_date(created_at),
        "image.creation_time": dicom_time(created_at),
        "image.timezone_offset": created_at.strftime("%z")[:5],
        "image.instance_number": picture.instance_number,
        "image.acquisition_number": None if is_report else picture.instance_number,
        "image.type": ["DERIVED", "SECONDARY"] if is_report else ["ORIGINAL", "PRIMARY"],
        # A series Laterality forbids this one (PS3.3 C.7.3.1), and a report's series may hold both eyes.
        "image.laterality": ("B" if len(picture.eyes) > 1 else "".join(picture.eyes)) if is_report else None,
        "image.patient_orientation": "" if is_report else ["L", "F"],
        "image.content_date": dicom_date(exposed_at),
        "image.content_time": dicom_time(exposed_at),
        "image.acquisition_date": None if is_report else dicom_date(exposed_at),
        "image.acquisition_time": None if is_report else dicom_time(exposed_at),
        "image.acquisition_datetime": None if is_report else _dicom_datetime(exposed_at),
        "image.burned_in_annotation": "YES" if picture.burned_in else "NO",
        "image.quality_control_image": "YES" if picture.simulated else None,
        "image.conversion_type": "WSD" if is_report else "DI",
        "image.pixel_spacing": None if is_report else _pixel_spacing(picture),
        "image.source_images": reference_facts(picture.source_images),
    }


def equipment_facts(equipment: Equipment) -> dict[str, Fact]:
    return {
        "equipment.manufacturer": equipment.manufacturer,
        "equipment.model_name": equipment.model_name,
        "equipment.device_serial_number": equipment.device_serial_number,
        "equipment.software_versions": equipment.software_versions,
        "equipment.institution_name": equipment.institution_name,
        "equipment.station_name": equipment.station_name,
    }


def pixel_facts(encoded: EncodedPixels) -> dict[str, Fact]:
    is_lossy = encoded.lossy_ratio is not None
    return {
        "pixels.samples_per_pixel": encoded.samples_per_pixel,
        "pixels.photometric_interpretation": encoded.photometric_interpretation,
        "pixels.planar_configuration": 0 if encoded.samples_per_pixel > 1 else None,
        "pixels.rows": encoded.rows,
        "pixels.columns": encoded.columns,
        "pixels.bits_allocated": encoded.bits_allocated,
        "pixels.bits_stored": encoded.bits_stored,
        "pixels.high_bit": encoded.bits_stored - 1,
        "pixels.pixel_representation": 0,
        "pixels.pixel_data": encoded.data,
        "pixels.lossy": "01" if is_lossy else "00",
        "pixels.lossy_ratio": f"{encoded.lossy_ratio:.2f}" if is_lossy else None,
        "pixels.lossy_method": "ISO_10918_1" if is_lossy else None,
        "image.derivation_description": encoded.derivation,
    }


def parse_time(text: str, what: str) -> datetime:
    """An ISO 8601 time with offset. Raises ObjectError that says `what` it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ObjectError(f"{what} is {text!r}, which is not ISO 8601") from None
    if moment.tzinfo is None:
        raise ObjectError(f"{what} is {text!r}, which has no UTC offset")
    return moment


def dicom_date(moment: datetime) -> str:
    return moment.strftime("%Y%m%d")


def dicom_time(moment: datetime) -> str:
    return moment.strftime("%H%M%S.%f")


def _dicom_datetime(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%S.%f%z")[:26]


def _pixel_spacing(picture: Picture) -> list[str] | None:
    um_per_px = picture.captures[0].um_per_px
    return None if um_per_px is None else [f"{um_per_px / 1000:.8g}"] * 2


def _series_description(picture: Picture) -> str:
    mark = "SIMULATED INSTRUMENT " if picture.simulated else ""
    if picture.series_description:
        return mark + picture.series_description
    if picture.kind == "report":
        return f"{mark}Corneal endothelium report"
    return f"{mark}Corneal endothelium {EYE_NAMES[picture.eyes[0]]}"


def _protocol_name(item: WorklistItem) -> str:
    meanings = [code.meaning for code in item.scheduled_protocol_codes if code.meaning]
    return meanings[0] if meanings else item.scheduled_procedure_step_description


def request_facts(item: WorklistItem) -> dict[str, Fact]:
    return {
        "request.study_instance_uid": item.study_instance_uid,
        "request.accession_number": item.accession_number,
        "request.requested_procedure_id": item.requested_procedure_id,
        "request.requested_procedure_description": item.requested_procedure_description,
        "request.requested_procedure_codes": code_facts(item.requested_procedure_codes),
        "request.referenced_studies": reference_facts(item.referenced_studies),
        "request.scheduled_procedure_step_id": item.scheduled_procedure_step_id,
        "request.scheduled_procedure_step_description": item.scheduled_procedure_step_description,
        "request.scheduled_protocol_codes": code_facts(item.scheduled_protocol_codes),
    }


def code_facts(codes: tuple[Code, ...]) -> list[dict[str, Fact]]:
    return [{"code.value": code.value, "code.scheme": code.scheme, "code.meaning": code.meaning} for code in codes]


def reference_facts(references: tuple[ReferencedInstance, ...]) -> list[dict[str, Fact]]:
    return [
        {"reference.sop_class_uid": each.sop_class_uid, "reference.sop_instance_uid": each.sop_instance_uid}
        for each in references
    ]
