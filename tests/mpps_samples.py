"""Exams as performed procedure steps, and their messages as another DICOM toolkit reads them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from objects_samples import ITEM, PATIENT, PROFILE, SCHEDULED, UNSCHEDULED, build, camera, report
from pydicom.dataset import Dataset

from firmware_app.model import Code, Exam
from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.mpps import MppsComposer, StepStation

__all__ = ["ENDED_AT", "GROUP", "OTHER_ITEM", "PATIENT", "SCHEDULED_STEP", "UNSCHEDULED_STEP", "composer", "pictures"]

ENDED_AT = datetime.fromisoformat("2024-04-01T08:41:07+09:00")
STATION = StepStation("SPECULAR", "ROOM1", "ARCHIVE")
STEP = {"performed_procedure_step_id": "PPSexam1", "mpps_sop_instance_uid": "2.25.500"}
SCHEDULED_STEP = replace(SCHEDULED, **STEP)
UNSCHEDULED_STEP = replace(UNSCHEDULED, **STEP)
OTHER_ITEM = replace(
    ITEM,
    study_instance_uid="1.2.826.0.1.3680043.9.3",
    accession_number="ACC-2",
    requested_procedure_id="RP-2",
    scheduled_procedure_step_id="SPS-2",
    scheduled_protocol_codes=(Code("SPM-OS", "99TEST", "Endothelium, left eye"),),
)
GROUP = replace(SCHEDULED_STEP, worklist_items=(ITEM, OTHER_ITEM))


def composer(**changes: Any) -> MppsComposer:
    assert PROFILE.mpps is not None
    return MppsComposer(PROFILE, PROFILE.mpps, "SC", replace(STATION, **changes))


def pictures(exam: Exam) -> list[tuple[Dataset, bytes]]:
    """An image and a report of the exam, each as data set and as file."""
    made = [build(camera(), exam), build(report(), exam)]
    # Both would have the first UID that `build` hands out.
    made[1].dataset.SOPInstanceUID = made[1].dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.2000"
    return [(each.dataset, encode_part10(each.dataset)) for each in made]
