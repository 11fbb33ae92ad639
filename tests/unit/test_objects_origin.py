"""Where the texts of an exam come from: one request, several, a patient query, or a keyboard."""

from __future__ import annotations

from dataclasses import replace

from objects_samples import ITEM, PATIENT, SCHEDULED, UNSCHEDULED

from firmware_app.model import FoundPatient
from firmware_app.objects import origin

KANJI, LATIN = ("", "ISO 2022 IR 87"), ("ISO_IR 100",)
FIRST = replace(ITEM, specific_character_set=KANJI, as_received=(("山", "1B"),), undecoded=(("PatientName", "FF"),))
SECOND = replace(ITEM, specific_character_set=LATIN, as_received=(("é", "E9"),), undecoded=(("PatientID", "FE"),))


def test_several_requests_are_written_as_the_first_one_came() -> None:
    exam = replace(SCHEDULED, worklist_items=(FIRST, SECOND))
    assert origin.character_set(exam) == KANJI
    assert origin.as_received(exam) == {"山": b"\x1b"}  # the other's octets are of another set
    assert list(origin.undecoded(exam)) == [
        "PatientName: a guess, because its octets are not of its character set (\\ISO 2022 IR 87): FF",
        "PatientID: a guess, because its octets are not of its character set (ISO_IR 100): FE",
    ]


def test_a_patient_of_a_query_and_one_of_nobody() -> None:
    found = FoundPatient(PATIENT, LATIN, (), (), (("é", "E9"),))
    exam = replace(UNSCHEDULED, found_patient=found)
    assert (origin.character_set(exam), origin.as_received(exam)) == (LATIN, {"é": b"\xe9"})
    assert origin.origins(replace(exam, worklist_items=(FIRST,))) == (FIRST,)
    assert (origin.character_set(UNSCHEDULED), origin.as_received(UNSCHEDULED)) == ((), {})
    assert list(origin.undecoded(UNSCHEDULED)) == []


def test_a_long_text_is_told_by_its_beginning() -> None:
    exam = replace(SCHEDULED, worklist_items=(replace(ITEM, undecoded=(("PatientName", "AB" * 70),)),))
    assert next(origin.undecoded(exam)).endswith("(none declared): " + "AB" * 64 + "...")
