"""A typed patient: what the standard has no room for is refused before an exam is opened."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from firmware_app.model import Patient
from firmware_app.profiles import load_profile
from firmware_app.services.typed_patient import birth_date, check_writable, patient_id, person_name


@pytest.mark.parametrize(
    ("convert", "word"),
    [
        (patient_id, "P1"),
        (patient_id, "x" * 64),
        (person_name, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (person_name, "a" * 64 + "=" + "b" * 64),
        (person_name, "Adams^John Robert Quincy^^Rev.^B.A. M.Div."),
        (birth_date, "20240229"),
    ],
)
def test_taken_as_typed(convert: Callable[[str], str], word: str) -> None:
    assert convert(word) == word


@pytest.mark.parametrize(
    ("convert", "word"),
    [
        (patient_id, ""),
        (patient_id, "  "),
        (patient_id, "a\\b"),
        (patient_id, "a\tb"),
        (patient_id, "a\x85b"),
        (person_name, "a\u2028b"),
        (person_name, "a\udcffb"),
        (patient_id, "x" * 65),
        (person_name, "a" * 65),
        (person_name, "a\\b"),
        (person_name, "a^b^c^d^e^f"),
        (person_name, "a=b=c=d"),
        (birth_date, "99999999"),
        (birth_date, "20230229"),
        (birth_date, "2023-2-2"),
        (birth_date, "٢٠٢٣٠٢٠٢"),
        (birth_date, "19700101\n"),
    ],
)
def test_refused(convert: Callable[[str], str], word: str) -> None:
    with pytest.raises(ValueError, match=r"characters|YYYYMMDD"):
        convert(word)


def test_marks_stay_with_their_letters() -> None:
    assert person_name("Je\u0301ro\u0302me") == "J\xe9r\xf4me"
    assert patient_id("A\u030a1") == "\xc51"


@pytest.mark.parametrize(
    ("name", "unwritable"),
    [
        ("Doe^Jane", ""),
        ("Yamada^Tarou=山田^太郎", ""),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", ""),
        ("Müller^Jörg", "'Müller^Jörg'"),
        ("Wang=王^小东", "'Wang=王^小东'"),
    ],
)
def test_what_the_profile_cannot_write_is_refused_while_it_is_typed(name: str, unwritable: str) -> None:
    patient, sets = Patient(name, "P1"), load_profile("sp-1p").character_sets
    if not unwritable:
        check_writable(patient, sets)
        return
    with pytest.raises(ValueError, match="no character set of the profile has all") as caught:
        check_writable(patient, sets)
    assert str(caught.value).startswith(unwritable)


def test_name_and_id_go_into_one_object() -> None:
    """Each could be written alone: the ID's tilde is none in JIS X 0201, half-width katakana are nowhere else."""
    sets = load_profile("sp-1p").character_sets
    check_writable(Patient("ﾔﾏﾀﾞ", "P1"), sets)
    check_writable(Patient("Doe", "P~1"), sets)
    with pytest.raises(ValueError, match="'ﾔﾏﾀﾞ', 'P~1'"):
        check_writable(Patient("ﾔﾏﾀﾞ", "P~1"), sets)
