"""Exam, picture and equipment -> the values of the sources that a profile may name (profiles.sources).

What comes from the worklist is in `objects.requests`.
"""

from __future__ import annotations

from datetime import datetime

from firmware_app.calibration import Calibration
from firmware_app.model import Equipment, Exam, Eye
from firmware_app.objects import requests
from firmware_app.objects.compose import Fact
from firmware_app.objects.identifiers import derived_uid
from firmware_app.objects.picture import GAZES, Picture
from firmware_app.objects.pixels import EncodedPixels
from firmware_app.objects.times import dicom_date, dicom_datetime, dicom_time, parse_time

SERIES: dict[tuple[Eye, ...], tuple[str, int]] = {(Eye.RIGHT,): ("right", 1), (Eye.LEFT,): ("left", 2)}
REPORT_SERIES = ("report", 3)
OTHER_SERIES = ("image", 4)  # of images that do not say which eye
EYE_NAMES = {Eye.RIGHT: "right eye (OD)", Eye.LEFT: "left eye (OS)"}
JPEG_METHOD = "ISO_10918_1"
LO_MAX = 64  # characters, PS3.5 table 6.2-1
CALIBRATION_FACTS = (
    "image.pixel_spacing_calibration_type",
    "image.pixel_spacing_calibration",
    "equipment.calibration_date",
    "equipment.calibration_time",
)


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


def series_facts(exam: Exam, picture: Picture, modality: str, started_at: datetime) -> dict[str, Fact]:
    is_report = picture.kind == "report"
    role, number = REPORT_SERIES if is_report else SERIES.get(picture.eyes, OTHER_SERIES)
    return {
        "series.modality": modality,
        # Laterality belongs to a series, so that each eye needs its own.
        "series.instance_uid": derived_uid(exam.series_instance_uid, role),
        "series.number": picture.series_number or number,
        "series.laterality": None if is_report else "".join(picture.eyes),
        "series.eye": str(picture.eyes[0]) if len(picture.eyes) == 1 else "",
        "series.description": _series_description(picture),
        "series.date": dicom_date(started_at),
        "series.time": dicom_time(started_at),
        "series.operator": exam.operator,
        "series.performing_physician": requests.performing_physician(exam),
        "series.protocol_name": requests.protocol_name(exam),
        "series.requests": [requests.request_facts(item) for item in exam.worklist_items],
        "synchronization.frame_of_reference_uid": derived_uid(exam.series_instance_uid, "synchronization"),
    }


def image_facts(picture: Picture, created_at: datetime) -> dict[str, Fact]:
    is_report = picture.kind == "report"
    eye = "B" if len(picture.eyes) > 1 else "".join(picture.eyes)
    return {
        "image.creation_date": dicom_date(created_at),
        "image.creation_time": dicom_time(created_at),
        "image.timezone_offset": created_at.strftime("%z")[:5],
        "image.instance_number": picture.instance_number,
        "image.type": ["DERIVED", "SECONDARY"] if is_report else ["ORIGINAL", "PRIMARY"],
        "image.eye": eye,
        # A series Laterality forbids this one (PS3.3 C.7.3.1), and a report's series may hold both eyes.
        "image.laterality": eye if is_report else None,
        "image.patient_orientation": "" if is_report else ["L", "F"],
        "image.burned_in_annotation": "YES" if picture.burned_in else "NO",
        "image.quality_control_image": "YES" if picture.simulated else None,
        "image.conversion_type": "WSD" if is_report else "DI",
        "image.pixel_spacing": None if is_report else _pixel_spacing(picture),
        **_calibration_facts(picture, created_at),
        "image.presentation_lut_shape": "IDENTITY" if picture.pixels.ndim == 2 else None,
        "image.source_images": requests.reference_items(picture.source_images),
        **_time_facts(picture, created_at),
        **_gaze_facts(picture),
    }


def equipment_facts(equipment: Equipment) -> dict[str, Fact]:
    return {
        "equipment.manufacturer": equipment.manufacturer,
        "equipment.model_name": equipment.model_name,
        "equipment.device_serial_number": equipment.device_serial_number,
        "equipment.software_versions": equipment.software_versions,
        "equipment.institution_name": equipment.institution_name,
        "equipment.station_name": equipment.station_name,
        "equipment.institutional_department_name": equipment.institutional_department_name,
    }


