"""Placed captures become one picture: the light blended over the whole overlap, the cells from one capture at a time.

Two bands (after Burt and Adelson 1983, 10.1145/245.247): light is smooth and may be averaged, which hides the seams;
cell borders may not, for an eye moves and a border drawn a pixel apart from two captures would be a ghost.
Captures are placed on whole pixels: nothing is interpolated, and every cell border is a measured one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.filters import FloatImage, Plane
from firmware_app.endothelium.registration import FlatCapture

LIGHT_SIGMA_PX = 24.0
DARK = 0.01  # of full scale: below this there is no light to divide by
FULL_CREDIT_PX = 80.0  # farther than this from its edge a capture is not better still
GAIN_MAX = 4.0

Owners = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """One capture on its place (row, column) of the panorama.

    `image` and `light` are float32 0..1, `merit` is how well it sees each of its pixels, 0 where it does not.
    """

    place: tuple[int, int]
    image: FloatImage
    light: FloatImage
    merit: FloatImage

    @property
    def window(self) -> tuple[slice, slice]:
        """Its pixels in the panorama."""
        (row, column), (rows, columns) = self.place, self.image.shape
        return slice(row, row + rows), slice(column, column + columns)


@dataclass(frozen=True, slots=True, eq=False)
class Stitched:
    """`pixels` (rows, columns) uint8 or uint16, 0 where no capture is; `owner` the sheet shown there, else -1."""

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    bits_stored: int
    owner: Owners


def sheet(pixels: npt.NDArray[np.generic], bits_stored: int, flat: FlatCapture, place: tuple[int, int]) -> Sheet:
    """A capture split into light and merit. Merit is contrast in grey values, sharp and well lit, far from the edge."""
    image: FloatImage = pixels.astype(np.float32) / np.float32(2**bits_stored - 1)
    weight: FloatImage = flat.usable.astype(np.float32)
    margin = int(3 * LIGHT_SIGMA_PX)
    density = np.maximum(Plane(weight, margin).gaussian(LIGHT_SIGMA_PX), np.float32(1e-2))
    light = np.maximum(Plane(image * weight, margin).gaussian(LIGHT_SIGMA_PX) / density, np.float32(DARK))
    # what is finer than a pixel is noise, and more of it makes no capture better
    detail = (Plane(image, 4).gaussian(1.0) - light) * weight
    clarity = np.sqrt(np.maximum(Plane(detail * detail, margin).gaussian(LIGHT_SIGMA_PX), 0.0))
    merit = clarity * edge_credit(image.shape) * weight
    return Sheet(place, image, light.astype(np.float32), (merit + np.float32(1e-9) * weight).astype(np.float32))


def edge_credit(shape: tuple[int, ...]) -> FloatImage:
    """Rising from about 0 at the edges to 1: a cell near an edge may be cut, and is lit worst."""
    rows, columns = (np.minimum(np.arange(size) + 1, size - np.arange(size)) for size in shape)
    distance = np.minimum(rows[:, None], columns[None, :])
    return np.minimum(distance / np.float32(FULL_CREDIT_PX), 1.0).astype(np.float32)


def matched_gains(sheets: Sequence[Sheet]) -> list[float]:
    """By what each capture's light is to be multiplied so that overlaps agree; their geometric mean is 1.

    Least squares over the logarithms of the median ratios, each weighted with its overlap.
    """
    equations, wanted = [np.ones(len(sheets))], [0.0]
    for b, second in enumerate(sheets):
        for a, first in enumerate(sheets[:b]):
            here, there = shared_windows(first, second)
            seen = (first.merit[here] > 0) & (second.merit[there] > 0)
            if np.count_nonzero(seen) < 100:
                continue
            ratio = float(np.median(np.log(first.light[here][seen] / second.light[there][seen])))
            weight = float(np.sqrt(np.count_nonzero(seen)))
            row = np.zeros(len(sheets))
            row[a], row[b] = -weight, weight
            equations.append(row)
            wanted.append(weight * ratio)
    gains = np.linalg.lstsq(np.array(equations), np.array(wanted), rcond=None)[0]
    return [float(gain) for gain in np.clip(np.exp(gains), 1 / GAIN_MAX, GAIN_MAX)]


def shared_windows(first: Sheet, second: Sheet) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The pixels that both cover, as windows of each."""
    low = [max(a, b) for a, b in zip(first.place, second.place, strict=True)]
    high = [
        max(low_edge, min(a + rows, b + others))
        for low_edge, a, rows, b, others in zip(
            low, first.place, first.image.shape, second.place, second.image.shape, strict=True
        )
    ]

    def window(of: Sheet) -> tuple[slice, slice]:
        row, column = of.place
        return slice(low[0] - row, high[0] - row), slice(low[1] - column, high[1] - column)

    return window(first), window(second)


def stitch(sheets: Sequence[Sheet], shape: tuple[int, int], bits_stored: int) -> Stitched:
    """The panorama of this shape: the owner's detail times the light of all, gains matched."""
    best = np.zeros(shape, np.float32)
    owner: Owners = np.full(shape, -1, np.int16)
    detail = np.zeros(shape, np.float32)
    light, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for number, (each, gain) in enumerate(zip(sheets, matched_gains(sheets), strict=True)):
        merit = each.merit * np.float32(gain)
        better = merit > best[each.window]
        best[each.window][better] = merit[better]
        owner[each.window][better] = number
        detail[each.window][better] = (each.image / each.light)[better]
        weight = edge_credit(each.image.shape) ** 2 * (each.merit > 0)
        light[each.window] += weight * each.light * np.float32(gain)
        weights[each.window] += weight
    full = float(2**bits_stored - 1)
    values = np.clip(detail * (light / np.maximum(weights, np.float32(1e-6))), 0.0, 1.0) * full + 0.5
    values[owner < 0] = 0
    pixels = values.astype(np.uint8) if bits_stored <= 8 else values.astype(np.uint16)
    return Stitched(pixels, bits_stored, owner)
