"""The picture with the cells that were counted, so that a reviewer can see what the numbers rest on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from firmware_app.model import Measurement, Mosaic
from firmware_app.report import colours
from firmware_app.report.canvas import wrapped
from firmware_app.report.typeface import text_font

Picture = npt.NDArray[np.uint8]

TINT = 0.28  # enough to tell the classes apart, little enough to judge the cell border under it
CONTRAST_PERCENTILES = (0.5, 99.5)


def draw_overlay(
    pixels: npt.NDArray[np.generic], bits_stored: int, measurement: Measurement, size: tuple[int, int] | None = None
) -> Picture:
    """RGB of the picture's own size, or of `size` (width, height): cells tinted by their sides, contours of one pixel.

    A refused picture carries the reason instead. The grey values are stretched in contrast.
    """
    grey = resized(stretched(pixels), size)
    picture = np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if measurement.mosaic is not None:
        return _with_cells(picture, measurement.mosaic)
    reason = measurement.refusal.reason if measurement.refusal else "no result"
    return _with_reason(picture, f"Not measured: {reason}")


def stretched(pixels: npt.NDArray[np.generic]) -> Picture:
    """Any grey picture as 8 bits with the contrast stretched between two percentiles."""
    values = pixels.astype(np.float32)
    low, high = np.percentile(values[::2, ::2], CONTRAST_PERCENTILES)
    span = max(float(high - low), 1.0)
    shown: Picture = np.clip((values - low) * (255.0 / span) + 0.5, 0, 255).astype(np.uint8)
    return shown


def resized(grey: Picture, size: tuple[int, int] | None) -> Picture:
    if size is None or size == grey.shape[::-1]:
        return grey
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.LANCZOS))


def contour_mask(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """One side of every border between two cells or a cell and the outside: lines of one pixel."""
    mask = np.zeros(labels.shape, dtype=bool)
    mask[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    mask[:-1, :] |= labels[:-1, :] != labels[1:, :]
    return mask


def _with_cells(picture: Picture, mosaic: Mosaic) -> Picture:
    labels = _labels_of_size(mosaic.labels, picture.shape[0], picture.shape[1])
    palette = np.array([colours.PAPER, *(colours.of_sides(int(sides)) for sides in mosaic.sides)], dtype=np.float32)
    inside = labels > 0
    tinted = picture.astype(np.float32)
    tinted[inside] = (1 - TINT) * tinted[inside] + TINT * palette[labels[inside]]
    result = tinted.astype(np.uint8)
    result[contour_mask(labels)] = colours.CONTOUR
    return result


def _labels_of_size(labels: npt.NDArray[np.int32], rows: int, columns: int) -> npt.NDArray[np.int32]:
    row_of = np.arange(rows) * labels.shape[0] // rows
    column_of = np.arange(columns) * labels.shape[1] // columns
    return labels[np.ix_(row_of, column_of)]


def _with_reason(picture: Picture, text: str) -> Picture:
    rows, columns = picture.shape[:2]
    size_px = max(10, columns // 30)
    font = text_font(size_px, bold=True)
    lines = wrapped(text, font, columns - 2 * size_px)
    height = min(rows, round((len(lines) + 1) * size_px * 1.25))
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, rows - height, columns, rows), fill=colours.INK)
    for index, line in enumerate(lines):
        top = rows - height + round((index + 0.5) * size_px * 1.25)
        draw.text((size_px, top), line, font=font, fill=colours.PAPER)
    return np.asarray(image)