def pixel_facts(encoded: EncodedPixels, picture: Picture) -> dict[str, Fact]:
    is_exact = encoded.samples_per_pixel == 1 and encoded.lossy_ratio is None
    low, high = encoded.low, encoded.high
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
        "pixels.smallest_value": low if is_exact else None,
        "pixels.largest_value": high if is_exact else None,
        # So that the lowest value is black and the highest is white (PS3.3 C.11.2.1.2.1).
        "pixels.window_center": f"{(low + high + 1) / 2:g}" if encoded.samples_per_pixel == 1 else None,
        "pixels.window_width": f"{max(high - low + 1, 2)}" if encoded.samples_per_pixel == 1 else None,
        **_loss_facts(encoded, picture),
    }


def radiography_facts(picture: Picture, equipment: Equipment) -> dict[str, Fact]:
    known = picture.radiography
    return {
        "cr.plate_id": known.plate_id or equipment.device_serial_number,
        "cr.view_position": known.view_position,
        "cr.kvp": known.kvp,
        "cr.distance_source_to_detector_mm": known.distance_source_to_detector_mm,
        "cr.exposure_uas": known.exposure_uas,
        "cr.image_area_dose_product": known.image_area_dose_product,
        "cr.relative_x_ray_exposure": known.relative_x_ray_exposure,
    }


def _time_facts(picture: Picture, created_at: datetime) -> dict[str, Fact]:
    """A report is made when it is drawn; everything else when it was exposed."""
    if picture.kind == "report":
        shown_at, is_exposed = created_at, False
    else:
        taken_at = parse_time(picture.exposures[0].taken_at, "the time of the capture")
        shown_at, is_exposed = taken_at.astimezone(created_at.tzinfo), True
    return {
        "image.content_date": dicom_date(shown_at),
        "image.content_time": dicom_time(shown_at),
        "image.content_datetime": dicom_datetime(shown_at),
        "image.acquisition_number": picture.instance_number if is_exposed else None,
        "image.acquisition_date": dicom_date(shown_at) if is_exposed else None,
        "image.acquisition_time": dicom_time(shown_at) if is_exposed else None,
        "image.acquisition_datetime": dicom_datetime(shown_at) if is_exposed else None,
    }


def _gaze_facts(picture: Picture) -> dict[str, Fact]:
    gaze = GAZES.get(picture.gaze)
    commanded = "" if gaze is None else "NO" if picture.gaze == "ahead" else "YES"
    return {
        "image.eye_movement_commanded": commanded,
        "image.gaze": requests.code_items([gaze]) if gaze is not None and commanded == "YES" else [],
    }


def _loss_facts(encoded: EncodedPixels, picture: Picture) -> dict[str, Fact]:
    ratios = list(picture.loss.ratios) if picture.loss else []
    methods = list(picture.loss.methods) if picture.loss else []
    if encoded.lossy_ratio is not None:
        ratios.append(encoded.lossy_ratio)
        methods.append(JPEG_METHOD)
    is_lossy = picture.loss is not None or encoded.lossy_ratio is not None
    return {
        "pixels.lossy": "01" if is_lossy else "00",
        "pixels.lossy_ratio": [f"{ratio:.2f}" for ratio in ratios] or None,
        "pixels.lossy_method": methods or None,
    }


def _pixel_spacing(picture: Picture) -> list[str] | None:
    um_per_px = picture.exposures[0].um_per_px
    return None if um_per_px is None else [f"{um_per_px / 1000:.8g}"] * 2


def _calibration_facts(picture: Picture, created_at: datetime) -> dict[str, Fact]:
    """PS3.3 10.7.1.1: GEOMETRY, because the target is not in the picture itself, which would be FIDUCIAL."""
    calibration = picture.exposures[0].calibration if picture.exposures else None
    if calibration is None or picture.kind == "report":
        return dict.fromkeys(CALIBRATION_FACTS)
    measured_at = parse_time(calibration.measured_at, "the time of the calibration").astimezone(created_at.tzinfo)
    return {
        "image.pixel_spacing_calibration_type": "GEOMETRY",
        "image.pixel_spacing_calibration": calibration_words(calibration)[:LO_MAX],
        "equipment.calibration_date": dicom_date(measured_at),
        "equipment.calibration_time": dicom_time(measured_at),
    }


def calibration_words(calibration: Calibration) -> str:
    """What the scale rests on; the figures first, because an LO has 64 characters and a target may have a long name."""
    day = calibration.measured_at[:10]
    return f"{calibration.um_per_px:.5g} um/px +-{calibration.uncertainty_percent:.2g} % {day}, {calibration.target}"


def _series_description(picture: Picture) -> str:
    mark = "SIMULATED INSTRUMENT " if picture.simulated else ""
    if picture.series_description:
        return mark + picture.series_description
    if picture.kind == "report":
        return f"{mark}Corneal endothelium report"
    return " ".join([f"{mark}Corneal endothelium", *(EYE_NAMES[eye] for eye in picture.eyes)])
