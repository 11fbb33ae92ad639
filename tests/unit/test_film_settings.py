"""What a film may look like: the tables of the profiles decide, attribute by attribute, before anything is sent."""

from __future__ import annotations

import pytest

from firmware_app.config.schema import PrintConfig
from firmware_app.dicom import print_statuses
from firmware_app.objects.film_attributes import film_box_attributes, film_session_attributes, image_box_attributes
from firmware_app.objects.film_settings import BadFilm, FilmSettings, film_settings
from firmware_app.profiles import load_profile
from firmware_app.profiles.profile import PrintAttribute, PrintTables

CONFIGURED = FilmSettings.configured(PrintConfig())


def tables_of(profile: str) -> PrintTables:
    tables = load_profile(profile).print
    assert tables is not None
    return tables


KODAKQC = tables_of("kodakqc")
SPECULAR = tables_of("specular")
# 6.2.1.3 to 6.2.1.5 of the KodakQC statement: setting, values that it has, values that it has not.
STATEMENT = [
    ("copies", ["1"], ["2", "0", "one"]),
    ("priority", ["MED"], ["LOW", "HIGH", "med"]),
    ("medium", ["PAPER", "CLEAR FILM", "BLUE FILM"], ["FILM", "MAMMO CLEAR FILM"]),
    (
        "destination",
        ["MAGAZINE", "PROCESSOR", "BIN_1", "BIN_2", "BIN_3", "BIN_4", "BIN_5"],
        ["BIN_0", "BIN_6", "BIN_n"],
    ),
    ("layout", ["1,1", "2,3", "9,9"], ["0,1", "1", "10,1", "1,1,1", "C,R"]),
    ("orientation", ["PORTRAIT", "LANDSCAPE"], ["UPRIGHT"]),
    ("film_size", ["8INX10IN", "10INX12IN", "11INX14IN", "14INX14IN", "14INX17IN", "24CMX30CM"], ["A4", "24CMX24CM"]),
    ("magnification", ["REPLICATE", "BILINEAR", "CUBIC", "NONE"], ["NEAREST"]),
    ("border_density", ["BLACK", "WHITE", "0", "150", "400"], ["401", "-1", "GREY", "1.5"]),
    ("empty_image_density", ["BLACK", "WHITE", "0", "150", "400"], ["401", "-1", "GREY"]),
    ("min_density", ["0", "400"], ["401", "BLACK"]),
    ("max_density", ["0", "400"], ["401", "WHITE"]),
    ("trim", ["YES", "NO"], ["MAYBE"]),
    ("configuration_information", ["SHARP=2\\TONE=3"], ["a\tb", "x" * 1025]),
    ("polarity", ["NORMAL"], ["REVERSE"]),
    ("requested_image_size_mm", ["120", "120.5", "0.5"], ["0", "-1", "wide", "1e3", "nan"]),
    ("crop", ["CROP"], ["DECIMATE", "FAIL"]),
]


@pytest.mark.parametrize(("name", "allowed", "refused"), STATEMENT, ids=[row[0] for row in STATEMENT])
def test_every_value_of_the_statement_and_no_other(name: str, allowed: list[str], refused: list[str]) -> None:
    for value in allowed:
        assert getattr(film_settings(KODAKQC, CONFIGURED, {name: value}), name) == value
    for value in refused:
        with pytest.raises(BadFilm):
            film_settings(KODAKQC, CONFIGURED, {name: value})


def test_a_refusal_names_the_attribute_and_what_is_allowed() -> None:
    with pytest.raises(BadFilm, match=r"FilmSizeID 'A4' is not one of 8INX10IN, 10INX12IN, .*24CMX30CM"):
        film_settings(KODAKQC, CONFIGURED, {"film_size": "A4"})
    with pytest.raises(BadFilm, match="BorderDensity '401' is not one of BLACK, WHITE, 0 to 400"):
        film_settings(KODAKQC, CONFIGURED, {"border_density": "401"})
    with pytest.raises(BadFilm, match="NumberOfCopies '2' is not 1"):
        film_settings(KODAKQC, CONFIGURED, {"copies": "2"})
    with pytest.raises(BadFilm, match="FilmSizeID is mandatory: one of 8INX10IN"):
        film_settings(KODAKQC, FilmSettings())


