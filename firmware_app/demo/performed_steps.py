"""Performed procedure steps as an information system keeps them: the state machine of PS3.4 F.7.2, in memory.

A step begins as IN PROGRESS, may then be changed, and is final once it is COMPLETED or DISCONTINUED.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from pydicom.datadict import dictionary_description
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
FINAL = (COMPLETED, DISCONTINUED)
MAX_STEPS = 10_000

# PS3.7 annex C, and PS3.4 F.7.2.2.3 for the error ID.
NO_SUCH_ATTRIBUTE = 0x0105
INVALID_ATTRIBUTE_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
NO_SUCH_SOP_INSTANCE = 0x0112
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
RESOURCE_LIMITATION = 0x0213
MAY_NO_LONGER_BE_UPDATED = 0xA710

# PS3.4 table F.7.2-1, what an SCU must send in N-CREATE: type 1 with a value, type 2 at least empty.
CREATED_TYPE_1 = (
    "ScheduledStepAttributesSequence",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "Modality",
)
CREATED_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "ReferencedPatientSequence",
    "PerformedStationName",
    "PerformedLocation",
    "PerformedProcedureStepDescription",
    "PerformedProcedureTypeDescription",
    "ProcedureCodeSequence",
    "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime",
    "StudyID",
    "PerformedProtocolCodeSequence",
    "PerformedSeriesSequence",
)
REQUEST_TYPE_1 = ("StudyInstanceUID",)
REQUEST_TYPE_2 = (
    "ReferencedStudySequence",
    "AccessionNumber",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
)
SERIES_TYPE_1 = ("SeriesInstanceUID", "ProtocolName")
SERIES_TYPE_2 = (
    "PerformingPhysicianName",
    "OperatorsName",
    "SeriesDescription",
    "RetrieveAETitle",
    "ReferencedImageSequence",
    "ReferencedNonImageCompositeSOPInstanceSequence",
)
# What a final step must have (the column "final state" of the table).
FINAL_TYPE_1 = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "PerformedSeriesSequence")
# N-SET "not allowed" in the table: they identify the patient, the request and the beginning.
SET_ONCE = frozenset(
    {
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "ReferencedPatientSequence",
        "ScheduledStepAttributesSequence",
        "PerformedProcedureStepID",
        "PerformedStationAETitle",
        "PerformedStationName",
        "PerformedLocation",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "Modality",
        "StudyID",
    }
)


class StepRefused(Exception):
    """A request that the information system does not perform; `status` is its answer."""

    def __init__(self, status: int, comment: str, error_id: int | None = None) -> None:
        super().__init__(comment)
        self.status = status
        self.error_id = error_id


class PerformedSteps:
    """All steps by SOP Instance UID. Safe to call from the threads of several associations."""

    def __init__(self) -> None:
        self._steps: dict[str, Dataset] = {}
        self._lock = threading.Lock()

    def create(self, uid: str, attributes: Dataset) -> Dataset:
        """Begin a step. Raises `StepRefused`."""
        with self._lock:
            if uid in self._steps:
                raise StepRefused(DUPLICATE_SOP_INSTANCE, "this step has been created before")
            if len(self._steps) >= MAX_STEPS:
                raise StepRefused(RESOURCE_LIMITATION, f"{MAX_STEPS} steps are kept")
            _require(attributes, CREATED_TYPE_1, CREATED_TYPE_2)
            for item in attributes.ScheduledStepAttributesSequence:
                _require(item, REQUEST_TYPE_1, REQUEST_TYPE_2)
            _check_series(attributes)
            _check_status(attributes, (IN_PROGRESS,))
            self._steps[uid] = attributes
            return attributes

    def change(self, uid: str, attributes: Dataset) -> Dataset:
        """Change a step, perhaps for the last time; a sequence replaces the former one. Raises `StepRefused`."""
        with self._lock:
            step = self._steps.get(uid)
            if step is None:
                raise StepRefused(NO_SUCH_SOP_INSTANCE, "no such step")
            if step.PerformedProcedureStepStatus in FINAL:
                text = f"{step.PerformedProcedureStepStatus}: may no longer be updated"
                raise StepRefused(PROCESSING_FAILURE, text, MAY_NO_LONGER_BE_UPDATED)
            for element in attributes:
                _check_change(step, element)
            _check_status(attributes, (IN_PROGRESS, *FINAL))
            _check_series(attributes)
            changed = Dataset()
            changed.update(step)
            changed.update(attributes)
            if changed.PerformedProcedureStepStatus in FINAL:
                _require(changed, FINAL_TYPE_1, ())
            self._steps[uid] = changed
            return changed


def referenced_instances(step: Dataset) -> list[str]:
    """The SOP Instance UIDs of everything that the step says it has made."""
    sequences = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
    return [
        str(reference.get("ReferencedSOPInstanceUID", ""))
        for series in step.get("PerformedSeriesSequence") or []
        for keyword in sequences
        for reference in series.get(keyword) or []
    ]


def study_instance_uids(step: Dataset) -> list[str]:
    items = step.get("ScheduledStepAttributesSequence") or []
    return [str(item.get("StudyInstanceUID", "")) for item in items]


def _require(attributes: Dataset, type_1: Iterable[str], type_2: Iterable[str]) -> None:
    for keyword in (*type_1, *type_2):
        if keyword not in attributes:
            raise StepRefused(MISSING_ATTRIBUTE, f"no {_name(keyword)}")
    for keyword in type_1:
        if attributes[keyword].is_empty:
            raise StepRefused(MISSING_ATTRIBUTE_VALUE, f"{_name(keyword)} without a value")


def _check_series(attributes: Dataset) -> None:
    for item in attributes.get("PerformedSeriesSequence") or []:
        _require(item, SERIES_TYPE_1, SERIES_TYPE_2)


def _check_status(attributes: Dataset, allowed: tuple[str, ...]) -> None:
    status = attributes.get("PerformedProcedureStepStatus")
    if status is not None and status not in allowed:
        raise StepRefused(INVALID_ATTRIBUTE_VALUE, f"Performed Procedure Step Status is not {' or '.join(allowed)}")


def _check_change(step: Dataset, element: DataElement) -> None:
    if element.keyword in SET_ONCE:
        raise StepRefused(NO_SUCH_ATTRIBUTE, f"{element.name} may only be set when the step is created")
    if element.keyword != "SpecificCharacterSet" and element.tag not in step:
        raise StepRefused(NO_SUCH_ATTRIBUTE, f"{element.name} was not created with the step")


def _name(keyword: str) -> str:
    return dictionary_description(keyword)
