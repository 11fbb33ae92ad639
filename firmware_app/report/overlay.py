"""The picture with what the numbers rest on: the cells that were counted, the region that was trusted, the guttae."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from firmware_app.model import Measurement, Mosaic
from firmware_app.report import colours
from firmware_app.report.canvas import wrapped
from firmware_app.report.contours import Strength, contour_lines, contour_mask, mask_outline
from firmware_app.report.typeface import text_font

Picture = npt.NDArray[np.uint8]

TINT = 0.28  # enough to tell the classes apart, little enough to judge the cell border under it
HATCH, CASING = 0.75, 0.45
CONTRAST_PERCENTILES = (0.5, 99.5)
CONTOUR_PX, OUTLINE_PX = 1.4, 2.2
DASH_PX, HATCH_PITCH_PX, HATCH_LINE_PX = 7, 7, 2


def draw_overlay(
    pixels: npt.NDArray[np.generic], bits_stored: int, measurement: Measurement, size: tuple[int, int] | None = None
) -> Picture:
    """RGB of the picture's own size, or of `size` (width, height): cells tinted by their sides, with thin contours.

    What was not trusted lies outside a dashed line; guttae are outlined and hatched. A refused picture carries the
    reason instead. The grey values are stretched in contrast.
    """
    grey = resized(stretched(pixels), size)
    picture = np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if measurement.mosaic is not None:
        return with_cells(picture, measurement.mosaic)
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


def with_cells(picture: Picture, mosaic: Mosaic) -> Picture:
    """An RGB picture of any size with the cells, the region and the guttae of a mosaic drawn on it."""
    size = (picture.shape[1], picture.shape[0])
    drawn = _tinted(picture.astype(np.float32), mosaic)
    if mosaic.guttae is not None and mosaic.guttae.any():
        covered = _resized_mask(mosaic.guttae, size)
        drawn = _blended(drawn, covered * _hatching(size) * HATCH, colours.GUTTAE)
        drawn = _outlined(drawn, mosaic.guttae, colours.GUTTAE)
    drawn = _blended(drawn, _contours(mosaic.labels, size), colours.CONTOUR)
    if mosaic.region is not None and not mosaic.region.all():
        drawn = _outlined(drawn, mosaic.region, colours.REGION, _dashes(size))
    return np.rint(drawn).astype(np.uint8)


def _tinted(picture: npt.NDArray[np.float32], mosaic: Mosaic) -> npt.NDArray[np.float32]:
    size = (picture.shape[1], picture.shape[0])
    palette = np.array([(0, 0, 0), *(colours.of_sides(int(sides)) for sides in mosaic.sides)], dtype=np.uint8)
    tints = Image.fromarray(palette[mosaic.labels]).resize(size, Image.Resampling.BILINEAR)
    inside = _resized_mask(mosaic.labels > 0, size)[:, :, np.newaxis]
    tinted: npt.NDArray[np.float32] = picture * (1 - TINT * inside) + TINT * np.asarray(tints, np.float32)
    return tinted


def _blended(
    picture: npt.NDArray[np.float32], strength: Strength, colour: tuple[int, int, int]
) -> npt.NDArray[np.float32]:
    share = strength[:, :, np.newaxis]
    blended: npt.NDArray[np.float32] = picture * (1 - share) + share * np.array(colour, np.float32)
    return blended


def _contours(labels: npt.NDArray[np.int32], size: tuple[int, int]) -> Strength:
    """Not enlarged exactly the borders of the label image: there is no room to smooth them."""
    if size[0] <= labels.shape[1]:
        return contour_mask(_labels_of_size(labels, size)).astype(np.float32)
    return contour_lines(labels, size, CONTOUR_PX)


def _outlined(
    picture: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    colour: tuple[int, int, int],
    pattern: Strength | None = None,
) -> npt.NDArray[np.float32]:
    """The border of a mask, on a darker line that is a little wider: it is seen on white as well."""
    size = (picture.shape[1], picture.shape[0])
    cased = _blended(picture, CASING * mask_outline(mask, size, OUTLINE_PX + 2), colours.INK)
    line = mask_outline(mask, size, OUTLINE_PX)
    return _blended(cased, line if pattern is None else line * pattern, colour)


def _resized_mask(mask: npt.NDArray[np.bool_], size: tuple[int, int]) -> Strength:
    whole = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    shares: Strength = np.asarray(whole, np.float32) / np.float32(255)
    return shares


def _hatching(size: tuple[int, int]) -> Strength:
    rows, columns = np.ogrid[: size[1], : size[0]]
    hatching: Strength = ((rows + columns) % HATCH_PITCH_PX < HATCH_LINE_PX).astype(np.float32)
    return hatching


def _dashes(size: tuple[int, int]) -> Strength:
    """Along any line that is not itself diagonal, as long as its gaps."""
    rows, columns = np.ogrid[: size[1], : size[0]]
    dashes: Strength = ((rows - columns) // DASH_PX % 2 == 0).astype(np.float32)
    return dashes


def _labels_of_size(labels: npt.NDArray[np.int32], size: tuple[int, int]) -> npt.NDArray[np.int32]:
    row_of = np.arange(size[1]) * labels.shape[0] // size[1]
    column_of = np.arange(size[0]) * labels.shape[1] // size[0]
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
