"""The columns of a worklist and of a list of patients: those that the profile displays, and always what stops a mix-up.

The SP-1P asks for birth date and sex and shows neither (4.2.2.2.5.3); two patients of one name differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from firmware_app.console.text import columns_of as terminal_columns
from firmware_app.model import Code, FoundPatient, Patient, WorklistItem
from firmware_app.profiles.profile import QueryKey

T = TypeVar("T", WorklistItem, FoundPatient)
STEP = "ScheduledProcedureStepSequence"
STEP_CODES = f"{STEP}.ScheduledProtocolCodeSequence"
PROCEDURE_CODES = "RequestedProcedureCodeSequence"
ALWAYS = ("PatientBirthDate", "PatientSex")
NAME = "PatientName"


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """`width` in columns of a terminal, for lists that are printed while they arrive."""

    heading: str
    width: int
    value: Callable[[T], str]


def _codes(codes: Iterable[Code], part: Callable[[Code], str]) -> str:
    return ", ".join(map(part, codes))


PATIENT: dict[str, tuple[str, int, Callable[[Patient], str]]] = {
    NAME: ("name", 24, lambda patient: patient.name),
    "PatientID": ("patient id", 16, lambda patient: patient.patient_id),
    "IssuerOfPatientID": ("issuer", 10, lambda patient: patient.issuer_of_patient_id),
    "PatientBirthDate": ("born", 8, lambda patient: patient.birth_date),
    "PatientSex": ("sex", 3, lambda patient: patient.sex),
    "PatientWeight": ("kg", 5, lambda patient: patient.weight_kg),
    "EthnicGroup": ("ethnic group", 16, lambda patient: patient.ethnic_group),
}


def _of_item(value: Callable[[Patient], str]) -> Callable[[WorklistItem], str]:
    return lambda item: value(item.patient)


def _of_found(value: Callable[[Patient], str]) -> Callable[[FoundPatient], str]:
    return lambda found: value(found.patient)


PATIENTS = {path: Column(heading, width, _of_found(value)) for path, (heading, width, value) in PATIENT.items()}
WORKLIST: dict[str, Column[WorklistItem]] = {
    f"{STEP}.ScheduledProcedureStepStartDate": Column("date", 8, lambda item: item.scheduled_start_date),
    f"{STEP}.ScheduledProcedureStepStartTime": Column("time", 4, lambda item: item.scheduled_start_time[:4]),
    f"{STEP}.ScheduledStationAETitle": Column("station", 16, lambda item: item.scheduled_station_ae_title),
    f"{STEP}.Modality": Column("modality", 8, lambda item: item.modality),
    f"{STEP}.ScheduledPerformingPhysicianName": Column(
        "performed by", 16, lambda item: item.scheduled_performing_physician
    ),
    f"{STEP}.ScheduledProcedureStepDescription": Column(
        "step", 24, lambda item: item.scheduled_procedure_step_description
    ),
    f"{STEP}.ScheduledProcedureStepLocation": Column(
        "location", 16, lambda item: item.scheduled_procedure_step_location
    ),
    f"{STEP}.ScheduledProcedureStepID": Column("step id", 16, lambda item: item.scheduled_procedure_step_id),
    f"{STEP_CODES}.CodeValue": Column(
        "protocol", 16, lambda item: _codes(item.scheduled_protocol_codes, lambda code: code.value)
    ),
    f"{STEP_CODES}.CodingSchemeDesignator": Column(
        "protocol scheme", 16, lambda item: _codes(item.scheduled_protocol_codes, lambda code: code.scheme)
    ),
    f"{STEP_CODES}.CodeMeaning": Column(
        "protocol meaning", 24, lambda item: _codes(item.scheduled_protocol_codes, lambda code: code.meaning)
    ),
    "RequestedProcedureID": Column("procedure id", 16, lambda item: item.requested_procedure_id),
    "RequestedProcedureDescription": Column("procedure", 24, lambda item: item.requested_procedure_description),
    f"{PROCEDURE_CODES}.CodeValue": Column(
        "procedure code", 16, lambda item: _codes(item.requested_procedure_codes, lambda code: code.value)
    ),
    f"{PROCEDURE_CODES}.CodingSchemeDesignator": Column(
        "procedure scheme", 16, lambda item: _codes(item.requested_procedure_codes, lambda code: code.scheme)
    ),
    f"{PROCEDURE_CODES}.CodeMeaning": Column(
        "procedure meaning", 24, lambda item: _codes(item.requested_procedure_codes, lambda code: code.meaning)
    ),
    "StudyInstanceUID": Column("study", 64, lambda item: item.study_instance_uid),
    "ReferencedStudySequence.ReferencedSOPClassUID": Column(
        "referenced class", 28, lambda item: ", ".join(each.sop_class_uid for each in item.referenced_studies)
    ),
    "ReferencedStudySequence.ReferencedSOPInstanceUID": Column(
        "referenced study", 64, lambda item: ", ".join(each.sop_instance_uid for each in item.referenced_studies)
    ),
    "AccessionNumber": Column("accession", 16, lambda item: item.accession_number),
    "RequestingPhysician": Column("requested by", 16, lambda item: item.requesting_physician),
    "ReferringPhysicianName": Column("referred by", 16, lambda item: item.referring_physician),
    "CurrentPatientLocation": Column("patient is at", 16, lambda item: item.current_patient_location),
    **{path: Column(heading, width, _of_item(value)) for path, (heading, width, value) in PATIENT.items()},
}


def worklist_columns(keys: Sequence[QueryKey]) -> tuple[Column[WorklistItem], ...]:
    return _displayed(keys, WORKLIST)


def patient_columns(keys: Sequence[QueryKey]) -> tuple[Column[FoundPatient], ...]:
    return _displayed(keys, PATIENTS)


def _displayed(keys: Sequence[QueryKey], columns: Mapping[str, Column[T]]) -> tuple[Column[T], ...]:
    """In the order of the table."""
    shown: list[str] = [key.path for key in keys if key.display and key.path in columns]
    return tuple(columns[path] for path in dict.fromkeys((*shown, *ALWAYS)))


def fixed_width(cells: Sequence[str], columns: Sequence[Column[T]]) -> str:
    """One line of a list that is printed while it arrives; a longer cell moves those behind it."""
    return "  ".join(
        cell + " " * (column.width - terminal_columns(cell)) for cell, column in zip(cells, columns, strict=True)
    )
