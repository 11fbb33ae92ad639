"""The scale of a picture of a calibration target: ruled lines, a grid of lines, or dots in a square grid.

A periodic target is a few peaks in the spectrum, and its pitch is where the fundamental lies. The peak's bin is only
the start: the picture is demodulated with it, and the phase that is left, which every light, blur and contrast leaves
alone, is fitted with a plane over the whole field. That gives the frequency to a few thousandths of a bin, and its
uncertainty from the residuals of patches that do not overlap.

With frequencies f1, f2 (cycles/px, as rows of F), pitch p and a camera turned by R whose pixels are sx by sy,
F = R diag(sx, sy) / p: the columns of F have the lengths sx / p and sy / p whatever the turn is. Ruled lines have only
f1, so that sx = sy has to be believed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.checks import require_image

Pattern = Literal["lines", "grid", "dots"]
FloatArray = npt.NDArray[np.floating[Any]]
ComplexArray = npt.NDArray[np.complexfloating[Any, Any]]

PERIODS_MIN = 8.0  # in the shorter side of the picture; fewer are not worth calibrating with
PERIOD_MIN_PX = 2.5  # nearer to Nyquist a line may be its own alias
# Between the strongest peak and what half of the spectrum stays below. Noise alone reaches 5, an empty field 6.
CLEAR_PEAK = 12.0
SUBHARMONIC_SHARE = 0.2  # of the strongest peak: what is weaker below it is dirt and not the fundamental
SIDE_ANGLE_DEG = 20.0  # how far from square the two directions of a grid may seem
SIDE_RATIO = 1.35  # how different their pitches may seem, in px
NOMINAL_RATIO = 1.5  # how wrong the nominal scale may be when it chooses the peak
BAND_SHARE = 1 / 6  # of the frequency: width of the band that is demodulated (Gaussian sigma)
PATCH_SIGMAS = 3.0  # patches so far apart share no noise
MARGIN_SIGMAS = 3.0
PATCHES_MIN = 9
OUTLIER_SIGMAS = 4.0
# Twice the standard error would be 95 % if the patches were independent and the camera's pixels points. On rendered
# targets errors went up to 1.9 times that; three times covers them.
COVERAGE = 3.0
ANISOTROPY_MAX_PERCENT = 2.0
SKEW_MAX_DEG = 0.5  # beyond it the target was tilted, or is not square


class NoTarget(Exception):
    """The picture shows no target that could be measured; the text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class TargetScale:
    """What one picture of a target says. `frequencies` (1 or 2, 2) are in cycles/px along x (columns) and y (rows).

    `uncertainty_percent` is that of 95 % from this picture alone, without the target's own. `anisotropy_percent` is how
    much longer a pixel is along y than along x, `skew_deg` how far from square the target seems; None for ruled lines.
    `ripple_px` is how far the pattern is from a perfect one (rms): distortion, dirt and noise together.
    """

    um_per_px: float
    uncertainty_percent: float
    rotation_deg: float
    frequencies: FloatArray
    ripple_px: float
    anisotropy_percent: float | None = None
    skew_deg: float | None = None


def measure_target(
    pixels: npt.NDArray[np.generic], pitch_um: float, pattern: Pattern, nominal_um_per_px: float = 0.0
) -> TargetScale:
    """The scale of a 2-D picture of a target with this pitch. Raises `NoTarget`, `ValueError` for a bad pitch.

    The nominal scale, where there is one, tells the fundamental from its harmonics; it does not enter the result.
    """
    if not 0 < pitch_um < float("inf"):
        raise ValueError(f"pitch_um must be above 0, not {pitch_um}")
    image = require_image(pixels).astype(np.float64)
    image -= image.mean()
    coarse = _coarse(image, pattern, nominal_um_per_px / pitch_um)
    fits = [_fit(image, frequency) for frequency in coarse]
    if pattern == "lines":
        return _of_lines(fits[0], pitch_um)
    return _of_grid(fits, pitch_um)


def pattern_phases(pixels: npt.NDArray[np.generic], frequencies: FloatArray) -> FloatArray:
    """The phase of each direction of the pattern in cycles, as seen from the picture's middle."""
    image = require_image(pixels).astype(np.float64)
    window = _hann(image.shape)
    image = (image - float((image * window).sum() / window.sum())) * window
    y, x = _centred(image.shape)
    sums = [(np.exp(-2j * np.pi * fy * y) @ image) @ np.exp(-2j * np.pi * fx * x) for fx, fy in frequencies]
    return np.asarray(np.angle(np.array(sums)) / (2 * np.pi))


