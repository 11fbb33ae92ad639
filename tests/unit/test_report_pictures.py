from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from objects_samples import EQUIPMENT, SCHEDULED, capture
from report_samples import (
    COLUMNS,
    CREATED_AT,
    ROWS,
    SIDES,
    edited,
    labels,
    mosaic_measurement,
    pixels,
    refused,
    reported,
)

from firmware_app.endothelium.history import NOT_EDITED
from firmware_app.model import Eye
from firmware_app.report import colours
from firmware_app.report.canvas import Canvas, cut_to_width, text_width, wrapped
from firmware_app.report.content import EyeReport
from firmware_app.report.contours import contour_lines, contour_mask
from firmware_app.report.overlay import CONTOUR_PX, draw_overlay, stretched
from firmware_app.report.page import HEIGHT, WIDTH, draw_report
from firmware_app.report.typeface import text_font


def is_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (picture == np.array(colour)).all(axis=-1)


def test_the_overlay_has_the_size_of_the_picture_and_thin_contours() -> None:
    picture = draw_overlay(pixels(), 8, mosaic_measurement())
    assert picture.shape == (ROWS, COLUMNS, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(is_colour(picture, colours.CONTOUR), contour_mask(labels()))
    # One pixel thin: no 2x2 block of contour away from a corner where three regions meet.
    lines = contour_mask(np.array([[1, 1, 2, 2]] * 4, np.int32))
    assert lines.sum(axis=1).tolist() == [1, 1, 1, 1]
    assert contour_mask(np.array([[1, 1, 2, 2]] * 4, np.int32).T).sum(axis=0).tolist() == [1, 1, 1, 1]


def test_every_counted_cell_is_tinted_by_its_sides_and_nothing_else_is() -> None:
    picture = draw_overlay(pixels(), 8, mosaic_measurement()).astype(int)
    inside, borders = labels() > 0, contour_mask(labels())
    grey = (picture.max(axis=2) - picture.min(axis=2)) == 0
    assert grey[~inside & ~borders].all()
    shown = stretched(pixels()).astype(float)
    for index, sides in enumerate(SIDES):
        row, column = np.argwhere((labels() == index + 1) & ~borders)[5]
        expected = 0.72 * shown[row, column] + 0.28 * np.array(colours.of_sides(sides))
        assert np.abs(picture[row, column] - expected).max() <= 1


def test_a_12_bit_picture_looks_like_its_8_bit_one() -> None:
    deep = pixels().astype(np.uint16) * 16
    assert (
        np.abs(
            draw_overlay(deep, 12, mosaic_measurement()).astype(int) - draw_overlay(pixels(), 8, mosaic_measurement())
        ).max()
        <= 1
    )


def test_the_overlay_can_be_drawn_larger_with_lines_as_thin() -> None:
    size = (COLUMNS * 3, ROWS * 3)
    picture = draw_overlay(pixels(), 8, mosaic_measurement(), size).astype(float)
    assert picture.shape == (ROWS * 3, COLUMNS * 3, 3)
    drawn = contour_lines(labels(), size, CONTOUR_PX)
    small = contour_mask(labels()).sum()
    assert 2 * small < drawn.sum() < 5 * small, "three times as long, and hardly wider"
    assert drawn.max() <= 1
    yellow = picture[..., :2].min(axis=2) - picture[..., 2]
    assert yellow[drawn > 0.8].min() > 60
    assert yellow[(drawn == 0) & (np.repeat(np.repeat(labels(), 3, 0), 3, 1) == 0)].max() < 20


def test_a_refused_picture_carries_the_reason() -> None:
    frame = np.tile(pixels(), (4, 4))
    with_reason = draw_overlay(frame, 8, refused("out of focus"))
    assert with_reason.shape == (*frame.shape, 3)
    assert is_colour(with_reason, colours.INK).sum() > 1000
    assert is_colour(with_reason, colours.PAPER).sum() > 20
    assert not np.array_equal(with_reason, draw_overlay(frame, 8, refused("no cells")))


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (400, 5)])
def test_no_picture_is_too_small_for_a_refusal(shape: tuple[int, int]) -> None:
    assert draw_overlay(np.zeros(shape, np.uint8), 8, refused("nothing to see here")).shape == (*shape, 3)


