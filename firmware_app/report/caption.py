"""The strip below a reviewed picture: the file, its numbers and how sure they are, and what is drawn how."""

from __future__ import annotations

from firmware_app import __version__
from firmware_app.model import Interval, Measurement, Morphometry, Mosaic
from firmware_app.report import colours, content
from firmware_app.report.canvas import Box, Canvas, cut_to_width, text_width, wrapped
from firmware_app.report.colours import Colour
from firmware_app.report.overlay import HATCH_LINE_PX, HATCH_PITCH_PX, Picture
from firmware_app.report.typeface import text_font

MARGIN_PX = 18
TITLE_PX, FIGURE_PX, TEXT_PX, NOTE_PX = 24, 32, 19, 16
LINE_PX = 24
HEIGHT_MAX_PX = 640
LINES_MAX = 12  # of a refusal's reason, and of warnings
SWATCH_PX = 15
SIDES_NAMES = {3: "3", 4: "4", 5: "5", 6: "6", 7: "7", 8: "8+ sides", 0: "ring not complete"}


def draw_caption(measurement: Measurement, name: str, width: int) -> Picture:
    """RGB, `width` px wide and as high as it needs to be."""
    canvas = Canvas(width, HEIGHT_MAX_PX)
    column = Box(MARGIN_PX, 0, width - 2 * MARGIN_PX, HEIGHT_MAX_PX)
    canvas.fill(Box(0, 0, width, HEIGHT_MAX_PX), colours.PANEL)
    y = _title(canvas, column, measurement, name)
    numbers, mosaic = measurement.morphometry, measurement.mosaic
    if numbers is None or mosaic is None:
        y = _refusal(canvas, column, y, measurement)
    else:
        y = _figures(canvas, column, y + 42, numbers)
        y = _also(canvas, column, y + LINE_PX + 4, numbers, mosaic)
        y = _lines(canvas, column, y, [f"Warning: {text}" for text in numbers.warnings], colours.WARNING)
        y = _legend(canvas, column, y + LINE_PX + 8, mosaic)
    y += LINE_PX + 8
    canvas.text(column.left, y, content.NOT_FOR_CLINICAL_USE, NOTE_PX, bold=True)
    canvas.text_right(column.right, y, f"Specular {__version__}", NOTE_PX, colours.MUTED)
    return canvas.pixels()[: y + 14]


def _title(canvas: Canvas, column: Box, measurement: Measurement, name: str) -> int:
    y = 36
    quality = measurement.quality
    grade = f"Quality {quality.grade}"
    canvas.text_right(column.right, y, grade, TITLE_PX, bold=True)
    room = column.width - text_width(grade, TITLE_PX, bold=True) - 14
    after = canvas.text(column.left, y, cut_to_width(name, TITLE_PX, room * 0.6, bold=True), TITLE_PX, bold=True)
    reasons = cut_to_width(", ".join(quality.reasons), NOTE_PX, column.left + room - after - 20)
    canvas.text_right(column.left + room, y, reasons, NOTE_PX, colours.MUTED)
    return y


def _refusal(canvas: Canvas, column: Box, y: int, measurement: Measurement) -> int:
    y += 44
    after = canvas.text(column.left, y, "Not measured", FIGURE_PX, bold=True)
    if measurement.refusal is not None:
        code = measurement.refusal.code
        canvas.text(after + 16, y, f"{code.meaning} ({code.value}, {code.scheme})", NOTE_PX, colours.MUTED)
    return _lines(canvas, column, y + 6, [content.refusal_text(measurement)], colours.INK, TEXT_PX)


def _lines(canvas: Canvas, column: Box, y: int, texts: list[str], colour: Colour, size_px: int = NOTE_PX) -> int:
    font = text_font(size_px, bold=colour == colours.WARNING)
    lines = [line for text in texts for line in wrapped(text, font, column.width)]
    for line in [*lines[: LINES_MAX - 1], "…"] if len(lines) > LINES_MAX else lines:
        y += LINE_PX
        canvas.text(column.left, y, line, size_px, colour, bold=colour == colours.WARNING)
    return y


