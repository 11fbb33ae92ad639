"""How far two captures of one eye are shifted against each other, or that nobody can say.

Phase correlation (Kuglin and Hines 1975; Reddy and Chatterji 1996, 10.1109/83.506761) proposes shifts; whether the
captures really show the same cells there is then judged on the overlap alone, as in Preibisch et al. 2009
(10.1093/bioinformatics/btp184). A mosaic repeats itself nearly, one cell further, and two eyes look alike: a proposal
is believed only where its correlation is far beyond what unrelated mosaics reach by chance, and no second one is near.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.checks import require_image
from firmware_app.endothelium.filters import BoolImage, FloatImage, Plane, box_mean, fast_length

SHADING_SIGMA_PX = 16.0  # what is wider is light, of the camera and not of the eye
NOISE_SIGMA_PX = 1.2  # what is finer is noise
CLIP = 3.0
BLACK_SHARE = 0.03  # of the range of grey values: a black frame around the picture, as in `normalise`
OVERLAP_MIN = 0.08  # of the smaller capture's pixels
PROPOSALS = 12
PEAK_RADIUS_PX = 4
CLIMB_MAX_PX = 3
# Unrelated captures reached 5 sigmas on simulated and annotated images, 9 where both were only haze, and 8 at a
# correlation of 0.34 where the camera has marks of its own, which never shift. The same cells: 45 and more at 20 %
# overlap (simulated), 50 and a correlation of 0.8 on pairs of one donor cornea, 15 and 0.5 on a distorted pair in vivo.
SIGMAS_MIN = 10.0
CORRELATION_MIN = 0.35
CORRELATION_MIN_UNSHIFTED = 0.5
UNSHIFTED_PX = 3.0
RIVAL_SHARE = 0.4  # of the best proposal's sigmas
EXPECTED_WITHIN_PX = 150.0  # the eye wanders by less than this between two captures of a series
APART_PX = 12.0  # nearer than this two proposals are flanks of one peak: a blurred picture has wide ones

Spectrum = npt.NDArray[np.complexfloating]


@dataclass(frozen=True, slots=True, eq=False)
class FlatCapture:
    """A capture without its light: `contrast` (rows, columns) float32 of local mean 0, 0 where not `usable`."""

    contrast: FloatImage
    usable: BoolImage


@dataclass(frozen=True, slots=True)
class Shift:
    """Where the second capture's upper left pixel lies in the first one: +5 columns is five to the right of it.

    `correlation` is that of the two pictures where both are usable (-1..1), `sigmas` how many standard deviations of
    chance that is, `overlap` the share of the smaller capture that both show.
    """

    rows_px: float
    columns_px: float
    correlation: float
    sigmas: float
    overlap: float


@dataclass(frozen=True, slots=True)
class Match:
    """The shift between two captures, or why there is none. `rival` is another shift that is nearly as likely."""

    shift: Shift | None
    reason: str = ""
    rival: Shift | None = None


def flatten(pixels: npt.NDArray[np.generic]) -> FlatCapture:
    """Light and gain taken out of a 2-D integer image; `ValueError` for anything else.

    Divided by the local deviation, so that a corner lit less counts nearly as much; not by less than half the median
    one, so that pure noise does not.
    """
    image = require_image(pixels).astype(np.float32)
    low, high = float(image.min()), float(image.max())
    clipped = (image <= low + BLACK_SHARE * (high - low)) | (image >= high)
    usable = box_mean(clipped.astype(np.float32), 4) < 0.5
    if not usable.any():
        return FlatCapture(np.zeros_like(image), usable)
    weight: FloatImage = usable.astype(np.float32)
    margin = int(3 * SHADING_SIGMA_PX)
    level = np.float32(image[usable].mean())
    density: FloatImage = np.maximum(Plane(weight, margin).gaussian(SHADING_SIGMA_PX), np.float32(1e-2))
    plane = Plane((image - level) * weight, margin)
    detail: FloatImage = (plane.gaussian(NOISE_SIGMA_PX) - plane.gaussian(SHADING_SIGMA_PX) / density) * weight
    variance = Plane(detail * detail, margin).gaussian(SHADING_SIGMA_PX) / density
    deviation = np.sqrt(np.maximum(variance, 0.0))
    floor = 0.5 * float(np.median(deviation[usable]))
    if floor <= 0:
        return FlatCapture(np.zeros_like(image), np.zeros_like(usable))
    contrast = np.clip(detail / (deviation + floor) * 1.5, -CLIP, CLIP)
    return FlatCapture(contrast.astype(np.float32), usable)


class Registrar:
    """Captures flattened and transformed once, so that a pair costs one inverse transform. Sizes may differ."""

    def __init__(self, captures: list[FlatCapture]) -> None:
        self._captures = captures
        largest = np.max([capture.contrast.shape for capture in captures], axis=0)
        # room for every shift without wrapping round
        self._shape = (fast_length(2 * int(largest[0])), fast_length(2 * int(largest[1])))
        self._spectra = [np.fft.rfft2(capture.contrast, s=self._shape) for capture in captures]
        rows = np.fft.fftfreq(self._shape[0]).astype(np.float32)[:, None]
        columns = np.fft.rfftfreq(self._shape[1]).astype(np.float32)[None, :]
        self._low_pass = np.exp(np.float32(-2 * (np.pi * NOISE_SIGMA_PX) ** 2) * (rows**2 + columns**2))

    def match(self, first: int, second: int, expected_px: tuple[float, float] | None = None) -> Match:
        """The shift of capture `second` in the frame of capture `first` (indices into what was given).

        `expected_px` (rows, columns) is where the stage would have it. It only decides between rivals, never whether
        there is a match: the eye moves and the stage does not know.
        """
        a, b = self._captures[first], self._captures[second]
        if not (a.usable.any() and b.usable.any()):
            return Match(None, "one of them is blank")
        independent = self._independent_share(first, second)
        judged = [self._judged(first, second, at, independent) for at in self._proposals(first, second)]
        ranked = distinct(sorted((each for each in judged if each), key=lambda each: -each.sigmas))
        credible = [each for each in ranked if is_credible(each)]
        if not credible:
            return Match(None, "they share no cells: no overlap, another eye, or too blurred")
        best = credible[0]
        rival = next((each for each in credible[1:] if each.sigmas >= RIVAL_SHARE * best.sigmas), None)
        if rival is not None:
            near = [each for each in credible if expected_px and is_near(each, expected_px)]
            if len(near) != 1:
                return Match(None, f"ambiguous: {words(best)} fits, and {words(rival)} nearly as well", rival)
            best = near[0]
        return Match(self._refined(first, second, best), "", rival)

    def _independent_share(self, first: int, second: int) -> float:
        """How many independent samples a pixel is worth, from both spectra.

        The correlation of unrelated fields has the variance sum(R1 R2) / n over their autocorrelations R (Bartlett),
        which Parseval turns into a sum over the product of the power spectra.
        """
        power = [np.abs(self._spectra[index]) ** 2 for index in (first, second)]
        together = float(np.mean(power[0] * power[1], dtype=np.float64))
        apart = float(np.mean(power[0], dtype=np.float64)) * float(np.mean(power[1], dtype=np.float64))
        return apart / together if together > 0 else 0.0

    def _proposals(self, first: int, second: int) -> Iterator[tuple[int, int]]:
        """Whole shifts at the highest peaks of the phase correlation."""
        cross = self._spectra[first] * np.conj(self._spectra[second])
        magnitude = np.abs(cross)
        cross *= self._low_pass / np.maximum(magnitude, 1e-6 * float(magnitude.max()))
        surface = np.fft.irfft2(cross, s=self._shape)
        rows, columns = self._shape
        near = np.arange(-PEAK_RADIUS_PX, PEAK_RADIUS_PX + 1)
        for _ in range(PROPOSALS):
            row, column = divmod(int(np.argmax(surface)), columns)
            surface[np.ix_((row + near) % rows, (column + near) % columns)] = -1.0
            yield row if row <= rows // 2 else row - rows, column if column <= columns // 2 else column - columns

    def _judged(self, first: int, second: int, at: tuple[int, int], independent: float) -> Shift | None:
        """The proposal climbed to the top of the plain correlation near it; None where the overlap is too small."""
        scores: dict[tuple[int, int], tuple[float, int]] = {}

        def score(row: int, column: int) -> float:
            if (row, column) not in scores:
                scores[row, column] = self._correlation(first, second, row, column)
            return scores[row, column][0]

        row, column = at
        for _ in range(CLIMB_MAX_PX):
            around = [(row + r, column + c) for r in (-1, 0, 1) for c in (-1, 0, 1)]
            top = max(around, key=lambda each: score(*each))
            if top == (row, column):
                break
            row, column = top
        correlation, shared = scores[row, column]
        smaller = min(self._captures[index].contrast.size for index in (first, second))
        if shared < OVERLAP_MIN * smaller:
            return None
        sigmas = float(np.arctanh(np.clip(correlation, -0.999, 0.999)) * np.sqrt(shared * independent))
        return Shift(float(row), float(column), correlation, sigmas, shared / smaller)

    def _correlation(self, first: int, second: int, row: int, column: int) -> tuple[float, int]:
        """Of the pixels usable in both where `second` lies at (row, column) of `first`, and how many these are."""
        a, b = self._captures[first], self._captures[second]
        rows = common(a.contrast.shape[0], b.contrast.shape[0], row)
        columns = common(a.contrast.shape[1], b.contrast.shape[1], column)
        in_first, in_second = (rows[0], columns[0]), (rows[1], columns[1])
        here, there = a.contrast[in_first], b.contrast[in_second]
        if here.size == 0:
            return 0.0, 0
        use_here, use_there = a.usable[in_first], b.usable[in_second]
        # contrast is 0 where it is not usable, so only the other one's mask is needed
        energy = float(np.vdot(here * use_there, here)) * float(np.vdot(there * use_here, there))
        both = int(np.count_nonzero(use_here & use_there))
        return (float(np.vdot(here, there)) / energy**0.5 if energy > 0 else 0.0), both

    def _refined(self, first: int, second: int, shift: Shift) -> Shift:
        """Parabolas through the correlation beside its top; 0.1 px on simulated captures."""
        row, column = int(shift.rows_px), int(shift.columns_px)
        top = shift.correlation
        offsets = []
        for r, c in ((1, 0), (0, 1)):
            before = self._correlation(first, second, row - r, column - c)[0]
            after = self._correlation(first, second, row + r, column + c)[0]
            bend = before - 2 * top + after
            offsets.append(float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0)
        return Shift(row + offsets[0], column + offsets[1], top, shift.sigmas, shift.overlap)


def common(first: int, second: int, offset: int) -> tuple[slice, slice]:
    """What two lines of these lengths share, the second one beginning at `offset` of the first: slices of each."""
    begin, end = max(0, offset), min(first, offset + second)
    if end <= begin:
        return slice(0, 0), slice(0, 0)
    return slice(begin, end), slice(begin - offset, end - offset)


def is_credible(shift: Shift) -> bool:
    unshifted = np.hypot(shift.rows_px, shift.columns_px) <= UNSHIFTED_PX
    least = CORRELATION_MIN_UNSHIFTED if unshifted else CORRELATION_MIN
    return shift.sigmas >= SIGMAS_MIN and shift.correlation >= least


def distinct(ranked: list[Shift]) -> list[Shift]:
    """Without those that lie on the flank of a better one."""
    kept: list[Shift] = []
    for each in ranked:
        if all(np.hypot(each.rows_px - other.rows_px, each.columns_px - other.columns_px) > APART_PX for other in kept):
            kept.append(each)
    return kept


def is_near(shift: Shift, expected_px: tuple[float, float]) -> bool:
    return bool(np.hypot(shift.rows_px - expected_px[0], shift.columns_px - expected_px[1]) <= EXPECTED_WITHIN_PX)


def words(shift: Shift) -> str:
    return f"a shift of {shift.columns_px:+.0f} columns and {shift.rows_px:+.0f} rows"
