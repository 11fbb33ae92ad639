"""A typed patient: what the standard has no room for is refused before an exam is opened."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from firmware_app.services.typed_patient import birth_date, patient_id, person_name


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
