"""Exams, captures and pictures that the object and report tests share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from firmware_app.calibration import Calibration
from firmware_app.model import Capture, Code, Equipment, Exam, Eye, Patient, Position, ReferencedInstance, WorklistItem
from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.instance import Instance, build_instance
from firmware_app.objects.picture import Exposure, Loss, Picture, camera_picture, report_picture
from firmware_app.profiles import load_profile

PROFILE = load_profile()
CREATED_AT = datetime(2024, 3, 31, 23, 30, 5, 250_000, tzinfo=UTC)
EQUIPMENT = Equipment("Maker", "Specular", "SN-1", "0.1.0", "Eye Hospital", "ROOM1")

PATIENT = Patient("Doe^Jane", "P-001", "HOSPITAL", "19500102", "F", "", "61.5")
ITEM = WorklistItem(
    patient=PATIENT,
    study_instance_uid="1.2.826.0.1.3680043.9.1",
    accession_number="ACC-1",
    requested_procedure_id="RP-1",
    requested_procedure_description="Specular microscopy both eyes",
    requested_procedure_codes=(Code("SPM", "99TEST", "Specular microscopy"),),
    referenced_studies=(ReferencedInstance("1.2.840.10008.3.1.2.3.1", "1.2.826.0.1.3680043.9.2"),),
    requesting_physician="Ask^Anna",
    referring_physician="Refer^Rita",
    scheduled_performing_physician="Perform^Paul",
    scheduled_procedure_step_description="Endothelium OU",
    scheduled_procedure_step_id="SPS-1",
    scheduled_protocol_codes=(Code("SPM-OU", "99TEST", "Endothelium, both eyes"),),
)
# 08:30 in Tokyo is still the day before in UTC.
SCHEDULED = Exam("exam-1", PATIENT, ITEM.study_instance_uid, "2.25.77", "2024-04-01T08:30:00+09:00", (ITEM,), "Op^Otto")
UNSCHEDULED = Exam("exam-2", PATIENT, "2.25.4711", "2.25.78", "2024-04-01T08:30:00+09:00")
WITH_MPPS = replace(SCHEDULED, performed_procedure_step_id="PPS-1", mpps_sop_instance_uid="2.25.79")
# Both eyes ordered separately, answered by one visit (PS3.17 J.4): the second request differs in all but the patient.
OTHER_ITEM = replace(
    ITEM,
    study_instance_uid="1.2.826.0.1.3680043.9.3",
    accession_number="ACC-2",
    requested_procedure_id="RP-2",
    requested_procedure_description="Specular microscopy left eye",
    requested_procedure_codes=(Code("SPM-L", "99TEST", "Specular microscopy left"),),
    referenced_studies=(ReferencedInstance("1.2.840.10008.3.1.2.3.1", "1.2.826.0.1.3680043.9.4"),),
    scheduled_procedure_step_description="Endothelium OS",
    scheduled_procedure_step_id="SPS-2",
    scheduled_protocol_codes=(Code("SPM-OS", "99TEST", "Endothelium, left eye"),),
)
GROUP = replace(WITH_MPPS, worklist_items=(ITEM, OTHER_ITEM), performed_procedure_step_id="PPS-2")
APPENDED = replace(
    WITH_MPPS, exam_id="exam-3", appended_to="exam-1", series_instance_uid="2.25.80", mpps_sop_instance_uid="2.25.81"
)


CALIBRATION = Calibration(
    measured_at="2024-03-01T16:05:00+01:00",
    um_per_px=0.85,
    uncertainty_percent=0.12,
    target="grid of 50 um, serial number 4711 of a maker with a very long name",
    operator="Tech^Tina",
    camera="serial:/dev/camera (SPECULAR-CAM 1.0)",
    rows=33,
    columns=47,
    simulated=False,
    rotation_deg=0.3,
    anisotropy_percent=-0.02,
)


def capture(eye: Eye = Eye.RIGHT, **changes: Any) -> Capture:
    made = Capture(
        capture_id=f"capture-{eye}",
        exam_id="exam-1",
        eye=eye,
        captured_at="2024-04-01T08:29:30.500000+09:00",
        position=Position(0.0, 0.0, 0.0),
        um_per_px=0.85,
        bits_stored=8,
        rows=33,
        columns=47,
        sharpness=1.0,
        simulated=False,
    )
    return replace(made, **changes)


def frame(bits_stored: int, rows: int = 33, columns: int = 47) -> np.ndarray[Any, Any]:
    values = np.random.default_rng(bits_stored).integers(0, 1 << bits_stored, (rows, columns))
    return values.astype(np.uint8 if bits_stored == 8 else np.uint16)


def camera(bits_stored: int = 8, eye: Eye = Eye.RIGHT, **changes: Any) -> Picture:
    return camera_picture(frame(bits_stored), capture(eye, bits_stored=bits_stored, **changes), instance_number=1)


def image_file(**changes: Any) -> Picture:
    """A picture from a JPEG file of nobody knows which instrument."""
    exposure = Exposure(Eye.LEFT, "2024-04-01T08:29:30+09:00", None)
    made = Picture("image", frame(8), 8, (exposure,), 4, False, loss=Loss((12.5,), ("ISO_10918_1",)))
    return replace(made, **changes)


def report(**changes: Any) -> Picture:
    page = np.random.default_rng(3).integers(0, 256, (37, 35, 3)).astype(np.uint8)
    eyes = [capture(Eye.RIGHT, **changes), capture(Eye.LEFT, **changes)]
    source = ReferencedInstance("1.2.840.10008.5.1.4.1.1.7", "2.25.99")
    return report_picture(page, eyes, instance_number=3, source_images=[source])


def build(picture: Picture, exam: Exam = SCHEDULED, **options: Any) -> Instance:
    numbers = count(1)
    arguments: dict[str, Any] = {
        "exam": exam,
        "equipment": EQUIPMENT,
        "profile": PROFILE,
        "created_at": CREATED_AT,
        "make_uid": lambda: f"2.25.1000{next(numbers)}",
    }
    return build_instance(picture, **(arguments | options))


def read_back(instance: Instance) -> Dataset:
    return pydicom.dcmread(BytesIO(encode_part10(instance.dataset)))
