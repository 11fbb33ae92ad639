from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import msgspec
import pytest
from objects_samples import CALIBRATION, EQUIPMENT, SCHEDULED, UNSCHEDULED
from report_samples import edited, refused, reported

from firmware_app.endothelium.history import History, Outcome
from firmware_app.gaze import gaze_at
from firmware_app.model import CornealThickness, FixationPoint, Method
from firmware_app.report import colours, content
from firmware_app.report.charts import AREA_CLASSES, area_bars
from firmware_app.report.typeface import can_draw, drawable_name, has_glyph, text_font


def test_the_page_has_the_numbers_of_the_measurement() -> None:
    numbers = reported().measurement.morphometry
    assert numbers is not None
    digits = {"cv_percent": 1, "hex_percent": 1}
    for figure in content.figures(numbers):
        assert figure.value == f"{getattr(numbers, figure.key):.{digits.get(figure.key, 0)}f}", figure.label


def test_every_density_has_its_n_and_method() -> None:
    labels = [figure.label for figure in content.figures(reported().measurement.morphometry)]  # type: ignore[arg-type]
    assert labels == ["CD", "N", "AVG", "SD", "MIN", "MAX", "CV", "HEX"]


def test_cd_cv_and_hex_have_their_intervals() -> None:
    numbers = reported().measurement.morphometry
    assert numbers is not None
    intervals = {figure.key: figure.interval for figure in content.figures(numbers) if figure.interval}
    assert intervals == {"cd_per_mm2": "700–1200", "cv_percent": "12–30", "hex_percent": "15–65"}
    bare = content.figures(replace(numbers, cd_interval=None, cv_interval=None, hex_interval=None))
    assert not any(figure.interval for figure in bare)


def test_thickness_and_gaze_are_told_where_there_are_any() -> None:
    plain = reported().capture
    assert (content.thickness_text(plain), content.point_text(plain)) == ("", "")
    full = replace(plain, thickness=CornealThickness(537.6, 3.4, 4), gaze=gaze_at(FixationPoint.UP_LEFT, 10))
    assert content.thickness_text(full) == "CCT 538 ± 3 µm"
    assert content.point_text(full) == "looking up-left"


def test_guttae_are_told_where_somebody_looked() -> None:
    numbers = reported().measurement.morphometry
    assert numbers is not None
    assert content.guttae_text(numbers) == ""
    assert content.guttae_text(replace(numbers, guttae_percent=0.0)) == "guttae 0.0 % of the area"
    assert content.guttae_text(replace(numbers, guttae_percent=12.34)) == "guttae 12.3 % of the area"


def test_every_method_has_words() -> None:
    assert set(content.METHODS) == set(Method)


def test_numbers_changed_by_hand_name_who_and_what_the_instrument_said() -> None:
    assert content.edited_text(reported()) == ""
    text = content.edited_text(edited(reported(), "Op^Otto"))
    assert text == "By hand: Op Otto, 1 change (automatic: CD 1307, N 12, CV 20.1 %, HEX 36.4 %)"
    assert content.edited_text(edited(reported(), "A", "B", "A")).startswith("By hand: A, B, 3 changes (")
    uncalibrated = edited(reported(um_per_px=None), "A")
    assert "(automatic: N 12, CV" in content.edited_text(uncalibrated)
    first = edited(reported(), "A").history.records[0]
    from_refusal = History((msgspec.structs.replace(first, before=Outcome(None, refused("dark").refusal)),))
    assert content.edited_text(replace(reported(), history=from_refusal)).endswith("(automatic: not measured)")


def test_what_was_undone_is_not_said_to_be_by_hand() -> None:
    records = edited(reported(), "A").history.records
    undone = History((*records, msgspec.structs.replace(records[0], action="undo")))
    assert content.edited_text(replace(reported(), history=undone)) == ""


def test_without_a_scale_there_is_no_number_in_micrometres() -> None:
    eye = reported(um_per_px=None)
    figures = {figure.key: figure.value for figure in content.figures(eye.measurement.morphometry)}  # type: ignore[arg-type]
    assert figures["cd_per_mm2"] == figures["area_mean_um2"] == "–"
    assert figures["n"] != "–"
    assert any("not calibrated" in warning for warning in content.warnings_of(eye))


def test_a_refusal_has_its_reason() -> None:
    assert content.refusal_text(refused("out of focus")) == "out of focus"


def test_the_head_of_the_page_names_patient_order_time_and_software() -> None:
    lines = dict(content.identity_lines(SCHEDULED, EQUIPMENT))
    assert lines == {
        "Patient ID": "P-001",
        "Born": "1950-01-02",
        "Sex": "F",
        "Accession": "ACC-1",
        "Procedure": "RP-1",
        "Exam": "2024-04-01 08:30 UTC+09:00",
        "Operator": "Op Otto",
        "Instrument": "Specular SN-1",
        "Software": "0.1.0",
    }
    assert dict(content.identity_lines(UNSCHEDULED, EQUIPMENT))["Accession"] == "unscheduled"


def test_what_is_no_date_is_shown_as_it_came() -> None:
    assert content.date_text("1950") == "1950"
    assert content.moment_text(datetime(2024, 1, 2, 3, 4)) == "2024-01-02 03:04"


def test_area_bars_start_at_the_first_cell_and_lose_none() -> None:
    bars = area_bars({0: 0, 100: 0, 200: 5, 300: 7, 400: 0, 2000: 2})
    assert list(bars)[:2] == ["200", "300"]
    assert list(bars)[-1] == "1300+"
    assert len(bars) == AREA_CLASSES
    assert sum(bars.values()) == 14
    assert area_bars({}) == {}


@pytest.mark.parametrize(
    ("sides", "colour"),
    [(6, colours.GREEN), (3, colours.PURPLE), (8, colours.VERMILLION), (10, colours.VERMILLION), (0, colours.GREY)],
)
def test_colours_by_number_of_sides(sides: int, colour: tuple[int, int, int]) -> None:
    assert colours.of_sides(sides) == colour


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Doe^Jane^^Dr", "Doe, Jane, Dr"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou"),
        ("Жанна", "Жанна"),
        ("Διονυσιος", "Διονυσιος"),
        ("=山田^太郎", "(name not drawable: see the patient ID)"),
        ("", "(no name)"),
    ],
)
def test_a_name_is_drawn_only_in_letters_that_the_fonts_have(name: str, drawn: str) -> None:
    assert drawable_name(name, candidates=()) == drawn


def test_the_bundled_font_has_what_the_page_says() -> None:
    assert can_draw("CD 2456 /mm² µm² 10⁶ – … = % ÄÖÜß éèñ Łódź Çğış Ελληνικά Кириллица", candidates=())
    assert not has_glyph(text_font(20), "山")


def test_a_report_says_what_its_scale_rests_on() -> None:
    stated, none = reported(), reported(um_per_px=None)
    measured = replace(stated, capture=replace(stated.capture, calibration=CALIBRATION))
    assert content.calibration_text(measured).startswith(
        "Scale 0.85 µm/px ±0.12 %, calibrated 2024-03-01 on grid of 50 um"
    )
    assert "scale as stated, not from a calibration on record" not in content.warnings_of(measured)
    assert content.warnings_of(stated)[-1] == "scale as stated, not from a calibration on record"
    assert content.warnings_of(none)[-1] == "not calibrated: no lengths, areas or densities"
    assert content.calibration_text(stated) == content.calibration_text(none) == ""
