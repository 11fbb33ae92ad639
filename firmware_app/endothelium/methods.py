"""Numbers or a refusal for cells that somebody counted by hand: what is common to every method."""

from __future__ import annotations

from firmware_app.endothelium.morphometry import morphometry
from firmware_app.endothelium.parameters import Parameters
from firmware_app.model import CALCULATION_FAILURE, Measurement, Method, Mosaic, Quality, Refusal


def decide_by_count(
    mosaic: Mosaic,
    quality: Quality,
    um_per_px: float | None,
    method: Method,
    parameters: Parameters,
    *,
    mean_area_px: float | None = None,
    what: str = "cells",
) -> Measurement:
    """Numbers of at least 30 cells (Cornea 2017, 28834820), a refusal below; below 75 the numbers carry a warning.

    `mean_area_px` as in `morphometry`; `what` names in the plural what there is too little of.
    """
    if um_per_px is not None and not 0 < um_per_px < float("inf"):
        raise ValueError(f"um_per_px must be positive, not {um_per_px}")
    if mosaic.n < parameters.cells_min:
        reason = f"only {mosaic.n} {what}: at least {parameters.cells_min} are needed"
        return Measurement(quality, refusal=Refusal(CALCULATION_FAILURE, reason))
    numbers = morphometry(mosaic, um_per_px, parameters, method, mean_area_px)
    return Measurement(quality, mosaic=mosaic, morphometry=numbers)


def measure_edited(
    mosaic: Mosaic, quality: Quality, um_per_px: float | None = None, parameters: Parameters | None = None
) -> Measurement:
    """The numbers of cells that were edited by hand.

    A refusal keeps the mosaic: whoever edits may be about to add the cells that are missing.
    """
    decided = decide_by_count(mosaic, quality, um_per_px, Method.MANUAL, parameters or Parameters())
    return Measurement(quality, mosaic, decided.morphometry, decided.refusal)
