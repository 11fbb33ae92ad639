"""One eye's half of the page: picture, cells, numbers, histograms, warnings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_app.model import Eye
from firmware_app.report import colours, content
from firmware_app.report.canvas import Box, Canvas, cut_to_width, text_width, wrapped
from firmware_app.report.charts import area_bars, draw_bars, draw_scale_bar
from firmware_app.report.content import EyeReport
from firmware_app.report.overlay import draw_overlay, resized
from firmware_app.report.typeface import text_font

PICTURE_HEIGHT_MAX = 404
WARNING_PX, WARNING_PITCH_PX = 18, 24
EDITED_PX, EDITED_PITCH_PX, EDITED_LINES = 16, 22, 3
SIDES_NAMES = {3: "3", 4: "4", 5: "5", 6: "6", 7: "7", 8: "8+"}


def draw_eye(canvas: Canvas, column: Box, eye: EyeReport) -> None:
    y = _draw_title(canvas, column, eye)
    y = _draw_pictures(canvas, column, y, eye)
    if eye.measurement.morphometry is None:
        y = _draw_refusal(canvas, column, y + 24, content.refusal_text(eye.measurement))
        y = _draw_edits(canvas, column, y, eye)
    else:
        y = _draw_legend(canvas, column, y + 8)
        y = _draw_figures(canvas, column, y + 8, eye)
        y = _draw_histograms(canvas, column, y + 14, eye)
    y = _draw_calibration(canvas, column, y, eye)
    _draw_warnings(canvas, column, y + 12, content.warnings_of(eye))


def draw_missing_eye(canvas: Canvas, column: Box, side: Eye) -> None:
    canvas.text(column.left, column.top + 30, content.EYE_TITLES[side], 32, bold=True)
    frame = Box(column.left, column.top + 46, column.width, 411)
    canvas.fill(frame, colours.PANEL)
    canvas.text_centred(frame.left + frame.width / 2, frame.top + 212, "not photographed", 24, colours.MUTED)


def _draw_title(canvas: Canvas, column: Box, eye: EyeReport) -> int:
    baseline = column.top + 30
    after = canvas.text(column.left, baseline, content.EYE_TITLES[eye.capture.eye], 32, bold=True)
    for text in (content.thickness_text(eye.capture), content.point_text(eye.capture)):
        after = canvas.text(after + 18, baseline, text, 20) if text else after
    quality = eye.measurement.quality
    grade = f"Quality {quality.grade}"
    canvas.text_right(column.right, baseline, grade, 24, bold=True)
    room = column.right - text_width(grade, 24, bold=True) - after - 40
    reasons = cut_to_width(", ".join(quality.reasons), 16, room)
    canvas.text_right(column.right - text_width(grade, 24, bold=True) - 14, baseline, reasons, 16, colours.MUTED)
    return baseline + 14


def _draw_pictures(canvas: Canvas, column: Box, y: int, eye: EyeReport) -> int:
    frame = eye.frame
    shown_per_px = min(column.width / frame.columns, PICTURE_HEIGHT_MAX / frame.rows)
    size = (round(frame.columns * shown_per_px), round(frame.rows * shown_per_px))
    left = column.left + (column.width - size[0]) // 2
    grey = resized(as_shown(frame.pixels, frame.bits_stored), size)
    canvas.picture(np.repeat(grey[:, :, np.newaxis], 3, axis=2), left, y)
    draw_scale_bar(canvas, Box(left, y, *size), eye.capture.um_per_px, shown_per_px)
    y += size[1] + 8
    if eye.measurement.mosaic is not None:
        canvas.picture(draw_overlay(frame.pixels, frame.bits_stored, eye.measurement, size), left, y)
        y += size[1]
    return y


def as_shown(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], bits_stored: int) -> npt.NDArray[np.uint8]:
    """The grey values as they were exposed, in 8 bits."""
    return np.right_shift(pixels, bits_stored - 8).astype(np.uint8)


def _draw_legend(canvas: Canvas, column: Box, y: int) -> int:
    x = canvas.text(column.left, y + 16, "Sides", 15, colours.MUTED) + 12
    for sides, name in SIDES_NAMES.items():
        canvas.fill(Box(round(x), y + 4, 14, 14), colours.of_sides(sides))
        x = canvas.text(x + 19, y + 16, name, 15) + 13
    canvas.fill(Box(round(x), y + 4, 14, 14), colours.NO_RING)
    canvas.text(x + 19, y + 16, "ring not complete", 15)
    return y + 24


def _draw_figures(canvas: Canvas, column: Box, y: int, eye: EyeReport) -> int:
    numbers = eye.measurement.morphometry
    if numbers is None:
        return y
    density, count, *others = content.figures(numbers)
    panel = Box(column.left, y, column.width, 168)
    canvas.fill(panel, colours.PANEL)
    baseline = panel.top + 50
    x = canvas.text(panel.left + 16, baseline, density.label, 22, colours.MUTED)
    x = canvas.text(x + 10, baseline, density.value, 46, bold=True)
    canvas.text(x + 8, baseline, density.unit, 22)
    _draw_interval(canvas, panel.left + 68, panel.top + 71, density.interval)
    x = canvas.text(panel.left + 290, baseline, count.label, 22, colours.MUTED)
    x = canvas.text(x + 10, baseline, count.value, 34, bold=True)
    canvas.text(x + 8, baseline, count.unit, 22)
    canvas.text_right(panel.right - 16, panel.top + 24, content.METHODS[numbers.method], 15, colours.MUTED)
    canvas.text_right(panel.right - 16, panel.top + 71, content.guttae_text(numbers), 15, colours.MUTED)
    for index, figure in enumerate(others):
        cell_x = panel.left + 16 + (index % 3) * (panel.width - 24) / 3
        cell_y = panel.top + 102 + (index // 3) * 36
        canvas.text(cell_x, cell_y, figure.label, 18, colours.MUTED)
        after = canvas.text(cell_x + 52, cell_y, figure.value, 22, bold=True)
        canvas.text(after + 6, cell_y, figure.unit, 18)
        _draw_interval(canvas, cell_x + 52, cell_y + 20, figure.interval)
    return _draw_edits(canvas, column, panel.bottom, eye)


def _draw_interval(canvas: Canvas, x: float, baseline: int, interval: str) -> None:
    if interval:
        canvas.text(x, baseline, f"95 %: {interval}", 15, colours.MUTED)


def _draw_edits(canvas: Canvas, column: Box, y: int, eye: EyeReport) -> int:
    """Whose numbers these are, if not the instrument's; a line that no column holds is cut, never the page."""
    font = text_font(EDITED_PX)
    for line in wrapped(content.edited_text(eye), font, column.width)[:EDITED_LINES]:
        y += EDITED_PITCH_PX
        canvas.text(column.left, y, cut_to_width(line, EDITED_PX, column.width), EDITED_PX)
    return y


