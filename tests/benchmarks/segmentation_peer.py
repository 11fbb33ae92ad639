"""The peer: what one writes with scikit-image. Needs requirements-bench.lock."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from skimage.feature import peak_local_max
from skimage.segmentation import clear_border, watershed

CELLS_MIN = 30


def peer_pipeline(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.int32] | None:
    """Spacing from the spectrum, smoothed minima as markers, watershed, refined: labels of the whole cells."""
    image = pixels.astype(np.float32)
    image -= gaussian_filter(image, 20)
    image /= np.sqrt(gaussian_filter(image**2, 20)) + 1e-3
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    power = np.abs(np.fft.fft2(image * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1])[None, :])
    edges = np.geomspace(1 / 80, 1 / 8, 60)
    ring = np.digitize(frequency, edges)
    means = np.bincount(ring.ravel(), power.ravel(), 61) / np.maximum(np.bincount(ring.ravel(), minlength=61), 1)
    tilted = gaussian_filter(means[1:-1] * edges[:-1] ** 1.5, 1.0)  # untilted it locks onto shading
    spacing = 1 / edges[int(np.argmax(tilted))]
    smooth = gaussian_filter(image, 0.20 * spacing)
    peaks = peak_local_max(smooth, min_distance=max(1, int(0.25 * spacing)), exclude_border=False)
    markers = np.zeros(image.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-gaussian_filter(image, 0.10 * spacing), markers).astype(np.int32)
    whole = clear_border(labels)
    return whole if np.unique(whole).size - 1 >= CELLS_MIN else None
