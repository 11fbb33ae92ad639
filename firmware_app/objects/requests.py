"""What was asked for and what is done: worklist items -> study, request and performed procedure step (PS3.17 J.2.1).

One exam may answer several requests (the group case, PS3.17 J.4). What they agree on belongs to the study; what they
differ in stands only in their own items, and the study's attribute stays empty, as J.4.1 has it for the accession
number. Descriptions are for people and are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from firmware_app.dicom.uids import MODALITY_PERFORMED_PROCEDURE_STEP
from firmware_app.model import Code, Exam, ReferencedInstance, WorklistItem
from firmware_app.objects.compose import Fact
from firmware_app.objects.times import dicom_date, dicom_time

JOINT = " + "
T = TypeVar("T")


def study_facts(exam: Exam, started_at: datetime) -> dict[str, Fact]:
    """An unscheduled exam has no accession number, no request and no procedure: nothing is made up for it."""
    items = exam.worklist_items
    return {
        "study.instance_uid": exam.study_instance_uid,
        "study.date": dicom_date(started_at),
        "study.time": dicom_time(started_at),
        "study.id": _agreed(items, lambda item: item.requested_procedure_id),  # a worklist has none (PS3.4 K.6-1)
        "study.accession_number": _agreed(items, lambda item: item.accession_number),
        "study.referring_physician": _agreed(items, lambda item: item.referring_physician),
        "study.description": _joined(item.requested_procedure_description for item in items),
        "study.procedure_codes": code_items(_union(item.requested_procedure_codes for item in items)),
        "study.referenced_studies": reference_items(_union(item.referenced_studies for item in items)),
    }


def request_facts(item: WorklistItem) -> dict[str, Fact]:
    """One item of the Request Attributes Sequence, or of the MPPS's Scheduled Step Attributes Sequence."""
    return {
        "request.study_instance_uid": item.study_instance_uid,
        "request.accession_number": item.accession_number,
        "request.requested_procedure_id": item.requested_procedure_id,
        "request.requested_procedure_description": item.requested_procedure_description,
        "request.requested_procedure_codes": code_items(item.requested_procedure_codes),
        "request.referenced_studies": reference_items(item.referenced_studies),
        "request.scheduled_procedure_step_id": item.scheduled_procedure_step_id,
        "request.scheduled_procedure_step_description": item.scheduled_procedure_step_description,
        "request.scheduled_protocol_codes": code_items(item.scheduled_protocol_codes),
    }


def step_facts(exam: Exam, started_at: datetime) -> dict[str, Fact]:
    """The performed procedure step: equal in the MPPS and in every instance (PS3.4 table F.7.2-1)."""
    items = exam.worklist_items
    mpps = exam.mpps_sop_instance_uid
    references = (ReferencedInstance(MODALITY_PERFORMED_PROCEDURE_STEP, mpps),) if mpps else ()
    return {
        "step.id": exam.performed_procedure_step_id,
        "step.start_date": dicom_date(started_at),
        "step.start_time": dicom_time(started_at),
        "step.description": _joined(item.scheduled_procedure_step_description for item in items),
        "step.performed_protocol_codes": code_items(_union(item.scheduled_protocol_codes for item in items)),
        "step.references": reference_items(references),
    }


def performing_physician(exam: Exam) -> str:
    return _agreed(exam.worklist_items, lambda item: item.scheduled_performing_physician)


def protocol_name(exam: Exam) -> str:
    return _joined(_protocol_name(item) for item in exam.worklist_items)


def code_items(codes: Iterable[Code]) -> list[dict[str, Fact]]:
    return [{"code.value": code.value, "code.scheme": code.scheme, "code.meaning": code.meaning} for code in codes]


def reference_items(references: Iterable[ReferencedInstance]) -> list[dict[str, Fact]]:
    return [
        {"reference.sop_class_uid": each.sop_class_uid, "reference.sop_instance_uid": each.sop_instance_uid}
        for each in references
    ]


def _protocol_name(item: WorklistItem) -> str:
    meanings = [code.meaning for code in item.scheduled_protocol_codes if code.meaning]
    return meanings[0] if meanings else item.scheduled_procedure_step_description


def _agreed(items: Sequence[WorklistItem], value_of: Callable[[WorklistItem], str]) -> str:
    values = {value_of(item) for item in items}
    return values.pop() if len(values) == 1 else ""


def _joined(values: Iterable[str]) -> str:
    return JOINT.join(dict.fromkeys(value for value in values if value))


def _union(groups: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(each for group in groups for each in group))