def pattern_shift(
    before: FloatArray, after: FloatArray, frequencies: FloatArray, expected_px: FloatArray
) -> FloatArray:
    """How far (x, y in px) the pattern went between two pictures, given their `pattern_phases`.

    A pattern that moved by its pitch looks the same: of all shifts the one nearest to `expected_px` is meant. Ruled
    lines show only the part across them.
    """
    cycles = before - after  # a shift d changes the phase by -f.d
    expected = frequencies @ expected_px
    cycles = expected + (cycles - expected - np.round(cycles - expected))
    shift: FloatArray = np.linalg.pinv(frequencies) @ cycles
    return shift


# ------------------------------------------------------------------------------------------------ coarse


def _coarse(image: FloatArray, pattern: Pattern, expected: float) -> list[FloatArray]:
    """One frequency for lines, two for a grid, to a tenth of a bin. `expected` (cycles/px) is 0 if unknown."""
    power, axes = _spectrum(image)
    shortest = min(image.shape)
    radius = np.hypot(*np.meshgrid(axes[1], axes[0]))
    allowed = visible = (radius >= PERIODS_MIN / shortest) & (radius <= 1 / PERIOD_MIN_PX)
    if expected:
        allowed = visible & (radius > expected / NOMINAL_RATIO) & (radius < expected * NOMINAL_RATIO)
    if not allowed.any():
        raise NoTarget("the pitch and the nominal scale leave no period that could be seen in a picture of this size")
    noise = float(np.median(power[radius > PERIODS_MIN / shortest]))
    first = _strongest(power, axes, allowed)
    if not expected:
        first = _fundamental(power, axes, first, PERIODS_MIN / shortest)
    elif _power_at(power, axes, first) < SUBHARMONIC_SHARE * float(power[visible].max()):
        found_px = 1 / float(np.hypot(*_strongest(power, axes, visible)))
        raise NoTarget(
            f"the strongest period is {found_px:.1f} px, and with this pitch and the nominal scale it would be "
            f"{1 / expected:.1f} px: is it the target that was named?"
        )
    _require_clear(power, axes, first, noise, "no periodic target is seen")
    if pattern == "lines":
        return [first]
    second = _strongest(power, axes, allowed & _beside(axes, first))
    one_way = "only lines of one direction are seen, not a grid"
    _require_clear(power, axes, second, noise, one_way)
    if _power_at(power, axes, second) < SUBHARMONIC_SHARE * _power_at(power, axes, first):
        raise NoTarget(one_way)
    # The one that runs along x first, both pointing to the right and down: a turn is then the smaller one of two.
    across, down = sorted((first, second), key=lambda f: abs(float(f[1])))
    return [across if across[0] >= 0 else -across, down if down[1] >= 0 else -down]


def _spectrum(image: FloatArray) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    spectrum = np.abs(np.fft.rfft2(image * _hann(image.shape)))
    return spectrum, (np.fft.fftfreq(image.shape[0]), np.fft.rfftfreq(image.shape[1]))


def _strongest(power: FloatArray, axes: tuple[FloatArray, FloatArray], allowed: npt.NDArray[np.bool_]) -> FloatArray:
    if not allowed.any():
        raise NoTarget("only lines of one direction are seen, not a grid")
    row, column = np.unravel_index(int(np.argmax(np.where(allowed, power, 0.0))), power.shape)
    return _between_bins(power, axes, int(row), int(column))


def _between_bins(power: FloatArray, axes: tuple[FloatArray, FloatArray], row: int, column: int) -> FloatArray:
    """A parabola through the logarithms of the neighbours, which fits a Hann window's peak to a hundredth of a bin."""
    rows, columns = power.shape
    log = np.log(np.maximum(power, 1e-300))

    def vertex(low: float, mid: float, high: float) -> float:
        curvature = low - 2 * mid + high
        return 0.0 if curvature >= 0 else float(np.clip(0.5 * (low - high) / curvature, -0.5, 0.5))

    dy = vertex(log[(row - 1) % rows, column], log[row, column], log[(row + 1) % rows, column])
    # To the left of column 0 stands the mirrored spectrum.
    left = log[row, column - 1] if column else log[(-row) % rows, 1]
    right = log[row, column + 1] if column + 1 < columns else log[(-row) % rows, columns - 2]
    dx = vertex(float(left), float(log[row, column]), float(right))
    step_y, step_x = axes[0][1], axes[1][1]
    return np.array([axes[1][column] + dx * step_x, axes[0][row] + dy * step_y])