def _figures(canvas: Canvas, column: Box, y: int, numbers: Morphometry) -> int:
    """Side by side: each number, and below it how sure it is or what it rests on."""
    shown = figures_of(numbers)
    pitch = column.width / len(shown)
    for index, (label, value, unit, below) in enumerate(shown):
        left = column.left + index * pitch
        x = canvas.text(left, y, label, TEXT_PX, colours.MUTED) + 8
        x = canvas.text(x, y, value, FIGURE_PX, bold=True) + 5
        canvas.text(x, y, unit, TEXT_PX)
        canvas.text(left, y + LINE_PX, below, NOTE_PX, colours.MUTED)
    return y + LINE_PX


def figures_of(numbers: Morphometry) -> list[tuple[str, str, str, str]]:
    """Label, value, unit and what stands below. Without a scale the mean area in px stands for the density."""
    density, below = ("CD", numbered(numbers.cd_per_mm2, 0), "/mm²"), between(numbers.cd_interval, 0)
    if numbers.cd_per_mm2 is None:
        density, below = ("AVG", numbered(numbers.mean_area_px, 0), "px²"), "no scale: no density"
    ringed = f"{numbers.n_complete_ring} with all neighbours"
    return [
        (*density, below),
        ("CV", numbered(numbers.cv_percent, 1), "%", between(numbers.cv_interval, 1)),
        ("HEX", numbered(numbers.hex_percent, 1), "%", between(numbers.hex_interval, 1)),
        ("N", str(numbers.n), "cells", ringed),
    ]


def numbered(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def between(interval: Interval | None, digits: int) -> str:
    return "" if interval is None else f"95 %: {interval.low:.{digits}f} to {interval.high:.{digits}f}"


def _also(canvas: Canvas, column: Box, y: int, numbers: Morphometry, mosaic: Mosaic) -> int:
    parts = [f"Counted: {numbers.method}"]
    if numbers.guttae_percent is not None:
        parts.append(f"guttae {numbers.guttae_percent:.1f} % of the area")
    if mosaic.region is not None:
        parts.append(f"trusted {100 * mosaic.region.mean():.0f} % of the picture")
    if numbers.analysed_area_mm2 is not None:
        parts.append(f"analysed {numbers.analysed_area_mm2:.3f} mm²")
    canvas.text(column.left, y, cut_to_width("   ·   ".join(parts), NOTE_PX, column.width), NOTE_PX)
    return y


def _legend(canvas: Canvas, column: Box, y: int, mosaic: Mosaic) -> int:
    """Only what is in the picture."""
    x = float(column.left)
    there = {min(max(int(sides), 3), 8) if sides > 0 else 0 for sides in mosaic.sides}
    for sides, name in SIDES_NAMES.items():
        if sides in there:
            canvas.fill(_swatch(x, y), colours.of_sides(sides))
            x = canvas.text(x + SWATCH_PX + 5, y, name, NOTE_PX) + 13
    if mosaic.guttae is not None and mosaic.guttae.any():
        swatch = _swatch(x, y)
        canvas.fill(swatch, colours.MUTED)
        for offset in range(-SWATCH_PX, SWATCH_PX, HATCH_PITCH_PX):
            _diagonal(canvas, swatch, offset)
        x = canvas.text(x + SWATCH_PX + 5, y, "guttae", NOTE_PX) + 13
    if mosaic.region is not None and not mosaic.region.all():
        swatch = _swatch(x, y)
        canvas.fill(swatch, colours.MUTED)
        middle = swatch.top + SWATCH_PX // 2
        for start in (0, 9):
            canvas.fill(Box(swatch.left + start, middle - 1, 6, 2), colours.REGION)
        canvas.text(x + SWATCH_PX + 5, y, "edge of what is trusted", NOTE_PX)
    return y


def _swatch(x: float, y: int) -> Box:
    return Box(round(x), y - SWATCH_PX + 2, SWATCH_PX, SWATCH_PX)


def _diagonal(canvas: Canvas, box: Box, offset: int) -> None:
    """A line of the hatching, clipped to the box."""
    first, last = max(0, offset), min(SWATCH_PX - 1, SWATCH_PX - 1 + offset)
    start = (box.left + first, box.bottom - 1 - (first - offset))
    end = (box.left + last, box.bottom - 1 - (last - offset))
    canvas.draw.line((*start, *end), fill=colours.GUTTAE, width=HATCH_LINE_PX)
