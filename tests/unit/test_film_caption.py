"""The strip below a picture on film: all that identifies it is there, and not one pixel of the picture is gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from objects_samples import EQUIPMENT, SCHEDULED, capture
from tiny_font import tiny_font

from firmware_app.model import Eye, Frame
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.film_image import film_pixels
from firmware_app.report import typeface
from firmware_app.report.canvas import text_width
from firmware_app.report.film_caption import (
    HEIGHT_MAX,
    WIDTH_MIN,
    FilmCaption,
    Part,
    broken,
    draw_caption,
    flowed,
    name_lines,
    scale_bar,
)
from firmware_app.services.film_pages import CaptionedFrame, pixels_of

WIDTH = 640


def caption(
    patient: dict[str, str] | None = None, equipment: dict[str, str] | None = None, **changes: Any
) -> FilmCaption:
    exam = replace(SCHEDULED, patient=replace(SCHEDULED.patient, **(patient or {})))
    return FilmCaption(exam, capture(**changes), replace(EQUIPMENT, **(equipment or {})))


def strip(*args: Any, **changes: Any) -> np.ndarray:
    return draw_caption(caption(*args, **changes), WIDTH)


def frame(rows: int, columns: int, bits: int = 12) -> Frame:
    values = np.random.default_rng(1).integers(0, 1 << bits, (rows, columns))
    return Frame(values.astype(np.uint8 if bits <= 8 else np.uint16), bits, 1, 1)


def white_lines(drawn: np.ndarray) -> int:
    """Runs of rows that are white over the whole width: a banner has one above and one below its words."""
    full = (drawn == 255).all(axis=1).astype(int)
    return int(np.sum(np.diff(full, prepend=0) == 1))


@pytest.mark.parametrize(("rows", "columns", "bits"), [(480, 640, 8), (480, 640, 12), (1200, 900, 16), (12, 16, 12)])
def test_the_picture_is_above_it_pixel_by_pixel(rows: int, columns: int, bits: int) -> None:
    taken = frame(rows, columns, bits)
    film = pixels_of(CaptionedFrame(taken, caption()))
    left = (film.shape[1] - columns) // 2
    assert film.shape[1] == max(columns, WIDTH_MIN)
    assert np.array_equal(film[:rows, left : left + columns], film_pixels(taken.pixels, bits))
    assert not film[:rows, :left].any() and not film[:rows, left + columns :].any()
    assert np.array_equal(film[rows:], film_pixels(draw_caption(caption(), film.shape[1]), 8))


def test_it_is_white_on_black_and_takes_no_room_from_the_picture() -> None:
    drawn = strip(simulated=True)
    assert (drawn.min(), drawn.max(), np.median(strip())) == (0, 255, 0)
    # Nine image boxes on 8 x 10 inches are 0.8 as wide as high: 4:3 pictures are as wide as the box with it as without.
    assert 0.75 * WIDTH + drawn.shape[0] <= WIDTH / 0.8


@pytest.mark.parametrize(
    "other",
    [
        {"patient": {"name": "Doe^John"}},
        {"patient": {"patient_id": "P-002"}},
        {"patient": {"birth_date": "19500103"}},
        {"patient": {"sex": "M"}},
        {"equipment": {"institution_name": "Other Hospital"}},
        {"equipment": {"institutional_department_name": "Cornea"}},
        {"equipment": {"station_name": "ROOM2"}},
        {"equipment": {"device_serial_number": "SN-2"}},
        {"eye": Eye.LEFT},
        {"captured_at": "2024-04-02T08:29:30.500000+09:00"},
        {"captured_at": "2024-04-01T08:29:31.500000+09:00"},
        {"um_per_px": 0.86},
        {"um_per_px": None},
        {"simulated": True},
    ],
    ids=str,
)
def test_every_fact_is_drawn(other: dict[str, Any]) -> None:
    assert not np.array_equal(strip(), strip(**other))


def test_the_eye_can_be_told_from_afar() -> None:
    changed = np.argwhere(strip(eye=Eye.RIGHT) != strip(eye=Eye.LEFT))
    top, left = changed.min(axis=0)
    bottom, right = changed.max(axis=0)
    assert bottom - top > 0.08 * WIDTH and right - left > 0.12 * WIDTH


@pytest.mark.parametrize(
    ("um_per_px", "width", "bar"),
    [
        (0.85, 640, (100, 118)),
        (0.5, 640, (50, 100)),
        (0.85, 400, (50, 59)),
        (0.02, 640, None),
        (500.0, 640, None),
        (None, 640, None),
    ],
)
def test_the_scale_bar_is_a_quarter_of_the_picture_at_most(
    um_per_px: float | None, width: int, bar: tuple[int, int] | None
) -> None:
    assert scale_bar(um_per_px, width) == bar


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    bars = [
        int(right - left)
        for row in strip() == 255
        for edges in [np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))]
        for left, right in zip(edges[::2], edges[1::2], strict=True)
        if right - left > 60
    ]
    assert set(bars) == {round(100 / 0.85)}


def test_a_simulated_picture_says_so_over_the_whole_width() -> None:
    assert white_lines(strip()) == 0
    assert white_lines(strip(simulated=True)) == 2


def test_what_no_font_has_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kanji = {"name": "Yamada^Tarou=山田^太郎"}
    monkeypatch.setattr(typeface, "SYSTEM_FONTS", ())
    without = strip(kanji)
    assert name_lines(kanji["name"], 33, 500) == ["Yamada, Tarou"]
    assert white_lines(without) == 2
    assert white_lines(strip({"patient_id": "山1"})) == 2
    assert white_lines(strip(None, {"station_name": "山"})) == 2
    assert name_lines("محمد^علي", 33, 900) == ["(name not drawable: see the patient ID)"]
    (tmp_path / "kanji.ttf").write_bytes(tiny_font("山田太郎"))
    monkeypatch.setattr(typeface, "SYSTEM_FONTS", (str(tmp_path / "kanji.ttf"),))
    assert name_lines(kanji["name"], 33, 500) == ["山田 太郎   Yamada, Tarou"]
    assert name_lines(kanji["name"], 33, 300) == ["山田 太郎", "Yamada, Tarou"]
    assert white_lines(strip(kanji)) == 0


TEXTS = [
    "",
    "Doe",
    "Doe, Jane",
    "Wolfeschlegelsteinhausenbergerdorff, Adolph Blaine Charles",
    "x" * 64,
    "A " + "x" * 64,
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("width", [120, 300, 3000])
def test_a_text_is_broken_into_lines_and_nothing_is_lost(text: str, width: int) -> None:
    lines = broken(text, 23, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert max(text_width(line, 23) for line in lines) <= width
    fields = [Part("ID ", text), Part("Born ", text), Part("", text)]
    drawn = flowed(fields, 23, width)
    said = "".join(part.label + part.text for line in drawn for part in line)
    assert said.replace(" ", "") == f"ID {text}Born {text}{text}".replace(" ", "")
    for line in drawn:
        assert sum(part.width(23) for part in line) + 23 * (len(line) - 1) <= width


@pytest.mark.parametrize("text", ["", "a\nb\r\nc\x1bd", "x" * 100_000, "山" * 64, "山 " * 500])
def test_no_text_from_outside_can_spoil_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeface, "SYSTEM_FONTS", ())
    patient = {"name": text, "patient_id": text, "birth_date": text, "sex": text}
    equipment = {"institution_name": text, "institutional_department_name": text, "station_name": text}
    for width in (WIDTH_MIN, WIDTH):
        drawn = draw_caption(caption(patient, equipment, simulated=True), width)
        assert drawn.shape[1] == width
        assert drawn.shape[0] < HEIGHT_MAX * width  # all of it, to the lower edge
        assert not drawn[-1].any()


def test_bounds() -> None:
    with pytest.raises(ValueError, match="a caption of 359 px: at least 360"):
        draw_caption(caption(), WIDTH_MIN - 1)
    with pytest.raises(ObjectError, match="cannot be printed"):
        pixels_of(CaptionedFrame(frame(65500, 4, 8), caption()))
