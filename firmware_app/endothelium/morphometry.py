"""From a mosaic to the numbers on the report."""

from __future__ import annotations

import numpy as np

from firmware_app.endothelium.parameters import Parameters
from firmware_app.model import Morphometry, Mosaic

SIDES_REPORTED = range(3, 11)


def morphometry(mosaic: Mosaic, um_per_px: float | None, parameters: Parameters) -> Morphometry:
    """The numbers of a mosaic of at least one cell; lengths and densities only with a scale."""
    area = mosaic.area_px
    mean = float(area.mean())
    ringed = mosaic.sides[mosaic.sides > 0]
    sides = {number: int(np.count_nonzero(ringed == number)) for number in SIDES_REPORTED}
    sides[3] += int(np.count_nonzero(ringed < 3))
    sides[10] += int(np.count_nonzero(ringed > 10))
    warnings = []
    if mosaic.n < parameters.cells_for_confidence:
        warnings.append(f"only {mosaic.n} cells: fewer than {parameters.cells_for_confidence}, low confidence")
    hex_percent = None
    if ringed.size >= parameters.ringed_cells_min:
        hex_percent = 100.0 * sides[6] / ringed.size
    else:
        warnings.append(f"only {ringed.size} cells with a complete ring of neighbours: HEX is not given")
    factor = None if um_per_px is None else um_per_px**2
    return Morphometry(
        n=mosaic.n,
        mean_area_px=mean,
        cv_percent=100.0 * float(area.std()) / mean,
        hex_percent=hex_percent,
        n_complete_ring=int(ringed.size),
        sides=sides,
        um_per_px=um_per_px,
        cd_per_mm2=None if factor is None else 1e6 / (mean * factor),
        area_min_um2=None if factor is None else float(area.min()) * factor,
        area_max_um2=None if factor is None else float(area.max()) * factor,
        area_mean_um2=None if factor is None else mean * factor,
        area_sd_um2=None if factor is None else float(area.std()) * factor,
        analysed_area_mm2=None if factor is None else float(area.sum()) * factor * 1e-6,
        warnings=tuple(warnings),
    )
