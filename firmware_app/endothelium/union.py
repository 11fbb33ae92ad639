"""The cells of overlapping captures as one mosaic in which no cell stands twice.

Each capture is measured by itself, so that every cell is outlined in a picture as it came from the camera. A cell that
several captures show is taken from the one that sees it best; the same cell in another capture then lies on it, and is
left out. Captures fit to a pixel or two only, for an eye is not rigid: what that leaves between cells of two captures
is shared out among them, so that they are neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.filters import BoolImage, box_mean
from firmware_app.endothelium.mosaic import build_mosaic
from firmware_app.endothelium.stitching import Owners, Sheet
from firmware_app.model import Mosaic

COVERED_MAX = 0.2  # of a cell: more, and it is one that stands there already, or another view of its place
SAME_MIN = 0.6  # of a cell that is covered by one other: it is the same
APART_PERCENTILE = 90.0
SEAM_PX = 2  # how far apart the cells of two captures may lie and still touch

Labels = npt.NDArray[np.int32]
FlatPixels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Union:
    """`given` is how many cells each capture gave, `apart_px` how far apart nine of ten cells at most lie in two."""

    mosaic: Mosaic
    given: tuple[int, ...]
    apart_px: float


def unite(mosaics: Sequence[Mosaic | None], sheets: Sequence[Sheet], owner: Owners, side_length_min_px: float) -> Union:
    """The mosaic of the panorama. `mosaics` are in the captures' frames, `sheets` say where these lie.

    `region` and `guttae` are taken from the owner of each place; None where no capture has any.
    """
    labels: Labels = np.zeros(owner.shape, np.int32)
    source: Owners = np.full(owner.shape, -1, np.int16)
    given = [0] * len(sheets)
    centres = [(0.0, 0.0)]
    apart = []
    for number, pixels in best_seen_first(mosaics, sheets, owner):
        there = labels.flat[pixels]
        free = pixels[there == 0]
        if free.size < (1 - COVERED_MAX) * pixels.size:
            shared = np.bincount(there)
            shared[0] = 0
            if shared.max() >= SAME_MIN * pixels.size:
                row, column = centre(pixels, owner.shape[1])
                known = centres[int(shared.argmax())]
                apart.append(float(np.hypot(row - known[0], column - known[1])))
            continue
        given[number] += 1
        labels.flat[free] = len(centres)
        source.flat[free] = number
        centres.append(centre(pixels, owner.shape[1]))
    close_seams(labels, source, len(sheets))
    united = build_mosaic(labels, np.arange(len(centres)) > 0, side_length_min_px)
    region = of_owners([None if mosaic is None else mosaic.region for mosaic in mosaics], sheets, owner)
    guttae = of_owners([None if mosaic is None else mosaic.guttae for mosaic in mosaics], sheets, owner)
    mosaic = replace(united, region=region, guttae=guttae)
    return Union(mosaic, tuple(given), float(np.percentile(apart, APART_PERCENTILE)) if apart else 0.0)


def centre(pixels: FlatPixels, columns: int) -> tuple[float, float]:
    return float(np.mean(pixels // columns)), float(np.mean(pixels % columns))


def best_seen_first(
    mosaics: Sequence[Mosaic | None], sheets: Sequence[Sheet], owner: Owners
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """(capture, flat pixels in the panorama) of every cell; first those that lie where their capture is the owner.

    So the captures' territories are filled before their fringes, and seams stay few.
    """
    cells = []
    for number, (mosaic, sheet) in enumerate(zip(mosaics, sheets, strict=True)):
        if mosaic is None or mosaic.n == 0:
            continue
        flat = mosaic.labels.ravel()
        owned = np.bincount(flat, (owner[sheet.window] == number).ravel(), minlength=mosaic.n + 1)[1:]
        share = owned / np.maximum(mosaic.area_px, 1.0)
        cells += [
            (-float(share[cell]), number, pixels) for cell, pixels in enumerate(cell_pixels(mosaic, sheet, owner))
        ]
    cells.sort(key=lambda each: each[:2])
    for _, number, pixels in cells:
        yield number, pixels


def cell_pixels(mosaic: Mosaic, sheet: Sheet, owner: Owners) -> list[FlatPixels]:
    """By cell: its pixels, counted through the rows of the panorama."""
    flat = mosaic.labels.ravel()
    order = np.argsort(flat, kind="stable")
    rows, columns = np.divmod(order, mosaic.labels.shape[1])
    places = (rows + sheet.place[0]) * owner.shape[1] + columns + sheet.place[1]
    ends = np.cumsum(np.bincount(flat, minlength=mosaic.n + 1))
    return np.split(places, ends[:-1])[1:]


def close_seams(labels: Labels, source: Owners, captures: int) -> None:
    """Give the gaps between cells of different captures to the cells beside them, in place."""
    near = np.zeros(labels.shape, np.int16)
    for number in range(captures):
        near += box_mean((source == number).astype(np.float32), SEAM_PX) > 1e-6
    gap: BoolImage = (labels == 0) & (near >= 2)
    for _ in range(SEAM_PX):
        if not gap.any():
            return
        padded = np.pad(labels, 1)
        for other in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
            take = gap & (labels == 0) & (other > 0)
            labels[take] = other[take]


def of_owners(masks: Sequence[BoolImage | None], sheets: Sequence[Sheet], owner: Owners) -> BoolImage | None:
    """One mask of the panorama from those of the captures, each where it is the owner."""
    if all(mask is None for mask in masks):
        return None
    whole = np.zeros(owner.shape, bool)
    for number, (mask, sheet) in enumerate(zip(masks, sheets, strict=True)):
        if mask is not None:
            whole[sheet.window] |= mask & (owner[sheet.window] == number)
    return whole
