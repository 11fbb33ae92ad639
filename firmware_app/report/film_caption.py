"""The strip below a picture on film: whose eye it is, when and where it was taken, its scale. Never over the picture.

Sizes go with the picture's width: an image box of 63 mm, three of which fit beside each other on a film of 8 inches,
has the smallest letters at 2.3 mm (6.5 points).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from firmware_app.model import Capture, Equipment, Exam, Eye
from firmware_app.report.canvas import Box, Canvas, cut_to_width, text_width
from firmware_app.report.charts import SCALE_BARS_UM
from firmware_app.report.colours import Colour
from firmware_app.report.content import NOT_FOR_CLINICAL_USE, SIMULATED, date_text, moment_text
from firmware_app.report.typeface import drawable_groups
from firmware_app.report.undrawn import undrawn_texts

BLACK: Final[Colour] = (0, 0, 0)
WHITE: Final[Colour] = (255, 255, 255)
LABEL: Final[Colour] = (180, 180, 180)
WIDTH_MIN: Final = 360  # px below which the letters would be no letters
MARGIN: Final = 0.02  # of the width, like all that follow
TEXT: Final = 0.036
NAME: Final = 0.052
EYE: Final = 0.125
LINE: Final = 1.3  # of the size of the letters
NAME_LINES: Final = 4
FIELD_LINES: Final = 16  # of a paragraph: 64 characters that no font has, each as its number, are 12
TEXT_MAX: Final = 128  # characters; the longest that DICOM allows have 64
HEIGHT_MAX: Final = 3
EYE_WORDS: Final = {Eye.RIGHT: ("OD", "right eye"), Eye.LEFT: ("OS", "left eye")}


@dataclass(frozen=True, slots=True)
class FilmCaption:
    """What is told of a capture."""

    exam: Exam
    capture: Capture
    equipment: Equipment


@dataclass(frozen=True, slots=True)
class Part:
    """A value with its label, or what of it went to the next line."""

    label: str
    text: str

    def width(self, size_px: int) -> float:
        return text_width(self.label, size_px) + text_width(self.text, size_px)


def draw_caption(caption: FilmCaption, width: int) -> npt.NDArray[np.uint8]:
    """(rows, width) from 0 black to 255 white, as high as the texts need; `width` is at least WIDTH_MIN."""
    if width < WIDTH_MIN:
        raise ValueError(f"a caption of {width} px: at least {WIDTH_MIN}")
    drawn = _Strip(width).draw(caption)
    return np.ascontiguousarray(drawn[:, :, 0])


class _Strip:
    """Drawn from the top; `y` is where the next line begins."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.margin = round(MARGIN * width)
        self.text_px, self.name_px, self.eye_px = (round(share * width) for share in (TEXT, NAME, EYE))
        # Name 0.27, three paragraphs of 0.75, the last line and two banners 0.17: 2.7 times the width at most.
        page = Box(0, 0, width, HEIGHT_MAX * width)
        self.canvas = Canvas(page.width, page.height)
        self.canvas.fill(page, BLACK)
        self.y = self.margin

    def draw(self, caption: FilmCaption) -> npt.NDArray[np.uint8]:
        eye_bottom = self._eye(caption.capture.eye)
        room = self.width - 3 * self.margin - self._eye_width()
        for line in name_lines(caption.exam.patient.name, self.name_px, room):
            self._line(line, self.name_px, bold=True)
        for fields in fields_of(caption):
            for parts in flowed(fields, self.text_px, room)[:FIELD_LINES]:
                self._parts(parts)
        self.y = max(self.y, eye_bottom)
        self._scale(caption.capture.um_per_px)
        if caption.capture.simulated:
            self._banner(SIMULATED)
        if not_drawn := undrawn_texts(texts_of(caption)):
            self._banner(f"NOT DRAWN, no font: {'; '.join(not_drawn)}")
        return self.canvas.pixels()[: self.y + self.margin]

    def _eye_width(self) -> int:
        return max(
            round(max(text_width(short, self.eye_px, bold=True), text_width(words, self.text_px)))
            for short, words in EYE_WORDS.values()
        )

    def _eye(self, eye: Eye) -> int:
        short, words = EYE_WORDS[eye]
        right = self.width - self.margin
        # Capitals are 0.66 of their size high.
        baseline = self.y + round(0.7 * self.eye_px)
        self.canvas.text_right(right, baseline, short, self.eye_px, WHITE, bold=True)
        self.canvas.text_right(right, baseline + round(LINE * self.text_px), words, self.text_px, WHITE)
        return baseline + round(2 * LINE * self.text_px)

    def _line(self, text: str, size_px: int, *, bold: bool = False) -> None:
        self.canvas.text(self.margin, self.y + size_px, text, size_px, WHITE, bold)
        self.y += round(LINE * size_px)

    def _parts(self, parts: Sequence[Part]) -> None:
        x: float = self.margin
        for part in parts:
            x = self.canvas.text(x, self.y + self.text_px, part.label, self.text_px, LABEL)
            x = self.canvas.text(x, self.y + self.text_px, part.text, self.text_px, WHITE) + self.text_px
        self.y += round(LINE * self.text_px)

    def _scale(self, um_per_px: float | None) -> None:
        """A bar with ends, its length beside it; on the right what the instrument is not for."""
        baseline = self.y + self.text_px
        words, x = "not calibrated: no scale", float(self.margin)
        if bar := scale_bar(um_per_px, self.width):
            bar_um, length = bar
            thick, tick = max(2, self.text_px // 8), self.text_px // 2
            middle = baseline - round(0.33 * self.text_px)
            self.canvas.fill(Box(self.margin, middle - thick // 2, length, thick), WHITE)
            for left in (self.margin, self.margin + length - thick):
                self.canvas.fill(Box(left, middle - tick // 2, thick, tick), WHITE)
            words, x = f"{bar_um} µm   {um_per_px:.4g} µm/px", self.margin + length + self.text_px / 2
        self.canvas.text(x, baseline, words, self.text_px, WHITE)
        self.canvas.text_right(self.width - self.margin, baseline, NOT_FOR_CLINICAL_USE, self.text_px, WHITE, bold=True)
        self.y += round(LINE * self.text_px)

    def _banner(self, text: str) -> None:
        """Black on white, over the whole width."""
        top, height = self.y + self.text_px // 4, round(1.5 * self.text_px)
        self.canvas.fill(Box(0, top, self.width, height), WHITE)
        shown = cut_to_width(text, self.text_px, self.width - 2 * self.margin, bold=True)
        baseline = top + round(1.08 * self.text_px)
        self.canvas.text_centred(self.width / 2, baseline, shown, self.text_px, BLACK, bold=True)
        self.y = top + height


def fields_of(caption: FilmCaption) -> Iterator[list[Part]]:
    """In paragraphs: who, when, where and with what."""
    patient, equipment = caption.exam.patient, caption.equipment
    yield [
        Part("ID ", one_line(patient.patient_id) or "–"),
        Part("Born ", one_line(date_text(patient.birth_date)) or "–"),
        Part("Sex ", one_line(patient.sex) or "–"),
    ]
    yield [Part("Taken ", moment_text(datetime.fromisoformat(caption.capture.captured_at), with_seconds=True))]
    places = (equipment.institution_name, equipment.institutional_department_name, equipment.station_name)
    instrument = " ".join(part for part in (equipment.model_name, equipment.device_serial_number) if part)
    yield [Part("", one_line(text)) for text in (*places, instrument) if text]


def texts_of(caption: FilmCaption) -> list[tuple[str, str]]:
    """The texts from outside that are to be drawn, by their keywords."""
    patient, equipment = caption.exam.patient, caption.equipment
    return [
        ("PatientName", "".join(patient.name.split("=")[:2])),
        ("PatientID", patient.patient_id),
        ("InstitutionName", equipment.institution_name),
        ("InstitutionalDepartmentName", equipment.institutional_department_name),
        ("StationName", equipment.station_name),
        ("DeviceSerialNumber", equipment.device_serial_number),
    ]


def one_line(text: str) -> str:
    """Whatever came from outside: no line breaks, and an end."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_MAX else line[:TEXT_MAX] + "…"


def scale_bar(um_per_px: float | None, width: int) -> tuple[int, int] | None:
    """Length in um and in px: the longest that is no wider than a quarter of the picture. None without a scale."""
    if um_per_px is None:
        return None
    lengths = ((bar_um, round(bar_um / um_per_px)) for bar_um in SCALE_BARS_UM)
    return next(((bar_um, length) for bar_um, length in lengths if 1 <= length <= width // 4), None)


def name_lines(person_name: str, size_px: int, width_px: float) -> list[str]:
    """All groups on one line, or each on lines of its own."""
    groups = tuple(map(one_line, drawable_groups(person_name)))
    together = "   ".join(groups)
    if text_width(together, size_px, bold=True) <= width_px:
        return [together]
    lines = [line for group in groups for line in broken(group, size_px, width_px, bold=True)]
    if len(lines) > NAME_LINES:
        lines[NAME_LINES - 1 :] = [cut_to_width(lines[NAME_LINES - 1] + "…", size_px, width_px, bold=True)]
    return lines


def flowed(fields: Sequence[Part], size_px: int, width_px: float) -> list[list[Part]]:
    """Fields side by side as long as they fit; one that is wider than a line goes on in the next."""
    lines: list[list[Part]] = []
    x = 0.0
    for field in fields:
        first, *rest = broken(field.label + field.text, size_px, width_px)
        part = Part(field.label, first[len(field.label) :])
        width = part.width(size_px)
        if lines and x + size_px + width <= width_px:
            lines[-1].append(part)
            x += size_px + width
        else:
            lines.append([part])
            x = width
        for line in rest:
            lines.append([Part("", line)])
            x = text_width(line, size_px)
    return lines


def broken(text: str, size_px: int, width_px: float, *, bold: bool = False) -> list[str]:
    """Lines of whole words; a word that is wider than a line is broken between characters."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if text_width(longer, size_px, bold) <= width_px:
            lines[-1] = longer
            continue
        if text_width(word, size_px, bold) <= width_px:
            lines.append(word)
            continue
        lines[-1] += " " if lines[-1] else ""
        for character in word:
            if lines[-1] and text_width(lines[-1] + character, size_px, bold) > width_px:
                lines.append("")
            lines[-1] += character
    return lines
