"""The sheet a reviewer looks at: the picture, the cells on it, and below what was found or why nothing was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.model import Measurement
from firmware_app.report import colours
from firmware_app.report.canvas import Box, Canvas
from firmware_app.report.caption import draw_caption
from firmware_app.report.charts import draw_scale_bar
from firmware_app.report.overlay import Picture, resized, stretched, with_cells

LONG_SIDE_MIN_PX = 900
SHEET_SIDE_MAX_PX = 2400  # beyond it the plain picture is left out
GAP_PX = 6


def draw_review(
    pixels: npt.NDArray[np.generic], bits_stored: int, measurement: Measurement, name: str, um_per_px: float | None
) -> Picture:
    """RGB: the picture at least 900 px long, plain and with its cells, and a caption. `um_per_px` None: no scale."""
    grey = resized(stretched(pixels), shown_size(pixels.shape[1], pixels.shape[0]))
    plain = np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    panels = panels_of(plain, measurement)
    sheet = layout(panels)
    caption = draw_caption(measurement, name, sheet.width)
    canvas = Canvas(sheet.width, sheet.height + caption.shape[0])
    canvas.fill(Box(0, 0, sheet.width, sheet.height), colours.INK)
    for panel, place in zip(panels, sheet.places, strict=True):
        canvas.picture(panel, place.left, place.top)
    if um_per_px is not None:
        draw_scale_bar(canvas, sheet.places[0], um_per_px, plain.shape[1] / pixels.shape[1])
    canvas.picture(caption, 0, sheet.height)
    return canvas.pixels()


def shown_size(width: int, height: int) -> tuple[int, int]:
    scale = max(1.0, LONG_SIDE_MIN_PX / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def panels_of(plain: Picture, measurement: Measurement) -> list[Picture]:
    """The plain picture is left out where the sheet would be too large; a refused one has only that."""
    if measurement.mosaic is None:
        return [plain]
    drawn = with_cells(plain, measurement.mosaic)
    return [plain, drawn] if 2 * min(plain.shape[:2]) + GAP_PX <= SHEET_SIDE_MAX_PX else [drawn]


@dataclass(frozen=True, slots=True)
class Sheet:
    width: int
    height: int
    places: tuple[Box, ...]


def layout(panels: list[Picture]) -> Sheet:
    """Pictures higher than wide beside each other, wider ones below each other; room for a caption either way."""
    rows, columns = panels[0].shape[:2]
    upright = rows > columns
    step = (columns if upright else rows) + GAP_PX
    places = [Box(step * i if upright else 0, 0 if upright else step * i, columns, rows) for i in range(len(panels))]
    width = max(places[-1].right, LONG_SIDE_MIN_PX)
    left = (width - places[-1].right) // 2
    centred = tuple(Box(place.left + left, place.top, place.width, place.height) for place in places)
    return Sheet(width, places[-1].bottom, centred)
