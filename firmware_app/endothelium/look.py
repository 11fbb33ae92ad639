"""One look through the instrument: where the reflex is, how deep the layers lie, what the picture is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.alignment import ReflexOffset, lit_part, reflex_offset
from firmware_app.endothelium.bands import Bands, find_bands, row_light
from firmware_app.endothelium.reflex_geometry import ReflexGeometry
from firmware_app.endothelium.usability import FrameScore, score_frame


@dataclass(frozen=True, slots=True)
class Look:
    """`offset` is None where no light comes back; `score` is that of the lit band alone.

    `level` is the mean light as a share of full scale, without the black level.
    """

    offset: ReflexOffset | None
    bands: Bands
    score: FrameScore
    level: float
    half_height_um: float


def look_at(pixels: npt.NDArray[np.generic], bits_stored: int, geometry: ReflexGeometry) -> Look:
    """Of a 2-D integer frame of at least 64x64 px; `ValueError` for anything else."""
    bands = find_bands(pixels, bits_stored, geometry)
    offset = reflex_offset(pixels, bits_stored, geometry, bands)
    light = row_light(pixels, bits_stored, geometry.black_level)
    return Look(
        offset,
        bands,
        score_reflex(pixels, bits_stored, geometry),
        level=float(light.mean()),
        half_height_um=light.size * geometry.um_per_px / 2,
    )


def score_reflex(pixels: npt.NDArray[np.generic], bits_stored: int, geometry: ReflexGeometry | None) -> FrameScore:
    """As `score_frame`, of the lit band: its edges are sharp detail in one direction, as a smear is."""
    return score_frame(pixels if geometry is None else lit_part(pixels, bits_stored, geometry), bits_stored)
