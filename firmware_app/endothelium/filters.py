"""Linear filters with mirrored edges.

Boxes are matrix products or cumulative sums, narrow Gaussians go tap by tap, wide ones through the frequency plane.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
BoolImage = npt.NDArray[np.bool_]

# Up to this side a product with a whole matrix beats cumulative sums, whose additions wait for each other: 2x at
# 150x390 px, even at 640x480.
MATRIX_SIDE_MAX_PX = 640
GAUSSIAN_REACH = 3.0  # sigmas
_SMOOTH_PRIMES = (2, 3, 5, 7)


def fast_length(at_least: int) -> int:
    """The smallest length >= `at_least` whose prime factors the FFT handles well."""
    length = max(at_least, 1)
    while True:
        rest = length
        for prime in _SMOOTH_PRIMES:
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


class Plane:
    """An image mirrored at its edges and transformed once; every method is one product and one inverse transform."""

    def __init__(self, image: FloatImage, margin_px: int) -> None:
        self._shape = image.shape
        before = [min(margin_px, size - 1) for size in image.shape]
        total = [fast_length(size + 2 * pad) for size, pad in zip(image.shape, before, strict=True)]
        widths = [(pad, full - size - pad) for pad, full, size in zip(before, total, image.shape, strict=True)]
        padded = np.pad(image, widths, mode="symmetric")
        self._origin = before
        self._padded_shape = padded.shape
        self._transform = np.fft.rfft2(padded)
        self.rows_cycles_px = np.fft.fftfreq(padded.shape[0]).astype(np.float32)[:, None]
        self.columns_cycles_px = np.fft.rfftfreq(padded.shape[1]).astype(np.float32)[None, :]

    def apply(self, transfer: npt.NDArray[np.float32]) -> FloatImage:
        """The image filtered by a real, even transfer function on this plane's frequencies."""
        out = np.fft.irfft2(self._transform * transfer, s=self._padded_shape)
        top, left = self._origin
        return np.ascontiguousarray(out[top : top + self._shape[0], left : left + self._shape[1]], dtype=np.float32)

    def gaussian(self, sigma_px: float) -> FloatImage:
        factor = np.float32(-2 * (np.pi * sigma_px) ** 2)
        return self.apply(np.exp(factor * self.rows_cycles_px**2) * np.exp(factor * self.columns_cycles_px**2))


def box_mean(image: FloatImage, radius_px: int) -> FloatImage:
    """The mean over a square of 2*radius+1 px, edges mirrored."""
    return boxes_mean(image, (radius_px,))


def boxes_mean(image: FloatImage, radii_px: tuple[int, ...]) -> FloatImage:
    """`box_mean` of each radius, one after the other. A radius is cut to the side of the image less one."""
    if max(image.shape) <= MATRIX_SIDE_MAX_PX:
        rows, columns = (boxes_matrix(size, radii_px) for size in image.shape)
        return np.asarray(rows @ image @ columns.T, np.float32)
    for radius_px in radii_px:
        image = running_mean(running_mean(image, radius_px, 0), radius_px, 1)
    return image


@lru_cache(maxsize=64)
def boxes_matrix(size: int, radii_px: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """(size, size): what filtering a line of that many pixels with each of the boxes does."""
    matrix = np.eye(size)
    for radius_px in radii_px:
        radius = min(radius_px, size - 1)
        mirrored = np.pad(np.arange(size), radius, mode="symmetric")
        box = np.zeros((size, size))
        rows = np.repeat(np.arange(size), 2 * radius + 1)
        np.add.at(box, (rows, mirrored[rows + np.tile(np.arange(2 * radius + 1), size)]), 1 / (2 * radius + 1))
        matrix = box @ matrix
    return matrix.astype(np.float32)


def running_mean(image: FloatImage, radius_px: int, axis: int) -> FloatImage:
    """The mean over 2*radius+1 px along one axis, at a cost that does not depend on the radius."""
    size = image.shape[axis]
    radius = min(radius_px, size - 1)
    widths = [(0, 0), (0, 0)]
    widths[axis] = (radius + 1, radius)
    total = np.cumsum(np.pad(image, widths, mode="symmetric"), axis=axis, dtype=np.float64)
    high = np.take(total, np.arange(2 * radius + 1, 2 * radius + 1 + size), axis=axis)
    low = np.take(total, np.arange(size), axis=axis)
    return np.asarray((high - low) / (2 * radius + 1), np.float32)


def narrow_gaussian(image: FloatImage, sigma_px: float) -> FloatImage:
    """The image under a Gaussian of a few px: the cost grows with its width."""
    reach = max(1, round(GAUSSIAN_REACH * sigma_px))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma_px, 1e-6)) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        size = image.shape[axis]
        widths = [(0, 0), (0, 0)]
        widths[axis] = (reach, reach)
        padded = np.pad(image, widths, mode="symmetric")
        parts = (padded[k : k + size] if axis == 0 else padded[:, k : k + size] for k in range(2 * reach + 1))
        image = np.zeros_like(image)
        for tap, part in zip(taps, parts, strict=True):
            image += tap * part
    return image


def halved(image: FloatImage) -> FloatImage:
    """The mean of each two by two pixels; a last odd row or column is left out."""
    rows, columns = (size // 2 * 2 for size in image.shape)
    quarter: FloatImage = image[0:rows:2, 0:columns:2] + image[1:rows:2, 0:columns:2]
    quarter += image[0:rows:2, 1:columns:2]
    quarter += image[1:rows:2, 1:columns:2]
    return quarter * np.float32(0.25)
