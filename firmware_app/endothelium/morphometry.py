"""From a mosaic to the numbers on the report."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.intervals import cv_interval, density_interval, share_interval
from firmware_app.endothelium.parameters import Parameters
from firmware_app.model import Method, Morphometry, Mosaic

SIDES_REPORTED = range(3, 11)
AREA_CLASS_UM2 = 100


def morphometry(
    mosaic: Mosaic,
    um_per_px: float | None,
    parameters: Parameters,
    method: Method = Method.AUTOMATIC,
    mean_area_px: float | None = None,
) -> Morphometry:
    """The numbers of a mosaic of at least one cell; lengths and densities only with a scale (um per px).

    `mean_area_px` is for a method whose density is not the reciprocal of the mean of the counted areas: a fixed frame
    divides its own area by the count. ValueError without a cell.
    """
    if mosaic.n == 0:
        raise ValueError("a mosaic without cells has no numbers")
    area = mosaic.area_px
    mean = float(area.mean())
    per_cell = mean if mean_area_px is None else mean_area_px
    ringed = mosaic.sides[mosaic.sides > 0]
    sides = count_by_sides(ringed)
    is_hex_known = ringed.size >= parameters.hex_cells_min
    factor = None if um_per_px is None else um_per_px**2
    density = None if factor is None else 1e6 / (per_cell * factor)
    return Morphometry(
        n=mosaic.n,
        mean_area_px=per_cell,
        cv_percent=100.0 * float(area.std()) / mean,
        hex_percent=100.0 * sides[6] / ringed.size if is_hex_known else None,
        n_complete_ring=int(ringed.size),
        sides=sides,
        um_per_px=um_per_px,
        cd_per_mm2=density,
        area_min_um2=None if factor is None else float(area.min()) * factor,
        area_max_um2=None if factor is None else float(area.max()) * factor,
        area_mean_um2=None if factor is None else mean * factor,
        area_sd_um2=None if factor is None else float(area.std()) * factor,
        analysed_area_mm2=None if factor is None else per_cell * mosaic.n * factor * 1e-6,
        warnings=_warnings(mosaic.n, int(ringed.size), parameters),
        method=method,
        cd_interval=None if density is None else density_interval(area, density),
        cv_interval=cv_interval(area),
        hex_interval=share_interval(sides[6], int(ringed.size)) if is_hex_known else None,
        area_histogram=None if factor is None else area_histogram(area * factor),
        guttae_percent=guttae_percent(mosaic),
    )


def count_by_sides(ringed: npt.NDArray[np.int32]) -> dict[int, int]:
    """How many of these numbers of sides are 3, 4 ... 10; fewer than 3 count as 3, more than 10 as 10."""
    held = np.clip(ringed, SIDES_REPORTED[0], SIDES_REPORTED[-1])
    return {number: int(np.count_nonzero(held == number)) for number in SIDES_REPORTED}


def area_histogram(area_um2: npt.NDArray[np.float64]) -> dict[int, int]:
    """Cells per class of 100 um2, by the class's lower bound in um2; classes without a cell are left out."""
    classes, counts = np.unique(np.floor(area_um2 / AREA_CLASS_UM2).astype(np.int64), return_counts=True)
    return {int(index) * AREA_CLASS_UM2: int(count) for index, count in zip(classes, counts, strict=True)}


def guttae_percent(mosaic: Mosaic) -> float | None:
    """Guttae in percent of the area that can be judged: cells or guttae. None where nobody looked for either."""
    if mosaic.region is None or mosaic.guttae is None:
        return None
    judged = int(np.count_nonzero(mosaic.region | mosaic.guttae))
    return 100.0 * int(np.count_nonzero(mosaic.guttae)) / judged if judged else None


def _warnings(n: int, ringed: int, parameters: Parameters) -> tuple[str, ...]:
    warnings = []
    if n < parameters.cells_for_confidence:
        warnings.append(f"only {n} cells: fewer than {parameters.cells_for_confidence}, low confidence")
    if ringed < parameters.hex_cells_min:
        warnings.append(f"only {ringed} cells with a complete ring of neighbours: HEX is not given")
    return tuple(warnings)
