"""Several overlapping captures of one eye as one picture and one measurement, or why that cannot be.

One picture shows 75 to 300 cells, a cornea has hundreds of thousands: the sampling error falls with every cell that is
added, if none is counted twice (Cornea 2020;39:779 asks for 425 cells from about three pictures).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.checks import require_image
from firmware_app.endothelium.measure import measure
from firmware_app.endothelium.morphometry import morphometry
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.placement import Pair, Placement, place
from firmware_app.endothelium.quality import pooled_quality
from firmware_app.endothelium.registration import FlatCapture, Registrar, Shift, flatten
from firmware_app.endothelium.stitching import Owners, sheet, stitch
from firmware_app.endothelium.union import Union, unite
from firmware_app.model import CALCULATION_FAILURE, MEASUREMENT_FAILURE, Measurement, Refusal

CAPTURES_MAX = 16  # 120 pairs
PIXELS_MAX = 12_000_000  # of the panorama: some 300 MB while it is stitched
SIDE_MIN_PX = 64
LEAST_CELLS = 5  # that a single capture gives at least; the union has to have as many as any picture
FIT_WARNING_PX = 2.0
APART_WARNING_PX = 4.0  # a sixth of a usual cell; 1 px where nothing is distorted, 5 on a distorted pair in vivo

Say = Callable[[str], None]


class NoPanorama(ValueError):
    """These captures give no panorama; the text says why, numbering them from 1."""


@dataclass(frozen=True, slots=True, eq=False)
class PanoramaSource:
    """One capture: `pixels` (rows, columns) integers of `bits_stored` bits.

    `expected_px` (row, column) is where the stage had it, in any frame common to all; None where nobody knows.
    """

    pixels: npt.NDArray[np.generic]
    bits_stored: int
    expected_px: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """What became of one capture: `place_px` is its upper left pixel in the panorama, or None with the reason."""

    place_px: tuple[int, int] | None
    cells: int = 0  # that the panorama has from it
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Panorama:
    """`pixels` (rows, columns) uint8 or uint16, 0 where nothing is; `owner` int16 the capture shown there, else -1.

    `owner` and `sources` go by the captures' order as given. The measurement's mosaic has the size of `pixels`.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    bits_stored: int
    owner: Owners
    sources: tuple[SourcePlace, ...]
    shifts: dict[Pair, Shift]
    fit_px: float  # by how much, root mean square, the pairs disagree
    apart_px: float  # how far apart nine of ten cells at most lie in two captures
    measurement: Measurement


def make_panorama(
    sources: Sequence[PanoramaSource],
    um_per_px: float | None = None,
    parameters: Parameters | None = None,
    say: Say = lambda text: None,
) -> Panorama:
    """Register, stitch and measure; `say` is told of every step. Raises `NoPanorama`, or `ValueError` for bad input.

    Captures that share no cells with the others are left out and named; two have to remain.
    """
    used = parameters or Parameters()
    check(sources, used)
    flats = [flatten(source.pixels) for source in sources]
    shifts, reasons = register(sources, flats, say)
    if not shifts:
        raise NoPanorama("; ".join(f"{a + 1} and {b + 1}: {reason}" for (a, b), reason in sorted(reasons.items())))
    placement = place(len(sources), shifts)
    places = {capture: (round(row), round(column)) for capture, (row, column) in sorted(placement.places.items())}
    rows, columns = extent(sources, places)
    say(f"{len(places)} of {len(sources)} captures placed: {columns}x{rows} px, fit {placement.error_px:.1f} px")
    sheets = [sheet(sources[c].pixels, sources[c].bits_stored, flats[c], at) for c, at in places.items()]
    stitched = stitch(sheets, (rows, columns), max(sources[capture].bits_stored for capture in places))
    measured = measure_each(sources, list(places), um_per_px, used, say)
    union = unite([each.mosaic for each in measured], sheets, stitched.owner, used.side_length_min_px)
    told = [SourcePlace(None, 0, left_out(capture, reasons)) for capture in range(len(sources))]
    for (capture, at), cells, measurement in zip(places.items(), union.given, measured, strict=True):
        told[capture] = SourcePlace(at, cells, refusal_of(measurement))
    by_capture = dict(zip(places, measured, strict=True))
    measurement = judged(union, by_capture, um_per_px, used, doubts(told, placement, union))
    numbers = np.array([*places, -1], np.int16)  # the last one is found by the owner -1
    return Panorama(
        stitched.pixels,
        stitched.bits_stored,
        numbers[stitched.owner],
        tuple(told),
        shifts,
        placement.error_px,
        union.apart_px,
        measurement,
    )


def check(sources: Sequence[PanoramaSource], parameters: Parameters) -> None:
    if not 2 <= len(sources) <= CAPTURES_MAX:
        raise NoPanorama(f"a panorama needs 2 to {CAPTURES_MAX} captures, not {len(sources)}")
    side_max = parameters.side_max_px
    for number, source in enumerate(sources, start=1):
        rows, columns = require_image(source.pixels).shape
        if not 1 <= source.bits_stored <= 16:
            raise ValueError(f"capture {number}: bits_stored must be 1..16, not {source.bits_stored}")
        if min(rows, columns) < SIDE_MIN_PX or max(rows, columns) > side_max:
            raise NoPanorama(
                f"capture {number} has {columns}x{rows} px: {SIDE_MIN_PX} to {side_max} px a side are possible"
            )


