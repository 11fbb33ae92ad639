"""The report page: A4 upright at 150 px per inch, both eyes side by side, the right eye (OD) on the left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from firmware_app.model import Equipment, Exam, Eye
from firmware_app.report import colours, content
from firmware_app.report.canvas import Box, Canvas, cut_to_width, text_width
from firmware_app.report.content import EyeReport
from firmware_app.report.eye_column import draw_eye, draw_missing_eye
from firmware_app.report.typeface import drawable_name
from firmware_app.report.undrawn import undrawn

WIDTH, HEIGHT = 1240, 1754
MARGIN = 52
GUTTER = 32
BANNER_TEXT = WIDTH - 2 * MARGIN - 24
DEFINITIONS = (
    "CD = 10⁶ / mean cell area.   CV = SD / mean of the areas.   HEX = share of six-sided cells among cells with a "
    "complete ring of neighbours (grey cells are counted but have none)."
)


def draw_report(
    exam: Exam, eyes: Sequence[EyeReport], *, equipment: Equipment, created_at: datetime
) -> npt.NDArray[np.uint8]:
    """The page as (1754, 1240, 3) RGB. At most one capture for each eye; an eye without one is said to have none."""
    canvas = Canvas(WIDTH, HEIGHT)
    y = _draw_head(canvas, exam, equipment)
    if content.is_simulated(eyes):
        y = _draw_banner(canvas, y, content.SIMULATED)
    not_drawn = undrawn(exam, equipment)
    if not_drawn:
        y = _draw_banner(canvas, y, cut_to_width(f"NOT DRAWN, no font has it: {'; '.join(not_drawn)}", 20, BANNER_TEXT))
    column_width = (WIDTH - 2 * MARGIN - GUTTER) // 2
    by_eye = {eye.capture.eye: eye for eye in eyes}
    for index, side in enumerate((Eye.RIGHT, Eye.LEFT)):
        column = Box(MARGIN + index * (column_width + GUTTER), y + 14, column_width, HEIGHT - 104 - y)
        if side in by_eye:
            draw_eye(canvas, column, by_eye[side])
        else:
            draw_missing_eye(canvas, column, side)
    _draw_foot(canvas, exam, created_at)
    return canvas.pixels()


def _draw_head(canvas: Canvas, exam: Exam, equipment: Equipment) -> int:
    canvas.text(MARGIN, 74, "Corneal endothelium report", 36, bold=True)
    place = cut_to_width(equipment.institution_name, 22, 520)
    canvas.text_right(WIDTH - MARGIN, 74, place, 22, colours.MUTED)
    panel = Box(MARGIN, 94, WIDTH - 2 * MARGIN, 166)
    canvas.fill(panel, colours.PANEL)
    name = cut_to_width(drawable_name(exam.patient.name), 34, panel.width - 40, bold=True)
    canvas.text(panel.left + 20, panel.top + 46, name, 34, bold=True)
    rows = content.identity_lines(exam, equipment)
    widths = (0.26, 0.16, 0.1, 0.26, 0.22)
    _draw_fields(canvas, panel, panel.top + 74, rows[:5], widths)
    _draw_fields(canvas, panel, panel.top + 124, rows[5:], (0.26, 0.26, 0.26, 0.22))
    return panel.bottom


def _draw_fields(
    canvas: Canvas, panel: Box, y: int, fields: Sequence[tuple[str, str]], shares: Sequence[float]
) -> None:
    x = float(panel.left + 20)
    for (label, value), share in zip(fields, shares, strict=True):
        width = share * (panel.width - 40)
        canvas.text(x, y, label, 14, colours.MUTED)
        canvas.text(x, y + 22, cut_to_width(value or "–", 20, width - 12), 20)
        x += width


def _draw_banner(canvas: Canvas, y: int, text: str) -> int:
    banner = Box(MARGIN, y + 8, WIDTH - 2 * MARGIN, 34)
    canvas.fill(banner, colours.WARNING)
    canvas.text_centred(WIDTH / 2, banner.top + 24, text, 20, colours.PAPER, bold=True)
    return banner.bottom


def _draw_foot(canvas: Canvas, exam: Exam, created_at: datetime) -> None:
    y = HEIGHT - 66
    canvas.rule(MARGIN, WIDTH - MARGIN, y - 24)
    canvas.text(MARGIN, y, content.NOT_FOR_CLINICAL_USE, 20, colours.WARNING, bold=True)
    written = f"Report of {content.moment_text(created_at)}"
    study = f"Study {exam.study_instance_uid}"
    canvas.text_right(WIDTH - MARGIN, y, written, 16, colours.MUTED)
    room = WIDTH - 2 * MARGIN - text_width(written, 16) - 260
    canvas.text(MARGIN + 216, y, cut_to_width(study, 16, room), 16, colours.MUTED)
    canvas.text(MARGIN, y + 26, cut_to_width(DEFINITIONS, 14, WIDTH - 2 * MARGIN), 14, colours.MUTED)
