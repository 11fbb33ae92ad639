"""The closed list of places an attribute's value may come from, in the words of a conformance statement.

A profile's attribute table names a source; `objects.facts` supplies every one of them. Sources of sequences yield
items, and the attributes inside such an item draw on the sources of that kind of item.
"""

from __future__ import annotations

SOURCES = {
    "patient.name": "acquired from MWL or patient query, or entered",
    "patient.id": "acquired from MWL or patient query, or entered",
    "patient.issuer_of_id": "acquired from MWL or patient query, or absent",
    "patient.birth_date": "acquired from MWL or patient query, or entered",
    "patient.sex": "acquired from MWL or patient query, or entered",
    "patient.ethnic_group": "acquired from MWL or patient query, or absent",
    "patient.weight_kg": "acquired from MWL, or absent",
    "patient.quality_control_subject": "YES when the instrument is simulated",
    "study.instance_uid": "acquired from MWL, or generated",
    "study.date": "generated: start of the exam",
    "study.time": "generated: start of the exam",
    "study.id": "the Requested Procedure ID acquired from MWL, or empty",
    "study.accession_number": "acquired from MWL, or empty",
    "study.referring_physician": "acquired from MWL, or empty",
    "study.description": "the Requested Procedure Description acquired from MWL, or absent",
    "series.modality": "the term that the storage modality setting stands for",
    "series.instance_uid": "generated: one series for each eye and one for reports",
    "series.number": "generated",
    "series.laterality": "R or L; absent where both eyes are shown",
    "series.description": "generated",
    "series.date": "generated: start of the exam",
    "series.time": "generated: start of the exam",
    "series.performing_physician": "the Scheduled Performing Physician's Name acquired from MWL, or absent",
    "series.operator": "entered or configured",
    "series.protocol_name": "the scheduled protocol acquired from MWL, or absent",
    "equipment.manufacturer": "preset",
    "equipment.model_name": "preset",
    "equipment.device_serial_number": "configured",
    "equipment.software_versions": "preset",
    "equipment.institution_name": "configured",
    "equipment.station_name": "configured",
    "image.sop_class_uid": "generated",
    "image.sop_instance_uid": "generated",
    "image.character_set": "that of the MWL item where it can hold every value, otherwise the profile's fallback",
    "image.creation_date": "generated",
    "image.creation_time": "generated",
    "image.timezone_offset": "generated",
    "image.instance_number": "generated",
    "image.acquisition_number": "generated; absent in reports",
    "image.type": "ORIGINAL\\PRIMARY for a camera frame, DERIVED\\SECONDARY for a report",
    "image.laterality": "R, L or B (both eyes) in reports; elsewhere the laterality is the series'",
    "image.patient_orientation": "L\\F; empty in reports",
    "image.content_date": "generated: the exposure, or the creation of the report",
    "image.content_time": "generated: the exposure, or the creation of the report",
    "image.acquisition_date": "generated: the exposure; absent in reports",
    "image.acquisition_time": "generated: the exposure; absent in reports",
    "image.acquisition_datetime": "generated: the exposure; absent in reports",
    "image.burned_in_annotation": "YES where patient data is drawn into the pixels, otherwise NO",
    "image.quality_control_image": "YES when the instrument is simulated",
    "image.derivation_description": "generated where the stored pixels are not the camera's",
    "image.comments": "generated: simulation, result and problems of the worklist item",
    "image.conversion_type": "DI for a camera frame, WSD for a report",
    "image.pixel_spacing": "generated from the calibration; absent without one",
    "pixels.samples_per_pixel": "generated",
    "pixels.photometric_interpretation": "MONOCHROME2, RGB or, with JPEG Baseline, YBR_FULL_422",
    "pixels.planar_configuration": "0 in colour images",
    "pixels.rows": "generated",
    "pixels.columns": "generated",
    "pixels.bits_allocated": "8 or 16",
    "pixels.bits_stored": "8 or 12",
    "pixels.high_bit": "generated",
    "pixels.pixel_representation": "0",
    "pixels.pixel_data": "generated",
    "pixels.lossy": "00, or 01 with JPEG Baseline",
    "pixels.lossy_ratio": "generated with JPEG Baseline",
    "pixels.lossy_method": "ISO_10918_1 with JPEG Baseline",
}

REFERENCE_SOURCES = {
    "reference.sop_class_uid": "SOP Class UID",
    "reference.sop_instance_uid": "SOP Instance UID",
}
CODE_SOURCES = {
    "code.value": "acquired from MWL",
    "code.scheme": "acquired from MWL",
    "code.meaning": "acquired from MWL",
}
REQUEST_SOURCES = {
    "request.study_instance_uid": "acquired from MWL",
    "request.accession_number": "acquired from MWL",
    "request.requested_procedure_id": "acquired from MWL",
    "request.requested_procedure_description": "acquired from MWL",
    "request.scheduled_procedure_step_id": "acquired from MWL",
    "request.scheduled_procedure_step_description": "acquired from MWL",
}

# Sources that yield sequence items, and what the attributes of one item may draw on.
ITEM_SOURCES: dict[str, dict[str, str]] = {
    "study.procedure_codes": CODE_SOURCES,
    "study.referenced_studies": REFERENCE_SOURCES,
    "series.requests": REQUEST_SOURCES,
    "request.requested_procedure_codes": CODE_SOURCES,
    "request.scheduled_protocol_codes": CODE_SOURCES,
    "request.referenced_studies": REFERENCE_SOURCES,
    "image.source_images": REFERENCE_SOURCES,
}
