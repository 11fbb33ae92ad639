"""Worklist -> image -> MPPS, row by row (PS3.17 table J.2.1-1, PS3.4 table F.7.2-1), and how to read it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset

from firmware_app.model import Code, Exam, ReferencedInstance, WorklistItem

Items = Sequence[WorklistItem]
Values = list[Any]
STEP_CLASS = "1.2.840.10008.3.1.2.3.3"
ASKED = "RequestAttributesSequence"
SCHEDULED = "ScheduledStepAttributesSequence"
SERIES = "PerformedSeriesSequence"


@dataclass(frozen=True)
class Row:
    """One row of the table: its value by exam and worklist items, and where it stands; a path is "" where nowhere."""

    name: str
    value: Callable[[Exam, Items], Values]
    image: str = ""
    n_create: str = ""
    n_set: str = ""


def agreed(attribute: str) -> Callable[[Exam, Items], Values]:
    """One value for the study, empty where the requests differ in it (PS3.17 J.4.1)."""

    def value(_: Exam, items: Items) -> Values:
        values = {getattr(item, attribute) for item in items}
        return [values.pop()] if len(values) == 1 else [""]

    return value


def joined(attribute: str) -> Callable[[Exam, Items], Values]:
    return lambda _, items: [" + ".join(dict.fromkeys(getattr(item, attribute) for item in items))]


def each(attribute: str) -> Callable[[Exam, Items], Values]:
    return lambda _, items: [getattr(item, attribute) for item in items]


def all_of(attribute: str) -> Callable[[Exam, Items], Values]:
    """The items of a sequence, of every request."""
    return lambda _, items: [_plain(each) for item in items for each in getattr(item, attribute)]


def patient(attribute: str) -> Callable[[Exam, Items], Values]:
    return lambda exam, _: [getattr(exam.patient, attribute)]


def exam_value(attribute: str) -> Callable[[Exam, Items], Values]:
    return lambda exam, _: [getattr(exam, attribute)]


def started(form: str) -> Callable[[Exam, Items], Values]:
    return lambda exam, _: [datetime.fromisoformat(exam.started_at).strftime(form)]


def protocol(_: Exam, items: Items) -> Values:
    return [" + ".join(item.scheduled_protocol_codes[0].meaning for item in items)]


def step_reference(exam: Exam, _: Items) -> Values:
    return [(STEP_CLASS, exam.mpps_sop_instance_uid)] if exam.mpps_sop_instance_uid else []


TABLE = (
    Row("Patient's Name", patient("name"), "PatientName", "PatientName"),
    Row("Patient ID", patient("patient_id"), "PatientID", "PatientID"),
    Row("Issuer of Patient ID", patient("issuer_of_patient_id"), "IssuerOfPatientID", "IssuerOfPatientID"),
    Row("Patient's Birth Date", patient("birth_date"), "PatientBirthDate", "PatientBirthDate"),
    Row("Patient's Sex", patient("sex"), "PatientSex", "PatientSex"),
    Row("Referring Physician's Name", agreed("referring_physician"), "ReferringPhysicianName"),
    Row("Study Instance UID", exam_value("study_instance_uid"), "StudyInstanceUID"),
    Row("> of the request", each("study_instance_uid"), f"{ASKED}.StudyInstanceUID", f"{SCHEDULED}.StudyInstanceUID"),
    Row("Referenced Study Sequence", all_of("referenced_studies"), "ReferencedStudySequence"),
    Row(
        "> of the request",
        all_of("referenced_studies"),
        f"{ASKED}.ReferencedStudySequence",
        f"{SCHEDULED}.ReferencedStudySequence",
    ),
    Row("Accession Number", agreed("accession_number"), "AccessionNumber"),
    Row("> of the request", each("accession_number"), f"{ASKED}.AccessionNumber", f"{SCHEDULED}.AccessionNumber"),
    Row(
        "Requested Procedure ID",
        each("requested_procedure_id"),
        f"{ASKED}.RequestedProcedureID",
        f"{SCHEDULED}.RequestedProcedureID",
    ),
    Row("> as Study ID", agreed("requested_procedure_id"), "StudyID", "StudyID"),
    Row("> as Study Description", joined("requested_procedure_description"), "StudyDescription"),
    Row(
        "Requested Procedure Description",
        each("requested_procedure_description"),
        f"{ASKED}.RequestedProcedureDescription",
        f"{SCHEDULED}.RequestedProcedureDescription",
    ),
    Row(
        "Requested Procedure Code Sequence",
        all_of("requested_procedure_codes"),
        f"{ASKED}.RequestedProcedureCodeSequence",
        f"{SCHEDULED}.RequestedProcedureCodeSequence",
    ),
    Row(
        "> as Procedure Code Sequence",
        all_of("requested_procedure_codes"),
        "ProcedureCodeSequence",
        "ProcedureCodeSequence",
    ),
    Row(
        "Scheduled Procedure Step ID",
        each("scheduled_procedure_step_id"),
        f"{ASKED}.ScheduledProcedureStepID",
        f"{SCHEDULED}.ScheduledProcedureStepID",
    ),
    Row(
        "Scheduled Procedure Step Description",
        each("scheduled_procedure_step_description"),
        f"{ASKED}.ScheduledProcedureStepDescription",
        f"{SCHEDULED}.ScheduledProcedureStepDescription",
    ),
    Row(
        "Scheduled Protocol Code Sequence",
        all_of("scheduled_protocol_codes"),
        f"{ASKED}.ScheduledProtocolCodeSequence",
        f"{SCHEDULED}.ScheduledProtocolCodeSequence",
    ),
    Row(
        "> as performed",
        all_of("scheduled_protocol_codes"),
        "PerformedProtocolCodeSequence",
        "PerformedProtocolCodeSequence",
    ),
    Row("> as Protocol Name", protocol, "ProtocolName", n_set=f"{SERIES}.ProtocolName"),
    Row(
        "Scheduled Performing Physician's Name",
        agreed("scheduled_performing_physician"),
        "PerformingPhysicianName",
        n_set=f"{SERIES}.PerformingPhysicianName",
    ),
    Row("Operators' Name", exam_value("operator"), "OperatorsName", n_set=f"{SERIES}.OperatorsName"),
    Row(
        "Performed Procedure Step ID",
        exam_value("performed_procedure_step_id"),
        "PerformedProcedureStepID",
        "PerformedProcedureStepID",
    ),
    Row("> start date", started("%Y%m%d"), "PerformedProcedureStepStartDate", "PerformedProcedureStepStartDate"),
    Row("> start time", started("%H%M%S.%f"), "PerformedProcedureStepStartTime", "PerformedProcedureStepStartTime"),
    Row(
        "> description",
        joined("scheduled_procedure_step_description"),
        "PerformedProcedureStepDescription",
        "PerformedProcedureStepDescription",
    ),
    Row("Referenced Performed Procedure Step", step_reference, "ReferencedPerformedProcedureStepSequence"),
)


def values_at(dataset: Dataset, path: str) -> Values:
    """What stands there, in every item on the way; nothing and zero length are alike, as in the table."""
    keyword, _, rest = path.partition(".")
    if keyword not in dataset:
        return []
    element = dataset[keyword]
    if rest:
        return [value for item in element.value for value in values_at(item, rest)]
    if element.VR == "SQ":
        return [tuple(str(part.value) for part in item) for item in element.value]
    return [] if element.is_empty else [str(element.value)]


def expected(row: Row, exam: Exam, items: Items) -> Values:
    return [value for value in row.value(exam, items) if value]


def _plain(value: Code | ReferencedInstance) -> tuple[str, ...]:
    if isinstance(value, Code):
        return (value.value, value.scheme, value.meaning)
    return (value.sop_class_uid, value.sop_instance_uid)
