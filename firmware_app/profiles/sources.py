"""The closed list of places an attribute's value may come from, in the words of a conformance statement.

A profile's attribute table names a source; `objects.facts` supplies every one of them. Sources of sequences yield
items, and the attributes inside such an item draw on the sources of that kind of item.

`none` and `empty` are for attributes that a statement lists and does not set: with `none` an attribute of type 2 has
zero length and one of type 3 is absent, with `empty` one of type 2C has zero length too. `none.items` is `none` for a
sequence. `fixed.item` is a sequence of one item whose attributes are fixed values (or again `fixed.item`).
"""

from __future__ import annotations

NO_VALUE = frozenset({"none", "empty"})  # at any depth

SOURCES = {
    "none": "not set",
    "empty": "zero length",
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
    "study.id": "the Requested Procedure ID acquired from MWL, or entered, or empty",
    "study.accession_number": "acquired from MWL, or entered, or empty",
    "study.referring_physician": "acquired from MWL, or entered, or empty",
    "study.description": "the Requested Procedure Description acquired from MWL, or entered, or absent",
    "series.modality": "the term that the storage modality setting stands for",
    "series.instance_uid": "generated: one series for each eye and one for reports",
    "series.number": "generated: 1 of the right eye, 2 of the left, 3 of reports, 4 of images of an unknown eye",
    "series.laterality": "R or L, empty where nobody says; absent in reports",
    "series.eye": "R or L; empty where both eyes are shown",
    "series.description": "generated",
    "series.date": "generated: start of the exam",
    "series.time": "generated: start of the exam",
    "series.performing_physician": "the Scheduled Performing Physician's Name acquired from MWL, or absent",
    "series.operator": "entered or configured",
    "series.protocol_name": "the scheduled protocol acquired from MWL, or absent",
    "step.id": "generated: the same in the MPPS",
    "step.start_date": "generated: start of the exam, the same in the MPPS",
    "step.start_time": "generated: start of the exam, the same in the MPPS",
    "step.description": "the Scheduled Procedure Step Description acquired from MWL, or absent; the same in the MPPS",
    "step.character_set": "that of the MWL item where it can hold every value, otherwise the first that can",
    "step.status": "IN PROGRESS, then COMPLETED or DISCONTINUED",
    "step.station_ae_title": "configured: our AE title",
    "step.station_name": "configured",
    "step.end_date": "generated: end of the exam",
    "step.end_time": "generated: end of the exam",
    "step.comments": "generated when the instrument is simulated; otherwise absent",
    "synchronization.frame_of_reference_uid": "generated: one for each exam",
    "equipment.manufacturer": "preset",
    "equipment.model_name": "preset",
    "equipment.device_serial_number": "configured",
    "equipment.software_versions": "preset",
    "equipment.calibration_date": "generated from the calibration on a target; absent without one",
    "equipment.calibration_time": "generated from the calibration on a target; absent without one",
    "equipment.institution_name": "configured",
    "equipment.station_name": "configured",
    "equipment.institutional_department_name": "configured",
    "image.sop_class_uid": "generated",
    "image.sop_instance_uid": "generated",
    "image.character_set": "that of the MWL item where it can hold every value, otherwise the first that can",
    "image.creation_date": "generated",
    "image.creation_time": "generated",
    "image.timezone_offset": "generated",
    "image.instance_number": "generated",
    "image.acquisition_number": "generated; absent in reports",
    "image.type": "ORIGINAL\\PRIMARY for a camera frame, DERIVED\\SECONDARY for a report",
    "image.laterality": "R, L or B (both eyes) in reports; elsewhere the laterality is the series'",
    "image.eye": "R, L, or B where both eyes are shown",
    "image.eye_movement_commanded": "YES where the patient was asked to look aside, NO ahead; empty where unknown",
    "image.patient_orientation": "L\\F; empty in reports",
    "image.content_date": "generated: the exposure, or the creation of the report",
    "image.content_time": "generated: the exposure, or the creation of the report",
    "image.content_datetime": "generated from content date and time",
    "image.acquisition_date": "generated: the exposure; absent in reports",
    "image.acquisition_time": "generated: the exposure; absent in reports",
    "image.acquisition_datetime": "generated: the exposure; absent in reports",
    "image.burned_in_annotation": "YES where patient data is drawn into the pixels, otherwise NO",
    "image.quality_control_image": "YES when the instrument is simulated",
    "image.derivation_description": "generated where the stored pixels are not the camera's",
    "image.presentation_lut_shape": "IDENTITY in grey images",
    "image.comments": "generated: simulation, result and problems of the worklist item",
    "image.conversion_type": "DI for a camera frame, WSD for a report",
    "image.pixel_spacing": "generated from the calibration, or configured; absent without either",
    "image.pixel_spacing_calibration_type": "GEOMETRY where the camera was calibrated on a target; otherwise absent",
    "image.pixel_spacing_calibration": "generated: target, date and uncertainty of the calibration; absent without one",
    "pixels.samples_per_pixel": "generated",
    "pixels.photometric_interpretation": "MONOCHROME2 or RGB; YBR_FULL_422 with JPEG Baseline, YBR_RCT with JPEG 2000",
    "pixels.planar_configuration": "0 in colour images",
    "pixels.rows": "generated",
    "pixels.columns": "generated",
    "pixels.bits_allocated": "8 or 16",
    "pixels.bits_stored": "8 or 12 as the camera has them, or what the object wants: 8, 12 or 16",
    "pixels.high_bit": "generated",
    "pixels.pixel_representation": "0",
    "pixels.pixel_data": "generated",
    "pixels.smallest_value": "generated; absent in colour images and with JPEG Baseline",
    "pixels.largest_value": "generated; absent in colour images and with JPEG Baseline",
    "pixels.window_center": "generated: the middle of the values in the picture; absent in colour images",
    "pixels.window_width": "generated: the span of the values in the picture; absent in colour images",
    "pixels.lossy": "00, or 01 with JPEG Baseline or where the picture was compressed with loss before",
    "pixels.lossy_ratio": "generated where lossy",
    "pixels.lossy_method": "ISO_10918_1 with JPEG Baseline",
    "cr.plate_id": "entered, otherwise the device serial number: the camera is the plate",
    "cr.view_position": "entered, or empty",
    "cr.kvp": "entered, or absent",
    "cr.distance_source_to_detector_mm": "entered, or absent",
    "cr.exposure_uas": "entered, or absent",
    "cr.image_area_dose_product": "entered, or absent",
    "cr.relative_x_ray_exposure": "entered, or absent",
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

PERFORMED_SERIES_SOURCES = {
    "performed.series_instance_uid": "generated: that of the instances",
    "performed.series_description": "generated: that of the instances, or empty",
    "performed.protocol_name": "the scheduled protocol acquired from MWL, otherwise Corneal endothelium",
    "performed.performing_physician": "the Scheduled Performing Physician's Name acquired from MWL, or empty",
    "performed.operator": "entered or configured",
    "performed.retrieve_ae_title": "configured: the AE title of the storage node; empty where nothing was made",
}
DISCONTINUATION_SOURCES = {
    "code.value": "CID 9301",
    "code.scheme": "DCM",
    "code.meaning": "CID 9301",
}

GAZE_SOURCES = {
    "code.value": "CID 4201",
    "code.scheme": "SCT",
    "code.meaning": "CID 4201",
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
    "image.gaze": GAZE_SOURCES,
    "step.performed_protocol_codes": CODE_SOURCES,
    "step.references": REFERENCE_SOURCES,
    "step.requests": REQUEST_SOURCES,
    "step.discontinuation_reasons": DISCONTINUATION_SOURCES,
    "step.series": PERFORMED_SERIES_SOURCES,
    "performed.images": REFERENCE_SOURCES,
    "performed.others": REFERENCE_SOURCES,
    "none.items": {},
    "fixed.item": {},
}

# What the sources of sequences mean themselves.
ITEM_SOURCE_WORDS: dict[str, str] = {
    "study.procedure_codes": "the Requested Procedure Code Sequence acquired from MWL, or absent",
    "study.referenced_studies": "acquired from MWL, or absent",
    "series.requests": "one item for each MWL item that the exam answers; absent when unscheduled",
    "request.requested_procedure_codes": "acquired from MWL",
    "request.scheduled_protocol_codes": "acquired from MWL",
    "request.referenced_studies": "acquired from MWL",
    "image.source_images": "the images that a report was made from; absent elsewhere",
    "image.gaze": "where the patient was asked to look; absent where unknown",
    "step.performed_protocol_codes": "the Scheduled Protocol Code Sequence acquired from MWL; the same in the MPPS",
    "step.references": "the MPPS, where one is kept",
    "step.requests": "one item for each MWL item that the exam answers; unscheduled, one with our Study Instance UID",
    "step.discontinuation_reasons": "chosen by the operator",
    "step.series": "one item for each series that was made; an empty one where none was",
    "performed.images": "every image of the series",
    "performed.others": "every instance of the series that is no image",
    "none.items": "not set",
    "fixed.item": "one item",
}
