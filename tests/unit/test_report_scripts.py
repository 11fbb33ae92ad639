"""Names in any script on the page: drawn with a font that has them, or said to be missing; never an empty box."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from objects_samples import EQUIPMENT, SCHEDULED
from report_samples import CREATED_AT, reported
from tiny_font import tiny_font

from firmware_app.model import Exam
from firmware_app.report import typeface, undrawn
from firmware_app.report.canvas import Canvas, text_width
from firmware_app.report.page import draw_report
from firmware_app.report.typeface import drawable_name, font_for, missing_characters, text_font

NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"


@pytest.fixture
def kanji(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A system whose only font has these four characters."""
    file = tmp_path / "kanji.ttf"
    file.write_bytes(tiny_font("山田太郎"))
    monkeypatch.setattr(typeface, "SYSTEM_FONTS", ("/nowhere/font.ttf", str(file)))
    return str(file)


@pytest.fixture
def no_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeface, "SYSTEM_FONTS", ())


def exam_of(name: str) -> Exam:
    return replace(SCHEDULED, patient=replace(SCHEDULED.patient, name=name))


def page(name: str) -> np.ndarray:
    return draw_report(exam_of(name), [reported()], equipment=EQUIPMENT, created_at=CREATED_AT)


@pytest.mark.usefixtures("kanji")
def test_kanji_are_drawn_where_a_font_has_them() -> None:
    assert drawable_name(NAME) == "山田 太郎   Yamada, Tarou"
    assert undrawn.undrawn(exam_of(NAME), EQUIPMENT) == ()
    drawn, other = page(NAME), page("Yamada^Tarou=田山^太郎")
    assert not np.array_equal(drawn, page("Yamada^Tarou"))
    assert not np.array_equal(drawn, other)  # each character by its own shape


@pytest.mark.usefixtures("kanji")
def test_a_font_is_asked_for_each_character() -> None:
    assert font_for("山", 20) is not text_font(20)
    assert font_for("A", 20) is text_font(20, False)
    assert font_for("佐", 20) is None
    assert missing_characters("山佐A佐々") == ("U+4F50", "U+3005")


@pytest.mark.usefixtures("no_font")
def test_what_no_font_has_is_said_on_the_page_and_to_the_log() -> None:
    assert drawable_name(NAME) == "Yamada, Tarou"
    assert undrawn.undrawn(exam_of(NAME), EQUIPMENT) == ("PatientName: U+5C71 U+7530 U+592A U+90CE",)
    (problem,) = undrawn.problems(exam_of(NAME), EQUIPMENT)
    what, _, numbers = problem.partition(":")  # what stands before the colon goes into the log
    assert what.startswith("PatientName (no font of this system has all of it; install a font")
    assert numbers == " U+5C71 U+7530 U+592A U+90CE"
    with_banner = page(NAME)
    assert not np.array_equal(with_banner, page("Yamada^Tarou"))
    assert not np.array_equal(with_banner, page("Yamada^Tarou=田^太郎"))  # the numbers are on it


@pytest.mark.usefixtures("no_font")
def test_every_text_of_the_page_is_looked_at() -> None:
    exam = replace(exam_of("A^B=漢字漢字一二三四五六"), operator="Op^Ö山")
    equipment = replace(EQUIPMENT, institution_name="眼科")
    assert undrawn.undrawn(exam, equipment) == (
        "PatientName: U+6F22 U+5B57 U+4E00 U+4E8C U+4E09 U+56DB and 2 more",
        "InstitutionName: U+773C U+79D1",
        "Operator: U+5C71",
    )


@pytest.mark.usefixtures("no_font")
def test_a_character_without_a_glyph_is_its_number_and_no_box() -> None:
    assert text_width("a山b", 20) == text_width("a[U+5C71]b", 20)
    with_number, expected = Canvas(300, 40), Canvas(300, 40)
    with_number.text(5, 30, "a山b", 20)
    expected.text(5, 30, "a[U+5C71]b", 20)
    assert np.array_equal(with_number.pixels(), expected.pixels())


def test_what_is_written_from_the_right_is_not_drawn_backwards() -> None:
    """DejaVu Sans has the letters; one by one from the left they would be another word."""
    assert missing_characters("شا") == ("U+0634", "U+0627")
    assert drawable_name("שרון^דבורה") == "(name not drawable: see the patient ID)"


def test_marks_stay_on_their_letters() -> None:
    assert text_width("Jérôme", 20) == text_width("Jérôme", 20)
    assert missing_characters("Jérôme") == ()


@pytest.mark.parametrize("bold", [False, True])
def test_a_size_of_a_font_keeps_no_copy_of_its_file(bold: bool) -> None:
    """Of 20 sizes and weights each had two, 11 MiB of a service."""
    assert not hasattr(text_font(17, bold), "font_bytes")
