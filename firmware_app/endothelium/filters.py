"""Linear filters as products in the frequency plane, all on one padded transform of the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
BoolImage = npt.NDArray[np.bool_]

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
    """The mean over a square of 2*radius+1 px, edges mirrored, by cumulative sums (cost independent of the radius)."""
    out = image
    for axis in (0, 1):
        radius = min(radius_px, out.shape[axis] - 1)
        widths = [(0, 0), (0, 0)]
        widths[axis] = (radius + 1, radius)
        total = np.cumsum(np.pad(out, widths, mode="symmetric"), axis=axis, dtype=np.float64)
        size = out.shape[axis]
        high = np.take(total, np.arange(2 * radius + 1, 2 * radius + 1 + size), axis=axis)
        low = np.take(total, np.arange(size), axis=axis)
        out = ((high - low) / (2 * radius + 1)).astype(np.float32)
    return out