def _fundamental(
    power: FloatArray, axes: tuple[FloatArray, FloatArray], strongest: FloatArray, lowest: float
) -> FloatArray:
    """A ruling with thin lines may have a harmonic that is stronger than itself."""
    for divisor in (4, 3, 2):
        lower = strongest / divisor
        if np.hypot(*lower) >= lowest and _power_at(power, axes, lower) > SUBHARMONIC_SHARE * _power_at(
            power, axes, strongest
        ):
            return _between_bins(power, axes, *_bin_of(power, axes, lower))
    return strongest


def _bin_of(power: FloatArray, axes: tuple[FloatArray, FloatArray], frequency: FloatArray) -> tuple[int, int]:
    """The strongest bin within one of this frequency."""
    rows, columns = power.shape
    fx, fy = frequency if frequency[0] >= 0 else -frequency
    row, column = round(fy / axes[0][1]), round(fx / axes[1][1])
    near = [((row + i) % rows, min(max(column + j, 0), columns - 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return max(near, key=lambda place: float(power[place]))


def _power_at(power: FloatArray, axes: tuple[FloatArray, FloatArray], frequency: FloatArray) -> float:
    return float(power[_bin_of(power, axes, frequency)])


def _beside(axes: tuple[FloatArray, FloatArray], first: FloatArray) -> npt.NDArray[np.bool_]:
    """Where the second direction of a grid may be: square to the first, give or take."""
    fx, fy = np.meshgrid(axes[1], axes[0])
    length = np.hypot(fx, fy)
    size = float(np.hypot(*first))
    along = np.abs(fx * first[0] + fy * first[1]) / np.maximum(length * size, 1e-12)
    near_square = along < np.sin(np.deg2rad(SIDE_ANGLE_DEG))
    return np.asarray(near_square & (length < SIDE_RATIO * size) & (length > size / SIDE_RATIO))


def _require_clear(
    power: FloatArray, axes: tuple[FloatArray, FloatArray], frequency: FloatArray, noise: float, words: str
) -> None:
    ratio = _power_at(power, axes, frequency) / max(noise, 1e-12)
    if ratio < CLEAR_PEAK:
        raise NoTarget(f"{words}: the strongest period is {ratio:.0f} times the rest, {CLEAR_PEAK:g} are needed")


# ------------------------------------------------------------------------------------------------ fine


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """A frequency with the covariance of its components, and how far the phase is from a plane (cycles rms)."""

    frequency: FloatArray
    covariance: FloatArray
    ripple_cycles: float


def _fit(image: FloatArray, start: FloatArray) -> _Fit:
    """The plane of the phase that is left after demodulation, over patches that share no noise."""
    frequency = start
    fitted = _plane(image, frequency)
    for _ in range(2):  # the first plane moves the band to where the pattern is
        frequency = frequency + fitted.frequency
        fitted = _plane(image, frequency)
    return _Fit(frequency + fitted.frequency, fitted.covariance, fitted.ripple_cycles)


def _plane(image: FloatArray, frequency: FloatArray) -> _Fit:
    """As `_Fit`, its frequency being what is missing from `frequency`."""
    period_px = 1 / float(np.hypot(*frequency))
    sigma_px = period_px / (2 * np.pi * BAND_SHARE)
    band = _demodulated(image, frequency, BAND_SHARE / period_px)
    step, margin = round(PATCH_SIGMAS * sigma_px) or 1, round(MARGIN_SIGMAS * sigma_px)
    rows, columns = (np.arange(margin, side - margin, step) for side in image.shape)
    if rows.size * columns.size < PATCHES_MIN or min(rows.size, columns.size) < 2:  # a single row has no slope
        size = f"{image.shape[1]}x{image.shape[0]} px"
        raise NoTarget(f"a period of {period_px:.0f} px is too long for a picture of {size}: take a finer target")
    y, x = _centred(image.shape)
    patches = band[np.ix_(rows, columns)]
    place_y, place_x = np.meshgrid(y[rows], x[columns], indexing="ij")
    level = np.angle(np.sum(patches))
    phase = np.angle(patches * np.exp(-1j * level)) / (2 * np.pi)
    design = np.stack([np.ones(phase.size), place_x.ravel(), place_y.ravel()], axis=1)
    return _least_squares(design, phase.ravel(), np.abs(patches).ravel() ** 2)


def _least_squares(design: FloatArray, phase: FloatArray, weight: FloatArray) -> _Fit:
    """Weighted by the patches' power, without those that are far off: dirt, scratches, a number on the target."""
    weight = weight / weight.mean()
    for last in (False, False, True):
        inverse = np.linalg.inv(design.T @ (weight[:, None] * design))
        solution = inverse @ (design.T @ (weight * phase))
        residual = phase - design @ solution
        spread = math.sqrt(float(np.sum(weight * residual**2)) / float(np.sum(weight)))
        near = np.abs(residual) <= max(OUTLIER_SIGMAS * spread, 1e-6)
        if last or near.all() or np.count_nonzero(near) < PATCHES_MIN:
            break
        weight = weight * near
    used = int(np.count_nonzero(weight))
    variance = spread**2 * used / max(used - 3, 1)
    covariance = variance * (inverse @ (design.T @ ((weight**2)[:, None] * design)) @ inverse)
    return _Fit(solution[1:], covariance[1:, 1:], spread)


def _demodulated(image: FloatArray, frequency: FloatArray, sigma: float) -> ComplexArray:
    """The picture's band around a frequency, moved to 0."""
    fy, fx = np.fft.fftfreq(image.shape[0]), np.fft.fftfreq(image.shape[1])
    band = np.exp(-((fy - frequency[1]) ** 2) / (2 * sigma**2))[:, None] * np.exp(
        -((fx - frequency[0]) ** 2) / (2 * sigma**2)
    )
    y, x = _centred(image.shape)
    carrier = np.exp(-2j * np.pi * frequency[1] * y)[:, None] * np.exp(-2j * np.pi * frequency[0] * x)
    return np.asarray(np.fft.ifft2(np.fft.fft2(image) * band) * carrier)


def _hann(shape: tuple[int, ...]) -> FloatArray:
    rows, columns = (np.hanning(side + 2)[1:-1] for side in shape)
    return np.asarray(rows[:, None] * columns)


def _centred(shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Row and column of each pixel from the picture's middle."""
    rows, columns = shape
    return np.arange(rows, dtype=np.float64) - (rows - 1) / 2, np.arange(columns, dtype=np.float64) - (columns - 1) / 2


# ------------------------------------------------------------------------------------------------ scale


def _of_lines(fit: _Fit, pitch_um: float) -> TargetScale:
    size = float(np.hypot(*fit.frequency))
    direction = fit.frequency / size
    error = float(np.sqrt(direction @ fit.covariance @ direction)) / size
    angle = float(np.rad2deg(np.arctan2(fit.frequency[1], fit.frequency[0])))
    return TargetScale(
        um_per_px=pitch_um * size,
        uncertainty_percent=100 * COVERAGE * error,
        rotation_deg=(angle + 90) % 180 - 90,
        frequencies=fit.frequency[None, :],
        ripple_px=fit.ripple_cycles / size,
    )


def _of_grid(fits: list[_Fit], pitch_um: float) -> TargetScale:
    frequencies = np.stack([fit.frequency for fit in fits])
    along_x, along_y = (float(np.hypot(*frequencies[:, axis])) for axis in (0, 1))
    cosine = float(frequencies[:, 0] @ frequencies[:, 1]) / (along_x * along_y)
    skew_deg = float(np.rad2deg(np.arcsin(np.clip(cosine, -1, 1))))
    if abs(skew_deg) > SKEW_MAX_DEG:
        raise NoTarget(f"the grid is {abs(skew_deg):.2f} degrees from square: is the target tilted?")
    anisotropy_percent = 100 * (along_y / along_x - 1)
    if abs(anisotropy_percent) > ANISOTROPY_MAX_PERCENT:
        raise NoTarget(
            f"the pixels seem to be {abs(anisotropy_percent):.1f} % from square, and one scale cannot say so: "
            "is the target tilted?"
        )
    # The relative error of a column's length, and of the geometric mean of both.
    errors = [
        float(np.sqrt(sum(fit.frequency[a] ** 2 * fit.covariance[a, a] for fit in fits))) / length**2
        for a, length in ((0, along_x), (1, along_y))
    ]
    mean = (along_x * along_y) ** 0.5
    return TargetScale(
        um_per_px=pitch_um * mean,
        uncertainty_percent=100 * COVERAGE * 0.5 * math.hypot(*errors),
        rotation_deg=float(np.rad2deg(np.arctan2(frequencies[0, 1], frequencies[0, 0]))),
        frequencies=frequencies,
        ripple_px=max(fit.ripple_cycles for fit in fits) / mean,
        anisotropy_percent=anisotropy_percent,
        skew_deg=skew_deg,
    )
