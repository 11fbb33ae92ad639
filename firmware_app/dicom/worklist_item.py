"""An identifier of a Modality Worklist response becomes a `WorklistItem` (PS3.4 table K.6-1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from firmware_app.dicom.charset import DEFAULT_FALLBACKS
from firmware_app.dicom.elements import Elements, first_item, items, read_data_set
from firmware_app.dicom.item_reading import PATIENT_ID, PATIENT_NAME, Attribute, ItemReading
from firmware_app.model import Code, ReferencedInstance, WorklistItem

SCHEDULED_STEPS = Attribute(0x00400100, "SQ", "Scheduled Procedure Step Sequence", "ScheduledProcedureStepSequence")
PROTOCOL_CODES = Attribute(0x00400008, "SQ", "Scheduled Protocol Code Sequence", "ScheduledProtocolCodeSequence")
PROCEDURE_CODES = Attribute(0x00321064, "SQ", "Requested Procedure Code Sequence", "RequestedProcedureCodeSequence")
REFERENCED_STUDIES = Attribute(0x00081110, "SQ", "Referenced Study Sequence", "ReferencedStudySequence")
SEQUENCE_TAGS = frozenset(one.tag for one in (SCHEDULED_STEPS, PROTOCOL_CODES, PROCEDURE_CODES, REFERENCED_STUDIES))

STUDY_INSTANCE_UID = Attribute(0x0020000D, "UI", "Study Instance UID", "StudyInstanceUID")
CODE_VALUE = Attribute(0x00080100, "SH", "Code Value", "CodeValue")
CODING_SCHEME = Attribute(0x00080102, "SH", "Coding Scheme Designator", "CodingSchemeDesignator")
CODE_MEANING = Attribute(0x00080104, "LO", "Code Meaning", "CodeMeaning")
REFERENCED_CLASS = Attribute(0x00081150, "UI", "Referenced SOP Class UID", "ReferencedSOPClassUID")
REFERENCED_INSTANCE = Attribute(0x00081155, "UI", "Referenced SOP Instance UID", "ReferencedSOPInstanceUID")

# Field of the model -> attribute.
ORDER_FIELDS = {
    "accession_number": Attribute(0x00080050, "SH", "Accession Number", "AccessionNumber"),
    "referring_physician": Attribute(0x00080090, "PN", "Referring Physician's Name", "ReferringPhysicianName"),
    "study_instance_uid": STUDY_INSTANCE_UID,
    "requesting_physician": Attribute(0x00321032, "PN", "Requesting Physician", "RequestingPhysician"),
    "requested_procedure_description": Attribute(
        0x00321060, "LO", "Requested Procedure Description", "RequestedProcedureDescription"
    ),
    "current_patient_location": Attribute(0x00380300, "LO", "Current Patient Location", "CurrentPatientLocation"),
    "requested_procedure_id": Attribute(0x00401001, "SH", "Requested Procedure ID", "RequestedProcedureID"),
}
STEP_FIELDS = {
    "modality": Attribute(0x00080060, "CS", "Modality", "Modality"),
    "scheduled_station_ae_title": Attribute(0x00400001, "AE", "Scheduled Station AE Title", "ScheduledStationAETitle"),
    "scheduled_start_date": Attribute(
        0x00400002, "DA", "Scheduled Procedure Step Start Date", "ScheduledProcedureStepStartDate"
    ),
    "scheduled_start_time": Attribute(
        0x00400003, "TM", "Scheduled Procedure Step Start Time", "ScheduledProcedureStepStartTime"
    ),
    "scheduled_performing_physician": Attribute(
        0x00400006, "PN", "Scheduled Performing Physician's Name", "ScheduledPerformingPhysicianName"
    ),
    "scheduled_procedure_step_description": Attribute(
        0x00400007, "LO", "Scheduled Procedure Step Description", "ScheduledProcedureStepDescription"
    ),
    "scheduled_procedure_step_id": Attribute(
        0x00400009, "SH", "Scheduled Procedure Step ID", "ScheduledProcedureStepID"
    ),
    "scheduled_procedure_step_location": Attribute(
        0x00400011, "SH", "Scheduled Procedure Step Location", "ScheduledProcedureStepLocation"
    ),
}
# Without these an exam cannot be tied to its order.
REQUIRED = (PATIENT_NAME, PATIENT_ID, STUDY_INSTANCE_UID)


def read_worklist_item(
    identifier: bytes, *, explicit_vr: bool, fallback_character_sets: Sequence[str] = DEFAULT_FALLBACKS
) -> WorklistItem:
    """One item for any octets whatsoever."""
    data_set = read_data_set(identifier, explicit_vr=explicit_vr, sequence_tags=SEQUENCE_TAGS)
    reading = OrderReading(data_set.elements, fallback_character_sets)
    reading.problems += data_set.problems
    return reading.item(data_set.elements)


class OrderReading(ItemReading):
    """The identifier of one scheduled procedure step."""

    def item(self, elements: Elements) -> WorklistItem:
        patient = self.patient(elements)
        order: dict[str, Any] = {name: self.text(elements, one) for name, one in ORDER_FIELDS.items()}
        procedure_codes = tuple(self.codes(elements, PROCEDURE_CODES))
        studies = tuple(
            ReferencedInstance(self.text(one, REFERENCED_CLASS), self.text(one, REFERENCED_INSTANCE))
            for one in items(elements, REFERENCED_STUDIES.tag)
            if one
        )
        step, protocol_codes = self.scheduled_step(elements)
        self.require(elements, REQUIRED)
        findings: dict[str, Any] = self.findings()
        return WorklistItem(
            patient=patient,
            **order,
            **step,
            requested_procedure_codes=procedure_codes,
            referenced_studies=studies,
            scheduled_protocol_codes=protocol_codes,
            **findings,
        )

    def scheduled_step(self, elements: Elements) -> tuple[dict[str, Any], tuple[Code, ...]]:
        step = first_item(elements, SCHEDULED_STEPS.tag) or {}
        if not any(step.values()):  # wlmscpfs makes an item of empty elements of an absent sequence
            self.note(SCHEDULED_STEPS, "is missing or empty")
        count = sum(1 for _ in items(elements, SCHEDULED_STEPS.tag))
        if count > 1:
            self.note(SCHEDULED_STEPS, f"has {count} items instead of one; the first is shown")
        parent = f"{SCHEDULED_STEPS.keyword}."
        with self.inside(step):
            fields = {name: self.text(step, one, parent) for name, one in STEP_FIELDS.items()}
            return fields, tuple(self.codes(step, PROTOCOL_CODES, parent))

    def codes(self, elements: Elements, sequence: Attribute, parent: str = "") -> Iterator[Code]:
        path = f"{parent}{sequence.keyword}."
        for one in items(elements, sequence.tag):
            if one:
                with self.inside(one):
                    yield Code(*(self.text(one, part, path) for part in (CODE_VALUE, CODING_SCHEME, CODE_MEANING)))