def register(
    sources: Sequence[PanoramaSource], flats: list[FlatCapture], say: Say
) -> tuple[dict[Pair, Shift], dict[Pair, str]]:
    """The shifts of all pairs that have one, and why the others have none."""
    registrar = Registrar(flats)
    shifts: dict[Pair, Shift] = {}
    reasons: dict[Pair, str] = {}
    for b, second in enumerate(sources):
        for a, first in enumerate(sources[:b]):
            match = registrar.match(a, b, expected_shift(first, second))
            if match.shift is None:
                reasons[a, b] = match.reason
                continue
            shifts[a, b] = match.shift
            say(
                f"{a + 1} and {b + 1} overlap by {100 * match.shift.overlap:.0f} %: shifted by "
                f"{match.shift.columns_px:+.1f} columns and {match.shift.rows_px:+.1f} rows"
            )
    return shifts, reasons


def expected_shift(first: PanoramaSource, second: PanoramaSource) -> tuple[float, float] | None:
    if first.expected_px is None or second.expected_px is None:
        return None
    return second.expected_px[0] - first.expected_px[0], second.expected_px[1] - first.expected_px[1]


def extent(sources: Sequence[PanoramaSource], places: dict[int, tuple[int, int]]) -> tuple[int, int]:
    rows = max(row + sources[capture].pixels.shape[0] for capture, (row, _) in places.items())
    columns = max(column + sources[capture].pixels.shape[1] for capture, (_, column) in places.items())
    if rows * columns > PIXELS_MAX:
        raise NoPanorama(
            f"the panorama would have {columns}x{rows} px: at most {PIXELS_MAX / 1e6:.0f} million are possible"
        )
    return rows, columns


def measure_each(
    sources: Sequence[PanoramaSource],
    placed: Sequence[int],
    um_per_px: float | None,
    parameters: Parameters,
    say: Say,
) -> list[Measurement]:
    """Every placed capture by itself, also with fewer cells than a single picture would need: the union is judged."""
    lenient = replace(parameters, cells_min=min(LEAST_CELLS, parameters.cells_min))
    measured = []
    for capture in placed:
        measured.append(measure(sources[capture].pixels, sources[capture].bits_stored, um_per_px, lenient))
        mosaic = measured[-1].mosaic
        say(
            f"{capture + 1}: {mosaic.n} cells" if mosaic else f"{capture + 1}: not measured, {refusal_of(measured[-1])}"
        )
    return measured


def refusal_of(measurement: Measurement) -> str:
    return measurement.refusal.reason if measurement.refusal else ""


def left_out(capture: int, reasons: dict[Pair, str]) -> str:
    """Why it has no place: the one reason that all its pairs give, or the more telling one."""
    own = sorted({reason for pair, reason in reasons.items() if capture in pair})
    ambiguous = [reason for reason in own if reason.startswith("ambiguous")]
    return (ambiguous or own or ["it overlaps only captures that are left out too"])[0]


def doubts(told: Sequence[SourcePlace], placement: Placement, union: Union) -> tuple[str, ...]:
    warnings = [
        f"capture {number} is left out: {each.reason}"
        for number, each in enumerate(told, start=1)
        if each.place_px is None
    ]
    warnings += [
        f"captures {a + 1} and {b + 1} were placed by the others: their own shift contradicts them"
        for a, b in placement.rejected
    ]
    warnings += [
        f"capture {number} is shown but gives no cells: {each.reason}"
        for number, each in enumerate(told, start=1)
        if each.place_px is not None and each.reason
    ]
    if placement.error_px > FIT_WARNING_PX:
        warnings.append(f"the captures fit to {placement.error_px:.1f} px only: cells at the seams may be missed")
    elif union.apart_px > APART_WARNING_PX:
        warnings.append(
            f"the captures are distorted against each other, cells lie up to {union.apart_px:.0f} px apart: "
            "some at the seams may be missed"
        )
    return tuple(warnings)


def judged(
    union: Union,
    measured: Mapping[int, Measurement],
    um_per_px: float | None,
    parameters: Parameters,
    warnings: tuple[str, ...],
) -> Measurement:
    """Numbers of the union, or a refusal where it has too few cells."""
    quality = pooled_quality({f"capture {c + 1}": each.quality for c, each in measured.items()}, union.given)
    mosaic = union.mosaic
    if mosaic.n == 0:
        reason = "no capture could be measured: " + "; ".join(sorted({refusal_of(each) for each in measured.values()}))
        return Measurement(quality, refusal=Refusal(MEASUREMENT_FAILURE, reason))
    if mosaic.n < parameters.cells_min:
        reason = f"only {mosaic.n} whole cells in all captures: at least {parameters.cells_min} are needed"
        return Measurement(quality, refusal=Refusal(CALCULATION_FAILURE, reason))
    numbers = morphometry(mosaic, um_per_px, parameters)
    return Measurement(quality, mosaic=mosaic, morphometry=replace(numbers, warnings=(*numbers.warnings, *warnings)))
