from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_app.objects.text import MAX_LENGTH, fit

UTF8 = ("ISO_IR 192",)


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "sent", "problem"),
    [
        ("PatientName", "PN", "Doe^Jane", "Doe^Jane", ""),
        ("StudyDescription", "LO", "x" * 64, "x" * 64, ""),
        ("StudyDescription", "LO", "x" * 65, "x" * 61 + "...", "cut"),
        ("PatientID", "LO", "9" * 65, "", "left out, not cut"),
        ("AccessionNumber", "SH", "A" * 17, "", "left out, not cut"),
        ("StationName", "SH", "A" * 17, "A" * 13 + "...", "cut"),
        ("PatientName", "PN", "x" * 65 + "=山田", "x" * 61 + "...=山田", "component groups"),
        ("PatientName", "PN", "a=b=c=d", "a=b=c", "component groups"),
        ("StudyDescription", "LO", "left\\right", "left right", "backslashes"),
        ("StudyDescription", "LO", "two\r\nlines", "two  lines", "control characters"),
        ("ImageComments", "LT", "two\r\nlines \\ kept", "two\r\nlines \\ kept", ""),
        ("PatientID", "LO", "0007", "0007", ""),
        ("PatientName", "PN", "山田　太郎", "山田　太郎", ""),
        ("PatientBirthDate", "DA", "19500102", "19500102", ""),
        ("PatientBirthDate", "DA", "1950.01.02", "", "not a value of VR DA"),
        ("PatientBirthDate", "DA", "19501302", "", "not a value of VR DA"),
        ("PatientBirthDate", "DA", "19500229", "", "not a value of VR DA"),
        ("PatientSex", "CS", "female", "", "not a value of VR CS"),
        ("PatientWeight", "DS", "61.5", "61.5", ""),
        ("PatientWeight", "DS", "61,5", "", "not a value of VR DS"),
        ("PatientWeight", "DS", "1" * 17, "", "not a value of VR DS"),
        ("StudyTime", "TM", "083000.500000", "083000.500000", ""),
        ("StudyTime", "TM", "24", "", "not a value of VR TM"),
        ("StudyInstanceUID", "UI", "1.2.3", "1.2.3", ""),
        ("StudyInstanceUID", "UI", "1.2." + "3" * 61, "", "not a value of VR UI"),
        ("StudyInstanceUID", "UI", "1.2.x", "", "not a value of VR UI"),
    ],
)
def test_values_fit_their_vr(keyword: str, vr: str, value: str, sent: str, problem: str) -> None:
    fitted, said = fit(keyword, vr, value, UTF8)
    assert fitted == sent
    assert bool(said) == bool(problem)
    assert problem in said
    assert not said or said.startswith(f"{keyword}: ")


def test_a_profile_without_kanji_keeps_the_groups_it_can_hold() -> None:
    fitted, problem = fit("PatientName", "PN", "Yamada^Tarou=山田^太郎=やまだ", ("ISO_IR 6",))
    assert fitted == "Yamada^Tarou"
    assert "ISO_IR 6 cannot hold every component group" in problem
    assert fit("StudyDescription", "LO", "角膜", ("ISO_IR 6",)) == (
        "",
        "StudyDescription: ISO_IR 6 cannot hold the value; it was left out",
    )


@given(st.text(max_size=100), st.sampled_from(["LO", "SH", "PN", "CS", "DA", "TM", "DS", "IS", "UI", "LT"]))
def test_whatever_comes_fits_and_every_change_is_said(value: str, vr: str) -> None:
    fitted, problem = fit("StudyDescription", vr, value, UTF8)
    groups = fitted.split("=") if vr == "PN" else [fitted]
    assert all(len(group) <= MAX_LENGTH.get(vr, 8) + (8 if vr == "TM" else 0) for group in groups)
    assert problem or fitted in (value, value.strip())
    assert vr == "LT" or "\\" not in fitted
    assert "\0" not in fitted
