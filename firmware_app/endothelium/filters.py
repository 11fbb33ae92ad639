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

    def ridges(self, sigma_px: float, length_px: float, orientations: int) -> FloatImage:
        """The strongest second derivative across any orientation: positive on dark lines, zero elsewhere.

        `sigma_px` is the width of the line filter across, `length_px` along; scaled so that a dark Gaussian line of
        that width and depth 1 answers about 1.
        """
        best = np.zeros(self._shape, np.float32)
        for angle in np.arange(orientations) * np.pi / orientations:
            across = np.cos(angle) * self.rows_cycles_px + np.sin(angle) * self.columns_cycles_px
            along = -np.sin(angle) * self.rows_cycles_px + np.cos(angle) * self.columns_cycles_px
            decay = np.exp(-2 * np.pi**2 * ((sigma_px * across) ** 2 + (length_px * along) ** 2))
            # -d2/du2 <-> (2 pi u)^2; the minus sign makes dark lines positive. 2^1.5: peak on a matched line.
            gain = np.float32(-(2**1.5) * sigma_px**2 * 4 * np.pi**2)
            np.maximum(best, self.apply((gain * across**2 * decay).astype(np.float32)), out=best)
        return best


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
