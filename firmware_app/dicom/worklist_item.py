"""An identifier of a Modality Worklist response becomes a `WorklistItem` (PS3.4 table K.6-1).

Nothing a peer sends loses the item: what is missing, over-long, badly coded or broken is kept as far as it can be read
and named in `problems`. UIDs and accession numbers lose only their padding; they go out again exactly as they came.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from firmware_app.dicom.charset import DEFAULT_FALLBACKS, TextDecoder
from firmware_app.dicom.elements import Elements, first_item, items, read_data_set, tag_words
from firmware_app.model import Code, Patient, ReferencedInstance, WorklistItem


class Attribute(NamedTuple):
    tag: int
    vr: str
    name: str


SPECIFIC_CHARACTER_SET = Attribute(0x00080005, "CS", "Specific Character Set")
SCHEDULED_STEPS = Attribute(0x00400100, "SQ", "Scheduled Procedure Step Sequence")
PROTOCOL_CODES = Attribute(0x00400008, "SQ", "Scheduled Protocol Code Sequence")
PROCEDURE_CODES = Attribute(0x00321064, "SQ", "Requested Procedure Code Sequence")
REFERENCED_STUDIES = Attribute(0x00081110, "SQ", "Referenced Study Sequence")
SEQUENCE_TAGS = frozenset(one.tag for one in (SCHEDULED_STEPS, PROTOCOL_CODES, PROCEDURE_CODES, REFERENCED_STUDIES))

PATIENT_NAME = Attribute(0x00100010, "PN", "Patient's Name")
PATIENT_ID = Attribute(0x00100020, "LO", "Patient ID")
STUDY_INSTANCE_UID = Attribute(0x0020000D, "UI", "Study Instance UID")
CODE_VALUE = Attribute(0x00080100, "SH", "Code Value")
CODING_SCHEME = Attribute(0x00080102, "SH", "Coding Scheme Designator")
CODE_MEANING = Attribute(0x00080104, "LO", "Code Meaning")
REFERENCED_CLASS = Attribute(0x00081150, "UI", "Referenced SOP Class UID")
REFERENCED_INSTANCE = Attribute(0x00081155, "UI", "Referenced SOP Instance UID")

# Field of the model -> attribute.
PATIENT_FIELDS = {
    "name": PATIENT_NAME,
    "patient_id": PATIENT_ID,
    "issuer_of_patient_id": Attribute(0x00100021, "LO", "Issuer of Patient ID"),
    "birth_date": Attribute(0x00100030, "DA", "Patient's Birth Date"),
    "sex": Attribute(0x00100040, "CS", "Patient's Sex"),
    "weight_kg": Attribute(0x00101030, "DS", "Patient's Weight"),
    "ethnic_group": Attribute(0x00102160, "SH", "Ethnic Group"),
}
ORDER_FIELDS = {
    "accession_number": Attribute(0x00080050, "SH", "Accession Number"),
    "referring_physician": Attribute(0x00080090, "PN", "Referring Physician's Name"),
    "study_instance_uid": STUDY_INSTANCE_UID,
    "requesting_physician": Attribute(0x00321032, "PN", "Requesting Physician"),
    "requested_procedure_description": Attribute(0x00321060, "LO", "Requested Procedure Description"),
    "current_patient_location": Attribute(0x00380300, "LO", "Current Patient Location"),
    "requested_procedure_id": Attribute(0x00401001, "SH", "Requested Procedure ID"),
}
STEP_FIELDS = {
    "modality": Attribute(0x00080060, "CS", "Modality"),
    "scheduled_station_ae_title": Attribute(0x00400001, "AE", "Scheduled Station AE Title"),
    "scheduled_start_date": Attribute(0x00400002, "DA", "Scheduled Procedure Step Start Date"),
    "scheduled_start_time": Attribute(0x00400003, "TM", "Scheduled Procedure Step Start Time"),
    "scheduled_performing_physician": Attribute(0x00400006, "PN", "Scheduled Performing Physician's Name"),
    "scheduled_procedure_step_description": Attribute(0x00400007, "LO", "Scheduled Procedure Step Description"),
    "scheduled_procedure_step_id": Attribute(0x00400009, "SH", "Scheduled Procedure Step ID"),
    "scheduled_procedure_step_location": Attribute(0x00400011, "SH", "Scheduled Procedure Step Location"),
}
# Without these an exam cannot be tied to its order.
REQUIRED = (PATIENT_NAME, PATIENT_ID, STUDY_INSTANCE_UID)

CODED_TEXT = frozenset({"LO", "PN", "SH"})  # the VRs that Specific Character Set governs (PS3.5 6.1.2.3)
MAX_CHARACTERS = {"AE": 16, "CS": 16, "DS": 16, "LO": 64, "PN": 64, "SH": 16, "UI": 64}
UID_FORM = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
TIME_FORM = re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?")
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")


def read_worklist_item(
    identifier: bytes, *, explicit_vr: bool, fallback_character_sets: Sequence[str] = DEFAULT_FALLBACKS
) -> WorklistItem:
    """One item for any octets whatsoever."""
    data_set = read_data_set(identifier, explicit_vr=explicit_vr, sequence_tags=SEQUENCE_TAGS)
    terms = read_character_set(data_set.elements)
    reading = ItemReading(TextDecoder(terms, fallback_character_sets))
    reading.problems += data_set.problems
    return reading.item(data_set.elements, terms)


def read_character_set(elements: Elements) -> tuple[str, ...]:
    value = elements.get(SPECIFIC_CHARACTER_SET.tag, b"")
    if isinstance(value, list) or not value.strip(b" \0"):
        return ()
    return tuple(term.strip(" \0") for term in value.decode("latin-1").split("\\"))


class ItemReading:
    """Reads one identifier and collects what is wrong with it."""

    def __init__(self, decoder: TextDecoder) -> None:
        self._decoder = decoder
        self.problems: list[str] = [decoder.problem] if decoder.problem else []

    def item(self, elements: Elements, terms: tuple[str, ...]) -> WorklistItem:
        patient = Patient(**{name: self.text(elements, one) for name, one in PATIENT_FIELDS.items()})
        order: dict[str, Any] = {name: self.text(elements, one) for name, one in ORDER_FIELDS.items()}
        procedure_codes = self.codes(elements, PROCEDURE_CODES)
        studies = tuple(
            ReferencedInstance(self.text(one, REFERENCED_CLASS), self.text(one, REFERENCED_INSTANCE))
            for one in items(elements, REFERENCED_STUDIES.tag)
            if one
        )
        step_elements = self.scheduled_step(elements)
        step: dict[str, Any] = {name: self.text(step_elements, one) for name, one in STEP_FIELDS.items()}
        protocol_codes = self.codes(step_elements, PROTOCOL_CODES)
        for required in REQUIRED:
            if not elements.get(required.tag, b""):
                self.note(required, "is missing")
        return WorklistItem(
            patient=patient,
            **order,
            **step,
            requested_procedure_codes=procedure_codes,
            referenced_studies=studies,
            scheduled_protocol_codes=protocol_codes,
            specific_character_set=terms,
            problems=tuple(self.problems),
        )

    def scheduled_step(self, elements: Elements) -> Elements:
        step = first_item(elements, SCHEDULED_STEPS.tag)
        if step is None:
            self.note(SCHEDULED_STEPS, "is missing or empty")
            return {}
        count = sum(1 for _ in items(elements, SCHEDULED_STEPS.tag))
        if count > 1:
            self.note(SCHEDULED_STEPS, f"has {count} items instead of one; the first is shown")
        return step

    def codes(self, elements: Elements, sequence: Attribute) -> tuple[Code, ...]:
        return tuple(
            Code(self.text(one, CODE_VALUE), self.text(one, CODING_SCHEME), self.text(one, CODE_MEANING))
            for one in items(elements, sequence.tag)
            if one
        )

    def text(self, elements: Elements, attribute: Attribute) -> str:
        value = elements.get(attribute.tag, b"")
        if isinstance(value, list):
            self.note(attribute, "is a sequence")
            return ""
        if not value:
            return ""
        octets = value.rstrip(b" \0") if attribute.vr == "PN" else value.strip(b" \0")
        if attribute.vr in CODED_TEXT:
            text, problem = self._decoder.decode(octets, person_name=attribute.vr == "PN")
            if problem:
                self.note(attribute, problem)
        else:
            text = octets.decode("latin-1")
        problem = check_form(attribute.vr, text)
        if problem:
            self.note(attribute, problem)
        return text

    def note(self, attribute: Attribute, problem: str) -> None:
        self.problems.append(f"{attribute.name} {tag_words(attribute.tag)} {problem}")


def check_form(vr: str, text: str) -> str | None:
    """What PS3.5 table 6.2-1 has against the value, if anything; the value is kept all the same."""
    limit = MAX_CHARACTERS.get(vr)
    longest = max(map(len, text.split("="))) if vr == "PN" else len(text)
    if limit is not None and longest > limit:
        return f"has {longest} characters, {limit} are allowed"
    if CONTROL_CHARACTERS.search(text):
        return "contains control characters"
    if not text:
        return None
    if vr == "DA" and not is_date(text):
        return f"is not a date: {text!r}"
    if vr == "TM" and not TIME_FORM.fullmatch(text):
        return f"is not a time: {text!r}"
    if vr == "UI" and not UID_FORM.fullmatch(text):
        return f"is not a UID: {text!r}"
    return None


def is_date(text: str) -> bool:
    """YYYYMMDD of a day that exists."""
    if len(text) != 8 or not text.isascii() or not text.isdigit():
        return False
    try:
        datetime.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True