def test_smoothing_goes_only_with_cubic() -> None:
    smooth = {"smoothing": "SOFT", "magnification": "CUBIC"}
    settings = film_settings(KODAKQC, CONFIGURED, smooth)
    assert film_box_attributes(KODAKQC, settings).SmoothingType == "SOFT"
    why = "SmoothingType 'SOFT': it is sent only with MagnificationType CUBIC, not with BILINEAR"
    with pytest.raises(BadFilm, match=why):
        film_settings(KODAKQC, CONFIGURED, {**smooth, "magnification": "BILINEAR"})
    with pytest.raises(BadFilm, match="not with none"):
        film_settings(KODAKQC, CONFIGURED, {"smoothing": "SOFT"})
    # Configured smoothing gives way to a magnification that somebody asks for.
    configured = film_settings(KODAKQC, CONFIGURED, smooth)
    assert film_settings(KODAKQC, configured, {"magnification": "NONE"}).smoothing == ""


def test_what_the_profile_does_not_have_is_not_sent() -> None:
    rows = tuple(row for row in KODAKQC.image_box if row.path != "Polarity")
    tables = PrintTables(KODAKQC.film_session, KODAKQC.film_box, rows)
    assert film_settings(tables, CONFIGURED).polarity == ""
    with pytest.raises(BadFilm, match="Polarity 'NORMAL': the profile does not send it"):
        film_settings(tables, CONFIGURED, {"polarity": "NORMAL"})


def test_the_table_of_the_configuration() -> None:
    table = PrintConfig(copies=2, requested_image_size_mm=120.0, film_size="14INX17IN", layout="2,3", medium="PAPER")
    settings = film_settings(SPECULAR, FilmSettings.configured(table))
    session = film_session_attributes(SPECULAR, settings)
    assert (session.NumberOfCopies, session.PrintPriority, session.MediumType) == (2, "MED", "PAPER")
    assert "FilmDestination" not in session
    box = film_box_attributes(SPECULAR, settings)
    assert (box.ImageDisplayFormat, box.FilmSizeID, box.FilmOrientation) == ("STANDARD\\2,3", "14INX17IN", "PORTRAIT")
    assert (settings.columns, settings.rows, settings.places, settings.requested_image_size_mm) == (2, 3, 6, "120")


@pytest.mark.parametrize("profile", ["kodakqc", "specular"])
def test_every_row_of_a_table_can_be_sent_in_its_order(profile: str) -> None:
    import numpy as np

    tables = tables_of(profile)
    values = {name: allowed[-1] for name, allowed, _ in STATEMENT}
    settings = film_settings(tables, FilmSettings(), {**values, "magnification": "CUBIC", "smoothing": "SOFT"})
    session, box = film_session_attributes(tables, settings), film_box_attributes(tables, settings)
    image = image_box_attributes(tables, settings, np.zeros((3, 5), np.uint16), 81)
    assert {one.keyword for one in session} == {row.path for row in tables.film_session}
    sent = {one.keyword for one in box} | {"ReferencedFilmSessionSequence"}
    assert sent == {row.path.partition(".")[0] for row in tables.film_box}
    assert {one.keyword for one in image} == {row.path.partition(".")[0] for row in tables.image_box}
    pixels = image.BasicGrayscaleImageSequence[0]
    inside = {row.path.partition(".")[2] for row in tables.image_box if "." in row.path}
    assert {one.keyword for one in pixels} == inside
    assert len(pixels.PixelData) == 30


@pytest.mark.parametrize("position", [0, 5])
def test_an_image_position_is_within_the_display_format(position: int) -> None:
    import numpy as np

    settings = film_settings(KODAKQC, CONFIGURED, {"layout": "2,2"})
    with pytest.raises(BadFilm, match=f"ImageBoxPosition {position} is outside the film's 4 image boxes"):
        image_box_attributes(KODAKQC, settings, np.zeros((3, 5), np.uint16), position)


def test_a_mandatory_row_with_one_value_is_sent_by_itself() -> None:
    fixed = PrintAttribute("FilmSessionLabel", "M", ("SPECULAR",))
    tables = PrintTables((*KODAKQC.film_session, fixed), KODAKQC.film_box, KODAKQC.image_box)
    assert film_session_attributes(tables, film_settings(tables, CONFIGURED)).FilmSessionLabel == "SPECULAR"


def test_the_words_of_every_print_status() -> None:
    from pynetdicom.status import PRINT_JOB_MANAGEMENT_SERVICE_CLASS_STATUS as STATUSES  # an outside list

    printing = {status for status in STATUSES if status & 0xFF00 in (0xB600, 0xC600)}
    assert printing == set(print_statuses.WORDS)
    assert print_statuses.describe_print_status(0xC605) == "C605H the printer's memory does not hold the image"
    assert print_statuses.describe_print_status(0x0106) == "0106H invalid attribute value"
    assert print_statuses.TRANSIENT > print_statuses.NOT_BEGUN
