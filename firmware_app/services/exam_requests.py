"""What an exam may answer: one request, several of the same patient (PS3.17 J.4), or none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from firmware_app.dicom.uids import is_uid
from firmware_app.model import Patient, WorklistItem
from hw.errors import Refused


def check_group(items: Sequence[WorklistItem]) -> None:
    """`Refused` unless all requests are of one patient and no two are the same step."""
    for first, second in combinations(items, 2):
        if first == second:
            raise Refused("the same worklist item is named twice")
        difference = patients_differ(first.patient, second.patient)
        if difference:
            raise Refused(f"one exam has one patient, and in these worklist items {difference}")


def patients_differ(first: Patient, second: Patient) -> str:
    """Why these are not one patient, in words; empty where nothing speaks against it.

    The ID decides, with its issuer. What one item leaves out does not contradict the other.
    """
    if not first.patient_id or not second.patient_id:
        return "a patient has no ID"
    if first.patient_id != second.patient_id:
        return f"the patient IDs differ: {first.patient_id} and {second.patient_id}"
    for words, one, other in (
        ("the issuers of the patient ID", first.issuer_of_patient_id, second.issuer_of_patient_id),
        ("the birth dates", first.birth_date, second.birth_date),
        ("the sexes", first.sex, second.sex),
        ("the names", first.name, second.name),
    ):
        if one and other and one != other:
            return f"{words} differ: {one} and {other}"
    return ""


def study_of(items: Sequence[WorklistItem]) -> str:
    """The study that the images belong to: that of the first request that has one; empty where none has (J.4.1).

    What an information system wrote there that is no UID would leave the exam without any instance.
    """
    return next((item.study_instance_uid for item in items if is_uid(item.study_instance_uid)), "")
