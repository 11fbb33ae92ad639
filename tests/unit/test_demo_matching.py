"""C-FIND matching of the embedded hospital, key by key."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from firmware_app.demo.matching import answer, matches, with_character_set

NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def held() -> Dataset:
    step = Dataset()
    step.Modality = "OP"
    step.ScheduledStationAETitle = "TP_AM_SP1P_001"
    step.ScheduledProcedureStepStartDate = "20260315"
    step.ScheduledProcedureStepStartTime = "083000"
    item = Dataset()
    item.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    item.PatientName = NAME
    item.PatientID = "SP-[1]002"
    item.AccessionNumber = "ACC1002"
    item.StudyInstanceUID = "1.2.3"
    item.PatientWeight = None
    item.ScheduledProcedureStepSequence = [step]
    return item


def asked(**keys: object) -> Dataset:
    identifier = Dataset()
    step = Dataset()
    for keyword, value in keys.items():
        in_step = keyword.startswith("Scheduled") or keyword == "Modality"
        setattr(step if in_step else identifier, keyword, value)
    if step:
        identifier.ScheduledProcedureStepSequence = [step]
    return identifier


CASES = [
    ({}, True),
    ({"PatientName": ""}, True),
    ({"PatientName": "*"}, True),
    ({"PatientName": "yamada^tarou"}, True),  # a PN is found in either case
    ({"PatientName": "Yam*"}, True),
    ({"PatientName": "Yamada^T?rou"}, True),
    ({"PatientName": "山田^*"}, True),
    ({"PatientName": "Yamada"}, False),
    ({"PatientName": "Yamada^*^"}, True),
    ({"PatientName": "Suzuki*"}, False),
    ({"PatientID": "SP-[1]002"}, True),  # brackets are no wildcard in DICOM
    ({"PatientID": "SP-[1]*"}, True),
    ({"PatientID": "SP-1*"}, False),
    ({"PatientID": "sp-[1]002"}, False),
    ({"AccessionNumber": "ACC100?"}, True),
    ({"AccessionNumber": "ACC10"}, False),
    ({"StudyInstanceUID": "1.2.3"}, True),
    ({"StudyInstanceUID": ["1.2.4", "1.2.3"]}, True),
    ({"StudyInstanceUID": "1.2"}, False),
    ({"PatientWeight": "60"}, False),
    ({"RequestingPhysician": "X"}, False),  # not held at all
    ({"RequestingPhysician": "*"}, True),
    ({"Modality": "OP"}, True),
    ({"Modality": "OPT"}, False),
    ({"Modality": ""}, True),
    ({"ScheduledStationAETitle": "TP_AM_SP1P_001 "}, True),
    ({"ScheduledStationAETitle": "OTHER", "Modality": "OP"}, False),
    ({"ScheduledProcedureStepStartDate": "20260315"}, True),
    ({"ScheduledProcedureStepStartDate": "20260316"}, False),
    ({"ScheduledProcedureStepStartDate": "20260301-20260331"}, True),
    ({"ScheduledProcedureStepStartDate": "-20260315"}, True),
    ({"ScheduledProcedureStepStartDate": "20260315-"}, True),
    ({"ScheduledProcedureStepStartDate": "20260316-"}, False),
    ({"ScheduledProcedureStepStartDate": "-20260314"}, False),
    ({"ScheduledProcedureStepStartTime": "0800-0830"}, True),  # to the end of that minute
    ({"ScheduledProcedureStepStartTime": "0831-"}, False),
    ({"ScheduledProcedureStepStartTime": "08"}, True),  # the whole hour
]


@pytest.mark.parametrize(("keys", "expected"), CASES)
def test_key_matching(keys: dict[str, object], expected: bool) -> None:
    assert matches(held(), asked(**keys)) is expected


def test_empty_sequence_key_matches_everything() -> None:
    identifier = Dataset()
    identifier.ScheduledProcedureStepSequence = []
    assert matches(held(), identifier)
    assert matches(Dataset(), identifier)


def test_answer_has_exactly_the_requested_keys() -> None:
    identifier = asked(PatientName="Yam*", PatientBirthDate="", Modality="", ScheduledProcedureStepID="")
    identifier.SpecificCharacterSet = "ISO_IR 100"
    response = answer(held(), identifier)
    assert [element.keyword for element in response] == [
        "PatientName",
        "PatientBirthDate",
        "ScheduledProcedureStepSequence",
    ]
    assert response.PatientName == NAME
    assert response["PatientBirthDate"].is_empty
    [step] = response.ScheduledProcedureStepSequence
    assert step.Modality == "OP"
    assert step["ScheduledProcedureStepID"].is_empty
    assert "ScheduledStationAETitle" not in step
    assert list(with_character_set(response, held()).SpecificCharacterSet) == ["", "ISO 2022 IR 87"]


def test_sequence_asked_for_as_a_whole_comes_whole() -> None:
    identifier = Dataset()
    identifier.ScheduledProcedureStepSequence = []
    identifier.ReferencedStudySequence = []
    response = answer(held(), identifier)
    assert response.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == "TP_AM_SP1P_001"
    assert len(response.ReferencedStudySequence) == 0
