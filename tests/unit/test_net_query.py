"""What a profile's query keys allow to be asked, and the character set that it is asked in."""

from __future__ import annotations

import pytest

from firmware_app.model import Patient
from firmware_app.net.patient_query import PatientQuery, contexts_for, is_same_person_again
from firmware_app.net.query import QueryRefused, character_set_for, check_matching, checked_character_set
from firmware_app.net.worklist import WorklistQuery
from firmware_app.profiles import load_profile
from firmware_app.profiles.profile import CharacterSets, PatientQueryModel

SPECULAR, SP_1P = load_profile("specular"), load_profile("sp-1p")
ROOT = PatientQueryModel("1.2.840.10008.5.1.4.1.2.1.1", "PATIENT")
EVERY_KEY = {
    "scheduled_station_ae_title": "SP1",
    "date": "20260101-20260131",
    "modality": "OP",
    "patient_name": "DOE*",
    "patient_id": "P?1",
}


def test_every_matching_key_of_the_sp_1p_is_allowed() -> None:
    assert checked_character_set(WorklistQuery(**EVERY_KEY).values(), SP_1P.worklist_keys, SP_1P.character_sets) == ()


@pytest.mark.parametrize(
    ("profile", "query", "words"),
    [
        (
            SP_1P,
            {"accession_number": "A1"},
            "^Accession Number is not a matching key of the profile; Scheduled S",
        ),
        (SP_1P, {"requested_procedure_id": "R1"}, "^Requested Procedure ID is not a matching key"),
        (
            SP_1P,
            {"modality": "O*"},
            "^Modality takes no wildcards .*: 'O\\*'; Patient's Name, Patient ID do",
        ),
        (SP_1P, {"scheduled_station_ae_title": "SP?"}, "^Scheduled Station AE Title takes no wildcards"),
        (SPECULAR, {"accession_number": "A*"}, "^Accession Number takes no wildcards"),
    ],
)
def test_a_key_that_the_profile_does_not_match_on_is_refused_by_name(profile, query, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(QueryRefused, match=words):
        check_matching(WorklistQuery(**query).values(), profile.worklist_keys)


@pytest.mark.parametrize(
    ("key", "holds", "refused"),
    [
        ("scheduled_station_ae_title", ["SP 1", "a" * 16], ["a" * 17, "A\\B", "Äh", "A\n"]),
        ("modality", ["OP", "A_ 9"], ["op", "A" * 17, "Ä"]),
        (
            "patient_name",
            ["Doe*", "A" * 64 + "=山田=やまだ", "==やま*", "a^b^c^d^e"],
            ["A" * 65, "A\\B", "=" * 3, "A\x1b"],
        ),
        ("patient_id", ["P?1", "患者", "A" * 64], ["A" * 65, "A\\B", "A\x1b"]),
        ("accession_number", ["A" * 16], ["A" * 17, "A\\B", "A\t"]),
        ("requested_procedure_id", ["R-1"], ["R" * 17]),
    ],
)
def test_a_key_holds_what_its_vr_allows(key: str, holds: list[str], refused: list[str]) -> None:
    for value in holds:
        check_matching(WorklistQuery(**{key: value}).values(), SPECULAR.worklist_keys)
    for value in refused:
        with pytest.raises(QueryRefused, match=r": '.*' is not a") as caught:
            check_matching(WorklistQuery(**{key: value}).values(), SPECULAR.worklist_keys)
        assert repr(value) in str(caught.value)


def test_the_union_matches_on_accession_and_procedure() -> None:
    query = WorklistQuery(accession_number="A1", requested_procedure_id="R1", **EVERY_KEY)
    check_matching(query.values(), SPECULAR.worklist_keys)


def test_nothing_is_matched_without_a_table() -> None:
    with pytest.raises(QueryRefused, match=r"Patient's Name is not a matching key of the profile; none are"):
        check_matching(PatientQuery(patient_name="A").values(), ())


SETS = CharacterSets(
    accepted=(("ISO_IR 6",), ("ISO_IR 100",), ("GB18030",), ("", "ISO 2022 IR 87")), fallback=("ISO_IR 100",)
)


@pytest.mark.parametrize(
    ("text", "preferred", "terms"),
    [
        ("Doe*", (), ()),
        ("Doe*", ("", "ISO 2022 IR 87"), ()),
        ("Müller*", (), ("ISO_IR 100",)),
        ("山田*", (), ("GB18030",)),
        ("山田*", ("", "ISO 2022 IR 87"), ("", "ISO 2022 IR 87")),  # what the server's own answers are in
        ("山田*", ("ISO_IR 192",), ("GB18030",)),  # which the profile does not have
        ("Müller", ("", "ISO 2022 IR 87"), ("ISO_IR 100",)),
    ],
)
def test_a_question_is_written_in_a_set_of_the_profile(
    text: str, preferred: tuple[str, ...], terms: tuple[str, ...]
) -> None:
    assert character_set_for([text, "ASCII"], SETS, preferred) == terms


def test_what_no_set_of_the_profile_can_write_is_refused() -> None:
    with pytest.raises(QueryRefused, match="no character set of the profile can write 'Müller'"):
        checked_character_set({"PatientName": "Müller"}, SP_1P.patient_keys, SP_1P.character_sets)


def test_only_the_class_of_the_model_is_proposed() -> None:
    others = (("1.2.3", ("1.2.840.10008.1.2",)), (ROOT.abstract_syntax, ("1.2.840.10008.1.2.1",)))
    assert contexts_for(ROOT, others) == (others[1],)
    assert contexts_for(ROOT, others[:1]) == ((ROOT.abstract_syntax, ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")),)
    (pair,) = contexts_for(SP_1P.patient_query_models["patient-root"], ())
    assert pair[0] == "1.2.840.10008.5.1.4.1.2.2.1"  # its statement's misprint, kept


def test_a_person_is_told_once_and_two_persons_are_never_one() -> None:
    known: set[Patient] = set()
    people = [
        Patient("A^B", "1"),
        Patient("A^B", "1"),
        Patient("A^B", "1", issuer_of_patient_id="X"),
        Patient("A^B", "2"),
        Patient("A^B", "1", birth_date="19500101"),
        Patient("A^B"),
        Patient("A^B"),
    ]
    assert [is_same_person_again(each, known) for each in people] == [False, True, False, False, False, False, False]


def test_letters_with_marks_are_asked_for_as_one_character() -> None:
    assert PatientQuery(patient_name="Je\u0301ro\u0302me").values() == {"PatientName": "J\xe9r\xf4me"}
    assert WorklistQuery(patient_name="Je\u0301*").values() == {"PatientName": "J\xe9*"}