def _draw_calibration(canvas: Canvas, column: Box, y: int, eye: EyeReport) -> int:
    text = content.calibration_text(eye)
    if not text:
        return y
    y += EDITED_PITCH_PX
    canvas.text(column.left, y, cut_to_width(text, EDITED_PX, column.width), EDITED_PX, colours.MUTED)
    return y


def _draw_histograms(canvas: Canvas, column: Box, y: int, eye: EyeReport) -> int:
    width = (column.width - 24) // 2
    numbers = eye.measurement.morphometry
    areas = area_bars(numbers.area_histogram or {}) if numbers else {}
    left, right = Box(column.left, y, width, 168), Box(column.left + width + 24, y, width, 168)
    if areas:
        draw_bars(canvas, left, "Cell area, classes of 100 µm²", areas, lambda _: colours.BLUE, with_counts=False)
    else:
        canvas.text(left.left, left.top + 17, "Cell area: no scale", 17, colours.MUTED)
    sides = content.sides_histogram(eye.measurement)
    bars = {str(number): count for number, count in sides.items()}
    ringed = numbers.n_complete_ring if numbers else 0
    title = f"Sides of {ringed} cells with a full ring"
    draw_bars(canvas, right, title, bars, lambda name: colours.of_sides(int(name)), with_counts=True)
    return left.bottom


def _draw_refusal(canvas: Canvas, column: Box, y: int, reason: str) -> int:
    lines = wrapped(reason, text_font(20), column.width - 40)
    panel = Box(column.left, y, column.width, 70 + 27 * len(lines))
    canvas.fill(panel, colours.PANEL)
    canvas.text(panel.left + 20, panel.top + 42, "Not measured", 30, bold=True)
    for index, line in enumerate(lines):
        canvas.text(panel.left + 20, panel.top + 76 + 27 * index, line, 20)
    return panel.bottom


def _draw_warnings(canvas: Canvas, column: Box, y: int, warnings: list[str]) -> None:
    font = text_font(WARNING_PX, bold=True)
    lines = [line for warning in warnings for line in wrapped(f"Warning: {warning}", font, column.width)]
    room = max((column.bottom - y) // WARNING_PITCH_PX, 0)
    if len(lines) > room:
        lines = [*lines[: max(room - 1, 0)], "… and more: see the summary of this report"]
    for index, line in enumerate(lines):
        baseline = y + WARNING_PX + WARNING_PITCH_PX * index
        canvas.text(column.left, baseline, line, WARNING_PX, colours.WARNING, bold=True)
