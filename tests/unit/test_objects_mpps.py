"""The data sets of N-CREATE and N-SET: every attribute of PS3.4 table F.7.2-1, in every case of PS3.17 annex J."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
from mpps_samples import (
    ENDED_AT,
    GROUP,
    OTHER_ITEM,
    SCHEDULED_STEP,
    UNSCHEDULED_STEP,
    composer,
    pictures,
)
from objects_samples import ITEM
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from firmware_app.model import Code, Exam, Patient
from firmware_app.net.attributes import decode_attributes, encode_attributes
from firmware_app.objects.encoding import encode_part10

EXPLICIT = "1.2.840.10008.1.2.1"

# PS3.4 table F.7.2-1: types 1 and 2 of the N-CREATE, and of an item of its Scheduled Step Attributes Sequence.
CREATE_TYPE_1 = [
    "ScheduledStepAttributesSequence",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "Modality",
]
CREATE_TYPE_2 = [
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
]
REQUEST_TYPE_2 = [
    "ReferencedStudySequence",
    "AccessionNumber",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
]
SERIES_TYPE_2 = [
    "PerformingPhysicianName",
    "OperatorsName",
    "SeriesDescription",
    "RetrieveAETitle",
    "ReferencedImageSequence",
    "ReferencedNonImageCompositeSOPInstanceSequence",
]
CASES = {"scheduled": SCHEDULED_STEP, "unscheduled": UNSCHEDULED_STEP, "group": GROUP}
REASON = Code("110514", "DCM", "Incorrect worklist entry selected")


def on_the_wire(dataset: Dataset) -> Dataset:
    return decode_attributes(encode_attributes(dataset, EXPLICIT), EXPLICIT)


def created(exam: Exam, **station: Any) -> Dataset:
    made = composer(**station).begin(exam)
    assert made.problems == ()
    return on_the_wire(made.dataset)


def ended(exam: Exam, *, status: Any = "COMPLETED", reason: Code | None = None, files: Any = None) -> Dataset:
    instances = [data for _, data in pictures(exam)] if files is None else files
    made = composer().end(exam, status, ENDED_AT, instances, reason)
    assert made.problems == ()
    return on_the_wire(made.dataset)


@pytest.mark.parametrize("case", CASES)
def test_the_n_create_has_every_attribute_of_type_1_and_2(case: str) -> None:
    step = created(CASES[case])
    assert [keyword for keyword in CREATE_TYPE_1 if not step.get(keyword)] == []
    assert [keyword for keyword in CREATE_TYPE_2 if keyword not in step] == []
    for item in step.ScheduledStepAttributesSequence:
        assert item.StudyInstanceUID
        assert [keyword for keyword in REQUEST_TYPE_2 if keyword not in item] == []


def test_the_n_create_of_a_scheduled_step() -> None:
    step = created(SCHEDULED_STEP)
    assert step.PerformedProcedureStepStatus == "IN PROGRESS"
    assert (step.PerformedProcedureStepID, step.PerformedStationAETitle) == ("PPSexam1", "SPECULAR")
    assert (step.PerformedStationName, step.Modality) == ("ROOM1", "OP")
    assert (step.PerformedProcedureStepStartDate, step.PerformedProcedureStepStartTime) == ("20240401", "083000.000000")
    assert (step.PatientName, step.PatientID, step.IssuerOfPatientID) == ("Doe^Jane", "P-001", "HOSPITAL")
    assert (step.PatientBirthDate, step.PatientSex) == ("19500102", "F")
    (item,) = step.ScheduledStepAttributesSequence
    assert (item.StudyInstanceUID, item.AccessionNumber) == (ITEM.study_instance_uid, "ACC-1")
    assert (item.RequestedProcedureID, item.ScheduledProcedureStepID) == ("RP-1", "SPS-1")
    assert item.RequestedProcedureDescription == "Specular microscopy both eyes"
    assert item.ScheduledProcedureStepDescription == "Endothelium OU"
    assert item.ReferencedStudySequence[0].ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.9.2"
    assert item.ScheduledProtocolCodeSequence[0].CodeValue == "SPM-OU"
    assert item.RequestedProcedureCodeSequence[0].CodeValue == "SPM"
    assert step.ProcedureCodeSequence[0].CodeValue == "SPM"
    assert step.PerformedProtocolCodeSequence[0].CodeMeaning == "Endothelium, both eyes"
    assert step.StudyID == "RP-1"
    assert "SpecificCharacterSet" not in step


def test_what_only_the_n_set_knows_is_there_with_zero_length() -> None:
    step = created(SCHEDULED_STEP)
    assert Tag("PerformedProcedureStepDiscontinuationReasonCodeSequence") == 0x00400281
    # Not a sequence of one empty item (dcmjs-dimse#49), and nothing else may be set later (PS3.4 F.7.2.2.2).
    for keyword in ("PerformedSeriesSequence", "PerformedProcedureStepDiscontinuationReasonCodeSequence"):
        assert list(step[keyword].value) == []
    for keyword in ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime"):
        assert step[keyword].is_empty


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
def test_the_n_set_changes_only_what_the_n_create_has(case: str, status: Any) -> None:
    reason = REASON if status == "DISCONTINUED" else None
    last = ended(CASES[case], status=status, reason=reason)
    assert set(last.dir()) - {"SpecificCharacterSet"} <= set(created(CASES[case]).dir())


def test_an_unscheduled_step_says_our_study_and_nothing_else_of_a_request() -> None:
    step = created(UNSCHEDULED_STEP)
    (item,) = step.ScheduledStepAttributesSequence
    assert item.StudyInstanceUID == UNSCHEDULED_STEP.study_instance_uid
    assert {element.keyword for element in item} == {"StudyInstanceUID", *REQUEST_TYPE_2}
    assert all(item[keyword].is_empty for keyword in REQUEST_TYPE_2)
    assert all(
        step[keyword].is_empty for keyword in ("ProcedureCodeSequence", "PerformedProtocolCodeSequence", "StudyID")
    )


def test_a_group_has_one_item_for_each_request_as_it_was_scheduled() -> None:
    items = created(GROUP).ScheduledStepAttributesSequence
    assert [item.AccessionNumber for item in items] == ["ACC-1", "ACC-2"]
    assert [item.RequestedProcedureID for item in items] == ["RP-1", "RP-2"]
    assert [item.ScheduledProcedureStepID for item in items] == ["SPS-1", "SPS-2"]
    assert [item.StudyInstanceUID for item in items] == [ITEM.study_instance_uid, OTHER_ITEM.study_instance_uid]
    assert [code.CodeValue for code in created(GROUP).PerformedProtocolCodeSequence] == ["SPM-OU", "SPM-OS"]


def test_a_request_without_a_study_gets_that_of_the_exam() -> None:
    exam = replace(SCHEDULED_STEP, worklist_items=(replace(ITEM, study_instance_uid=""),), study_instance_uid="2.25.8")
    assert created(exam).ScheduledStepAttributesSequence[0].StudyInstanceUID == "2.25.8"


def test_the_n_set_lists_every_instance_in_its_series() -> None:
    last = ended(SCHEDULED_STEP)
    assert last.PerformedProcedureStepStatus == "COMPLETED"
    assert (last.PerformedProcedureStepEndDate, last.PerformedProcedureStepEndTime) == ("20240401", "084107.000000")
    assert "PerformedProcedureStepDiscontinuationReasonCodeSequence" not in last
    made = [dataset for dataset, _ in pictures(SCHEDULED_STEP)]
    assert [item.SeriesInstanceUID for item in last.PerformedSeriesSequence] == [
        each.SeriesInstanceUID for each in made
    ]
    for item, instance in zip(last.PerformedSeriesSequence, made, strict=True):
        (image,) = item.ReferencedImageSequence
        assert (image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID) == (
            instance.SOPClassUID,
            instance.SOPInstanceUID,
        )
        assert item.SeriesDescription == instance.SeriesDescription
        assert item.ProtocolName == instance.ProtocolName == "Endothelium, both eyes"
        assert (item.OperatorsName, item.PerformingPhysicianName) == ("Op^Otto", "Perform^Paul")
        assert item.RetrieveAETitle == "ARCHIVE"
        assert list(item.ReferencedNonImageCompositeSOPInstanceSequence) == []


def test_instances_of_one_series_share_an_item_and_what_is_no_image_is_listed_apart() -> None:
    (dataset, data), (_, other) = pictures(SCHEDULED_STEP)
    document = deepcopy(dataset)
    for keyword in ("Rows", "PixelData"):
        del document[keyword]
    document.SOPInstanceUID = "2.25.3000"
    document.file_meta = dataset.file_meta
    last = ended(SCHEDULED_STEP, files=[data, other, encode_part10(document)])
    first, second = last.PerformedSeriesSequence
    assert [each.ReferencedSOPInstanceUID for each in first.ReferencedImageSequence] == [dataset.SOPInstanceUID]
    (listed,) = first.ReferencedNonImageCompositeSOPInstanceSequence
    assert listed.ReferencedSOPInstanceUID == "2.25.3000"
    assert len(second.ReferencedImageSequence) == 1


def test_an_abandoned_step_has_its_reason_and_a_series_though_nothing_was_made() -> None:
    last = ended(UNSCHEDULED_STEP, status="DISCONTINUED", reason=REASON, files=[])
    (reason,) = last.PerformedProcedureStepDiscontinuationReasonCodeSequence
    assert (reason.CodeValue, reason.CodingSchemeDesignator, reason.CodeMeaning) == (
        "110514",
        "DCM",
        "Incorrect worklist entry selected",
    )
    (series,) = last.PerformedSeriesSequence
    assert series.SeriesInstanceUID == UNSCHEDULED_STEP.series_instance_uid
    assert series.ProtocolName == "Corneal endothelium"
    assert [keyword for keyword in SERIES_TYPE_2 if keyword not in series] == []
    assert series["RetrieveAETitle"].is_empty and list(series.ReferencedImageSequence) == []


def test_both_ends_of_a_step_are_told_in_the_same_zone() -> None:
    made = composer().end(SCHEDULED_STEP, "COMPLETED", ENDED_AT.astimezone(UTC), [])
    assert (made.dataset.PerformedProcedureStepEndDate, made.dataset.PerformedProcedureStepEndTime) == (
        "20240401",
        "084107.000000",
    )


def test_a_simulated_instrument_says_so() -> None:
    assert "SIMULATED" in created(SCHEDULED_STEP, simulated=True).CommentsOnThePerformedProcedureStep
    assert "CommentsOnThePerformedProcedureStep" not in created(SCHEDULED_STEP)


# Worklist character set, patient's name: the octets in both messages are those that the worklist sent.
CHARACTER_SETS = [
    (("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (("ISO 2022 IR 13", "ISO 2022 IR 87"), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (("GB18030",), "Wang^XiaoDong=王^小东"),
    (("ISO_IR 192",), "Wang^XiaoDong=王^小東"),
    (("ISO_IR 100",), "Buc^Jérôme"),
    (("ISO_IR 144",), "Люкceмбypг"),
    (("ISO_IR 148",), "Çavuşoğlu^İbrahim"),
]


@pytest.mark.parametrize(("terms", "name"), CHARACTER_SETS)
def test_the_messages_keep_the_character_set_of_the_worklist_item(terms: tuple[str, ...], name: str) -> None:
    entry = Dataset()
    entry.SpecificCharacterSet = list(terms)
    entry.PatientName = name
    sent = encode_attributes(entry, EXPLICIT)
    patient = Patient(name, "P-1")
    item = replace(ITEM, patient=patient, specific_character_set=terms, scheduled_performing_physician=name)
    exam = replace(SCHEDULED_STEP, patient=patient, worklist_items=(item,))
    first = encode_attributes(composer().begin(exam).dataset, EXPLICIT)
    last = encode_attributes(composer().end(exam, "COMPLETED", ENDED_AT, []).dataset, EXPLICIT)
    value = sent[sent.index(b"\x10\x00\x10\x00PN") + 8 :]
    assert value in first and value in last
    read = decode_attributes(first, EXPLICIT)
    assert tuple("" if term is None else term for term in _listed(read.SpecificCharacterSet)) == terms
    assert str(read.PatientName) == name


def test_a_text_that_the_worklist_set_cannot_hold_takes_the_whole_message_to_the_fallback() -> None:
    patient = Patient("Wang^XiaoDong=王^小東", "P-1")
    item = replace(ITEM, patient=patient, specific_character_set=("ISO_IR 100",))
    read = created(replace(SCHEDULED_STEP, patient=patient, worklist_items=(item,)))
    assert read.SpecificCharacterSet == "ISO_IR 192"
    assert str(read.PatientName) == patient.name


def _listed(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value)