def test_the_page_has_the_right_eye_on_the_left() -> None:
    right = reported(eye=Eye.RIGHT)
    page = draw_report(SCHEDULED, [right], equipment=EQUIPMENT, created_at=CREATED_AT)
    assert page.shape == (HEIGHT, WIDTH, 3)
    contours = is_colour(page, colours.CONTOUR)
    assert contours[:, : WIDTH // 2].any()
    assert not contours[:, WIDTH // 2 :].any()
    other = draw_report(SCHEDULED, [reported(eye=Eye.LEFT)], equipment=EQUIPMENT, created_at=CREATED_AT)
    assert not is_colour(other, colours.CONTOUR)[:, : WIDTH // 2].any()


def test_only_a_simulated_page_has_the_banner() -> None:
    def banner(simulated: bool) -> int:
        eye = replace(reported(), capture=capture(simulated=simulated))
        page = draw_report(SCHEDULED, [eye], equipment=EQUIPMENT, created_at=CREATED_AT)
        return int(is_colour(page, colours.WARNING).sum(axis=1).max())

    assert banner(True) > WIDTH // 2
    assert banner(False) < WIDTH // 4


def test_a_refusal_and_a_warning_change_the_page() -> None:
    measured = reported()
    pages = [
        draw_report(
            SCHEDULED, [replace(measured, measurement=measurement)], equipment=EQUIPMENT, created_at=CREATED_AT
        ).tobytes()
        for measurement in (
            measured.measurement,
            refused("out of focus"),
            refused("no cells"),
            mosaic_measurement(warnings=("only 12 cells",)),
        )
    ]
    assert len(set(pages)) == 4


def test_numbers_changed_by_hand_change_the_page() -> None:
    """Also those of a measurement that was then refused, which keeps its picture of the cells."""

    def page(eye: EyeReport) -> bytes:
        return draw_report(SCHEDULED, [eye], equipment=EQUIPMENT, created_at=CREATED_AT).tobytes()

    by_hand = edited(reported(), "Op^Otto")
    refusal = refused("only 12 cells").refusal
    too_few = replace(by_hand, measurement=replace(by_hand.measurement, morphometry=None, refusal=refusal))
    pages = [by_hand, replace(by_hand, history=NOT_EDITED), too_few, replace(too_few, history=NOT_EDITED)]
    assert len({page(each) for each in pages}) == 4


def test_long_texts_stay_on_the_page() -> None:
    patient = replace(SCHEDULED.patient, name="W" * 64 + "^" + "W" * 60, patient_id="9" * 64)
    exam = replace(SCHEDULED, patient=patient, operator="W" * 64)
    equipment = replace(EQUIPMENT, institution_name="W" * 64, software_versions="W" * 40)
    eye = replace(
        edited(reported(), *("W" * 60 for _ in range(9))), measurement=mosaic_measurement(warnings=("long " * 200,))
    )
    page = draw_report(exam, [eye, replace(eye, capture=capture(Eye.LEFT))], equipment=equipment, created_at=CREATED_AT)
    margin = page[:, -40:]
    assert (margin == 255).all()
    assert (page[:, :40] == 255).all()


def test_text_is_cut_and_wrapped_to_its_room() -> None:
    assert cut_to_width("short", 20, 500) == "short"
    cut = cut_to_width("a rather long text", 20, 80)
    assert cut.endswith("…")
    assert text_width(cut, 20) <= 80
    lines = wrapped("one two three four five six", text_font(20), 80)
    assert " ".join(lines) == "one two three four five six"
    assert len(lines) > 1


def test_text_in_two_fonts_ends_where_its_width_says() -> None:
    canvas = Canvas(200, 40)
    assert canvas.text(5, 30, "Yamada 山田", 20) == pytest.approx(5 + text_width("Yamada 山田", 20))
