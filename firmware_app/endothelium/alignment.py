"""Where the cornea faces the instrument, from one frame: how far, and to which side, the stage is off its centre.

Every light in the picture falls off from that point as exp(-(r / radius)^2), so the slope of its logarithm along an
axis tells the distance along that axis, with its sign:

    d ln(light) / dx = 2 (x0 - x) / radius^2

for a reflex with the radius of the reflexes (some 0.4 mm: precise, gone beyond 1 mm), beside the bands with that of the
alignment lamp's halo (1.5 mm: to 3 mm and more). Which of the two made a faint light is told by its strength: a halo
that far off its centre would be darker than what a reflex still sends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.bands import LIT, Bands, Edge, falloff, find_bands, find_edges, row_light
from firmware_app.endothelium.checks import require_image
from firmware_app.endothelium.reflex_geometry import ReflexGeometry

Light = npt.NDArray[np.float64]

CLIPPED = 0.9  # of full scale: the slope of what is overexposed says nothing
CLEAR_OF_EDGE = 2.5  # sigma of its blur
ROWS_LEAST = 60
RIM_PX = 20
DARK = 1e-4  # of full scale: less than the halo 3.6 mm beside the eye
OFFSET_MAX_UM = 4000.0
HALO_TOO_BRIGHT = 3.0
LID_SHARE, NEAR_UM = 0.3, 700.0  # of the halo that has to be there, so near its middle
RIM_LEAST_UM = 500.0  # nearer, a reflex is bright enough to have edges
REFLEX, HALO = "by the reflex", "by the halo"


@dataclass(frozen=True, slots=True)
class ReflexOffset:
    """Where the reflex is, um to the right and up of the middle of the picture: the stage has to go there."""

    x_um: float
    y_um: float
    words: str

    @property
    def distance_um(self) -> float:
        return math.hypot(self.x_um, self.y_um)


def reflex_offset(
    pixels: npt.NDArray[np.generic], bits_stored: int, geometry: ReflexGeometry, bands: Bands | None = None
) -> ReflexOffset | None:
    """None where too little light comes back: no eye, or a lid that is not open. `bands` are this frame's, if found.

    Beside a band the halo tells x only: what the stroma scatters there has a slope of its own along y.
    """
    image = require_image(pixels)
    light = row_light(image, bits_stored, geometry.black_level)
    if float(light.mean()) < DARK:
        return None
    edges = (bands or find_bands(image, bits_stored, geometry)).edges
    if not edges:
        if float(light.mean()) > LIT:
            return offset_in(image, np.arange(light.size), bits_stored, geometry, geometry.reflex_radius_um, REFLEX)
        return offset_by_halo(image, light, bits_stored, geometry)
    limit_um = 2 * geometry.reflex_radius_um  # farther off there would be no edge
    parts = [part for part in between(edges, light.size, geometry.um_per_px) if part.size >= ROWS_LEAST]
    lit = [part for part in parts if float(light[part].mean()) > LIT and float(light[part].max()) < CLIPPED]
    if lit:
        widest = max(lit, key=lambda part: part.size)
        told = offset_in(image, widest, bits_stored, geometry, geometry.reflex_radius_um, REFLEX)
        share = min(1.0, limit_um / max(told.distance_um, 1.0))
        return ReflexOffset(share * told.x_um, share * told.y_um, told.words)
    # Behind a lid that is half open a band is dark too, and yet no halo.
    brightest = max((float(light[part].mean()) for part in parts), default=0.0)
    dark = [part for part in parts if float(light[part].mean()) <= min(LIT, 0.5 * brightest)]
    if not dark:
        return ReflexOffset(0.0, 0.0, "not to be told")
    widest = max(dark, key=lambda part: part.size)
    if float(light[widest].mean()) < LID_SHARE * geometry.halo_level:
        return None
    beside = offset_in(image, widest, bits_stored, geometry, geometry.halo_radius_um, HALO)
    return ReflexOffset(max(-limit_um, min(limit_um, beside.x_um)), 0.0, "by the halo, x only")


def offset_by_halo(
    image: npt.NDArray[np.generic], light: Light, bits_stored: int, geometry: ReflexGeometry
) -> ReflexOffset | None:
    """From a picture without bands; where it is too bright for a halo so far off, its brightness tells how far.

    By its middle half: a band just outside reaches into the picture by its blur.
    """
    middle = np.arange(light.size // 4, light.size - light.size // 4)
    told = offset_in(image, middle, bits_stored, geometry, geometry.halo_radius_um, HALO)
    level = float(light[middle].mean())
    expected = geometry.halo_level * math.exp(-((told.distance_um / geometry.halo_radius_um) ** 2))
    if told.distance_um < NEAR_UM and level < LID_SHARE * expected:
        return None
    if level <= HALO_TOO_BRIGHT * expected or told.distance_um < RIM_LEAST_UM:
        return told
    far = math.sqrt(math.log(max(geometry.halo_level / level, 1.0))) * geometry.halo_radius_um
    share = max(far, RIM_LEAST_UM) / told.distance_um
    return ReflexOffset(share * told.x_um, share * told.y_um, "by the rim of the reflex")


def between(edges: tuple[Edge, ...], rows: int, um_per_px: float) -> list[npt.NDArray[np.intp]]:
    """The rows above, between and below edges, without those that the edges' blur reaches; edges go downwards.

    Nor those at the rim of the picture: an edge that is just leaving it is not among those found.
    """
    bounds = [(0.0, float(RIM_PX))]
    for edge in edges:
        row, reach = rows / 2 - 0.5 - edge.y_um / um_per_px, CLEAR_OF_EDGE * edge.blur_um / um_per_px
        bounds.append((row - reach, row + reach))
    bounds.append((float(rows - RIM_PX), float(rows)))
    return [
        np.arange(max(math.ceil(after), 0), max(min(math.floor(before), rows), 0))
        for (_, after), (before, _) in pairwise(bounds)
    ]


def offset_in(
    image: npt.NDArray[np.generic],
    rows: npt.NDArray[np.intp],
    bits_stored: int,
    geometry: ReflexGeometry,
    radius_um: float,
    words: str,
) -> ReflexOffset:
    """From the slopes of the light in these adjoining rows."""
    part = image[rows[0] : rows[-1] + 1]
    full = 2**bits_stored - 1
    columns = part.mean(axis=0, dtype=np.float64) / full - geometry.black_level
    across = slope_um(columns, geometry.um_per_px)
    heights = (image.shape[0] / 2 - 0.5 - rows) * geometry.um_per_px
    flat = 1.0 - geometry.vignetting * (heights / (image.shape[0] / 2 * geometry.um_per_px)) ** 2
    downwards = (part.mean(axis=1, dtype=np.float64) / full - geometry.black_level) / flat
    up = -slope_um(downwards, geometry.um_per_px)
    half_square = radius_um**2 / 2
    # The slope is that in the middle of the rows, which is where the distance starts.
    x_um, y_um = across * half_square, up * half_square + float(heights.mean())
    far = max(math.hypot(x_um, y_um) / OFFSET_MAX_UM, 1.0)
    return ReflexOffset(x_um / far, y_um / far, words)


def slope_um(light: Light, um_per_px: float) -> float:
    """d ln(light) per um, from the outer thirds; 0 where one of them is dark."""
    third = light.size // 3
    first, last = float(light[:third].mean()), float(light[-third:].mean())
    floor = DARK / 10
    return math.log(max(last, floor) / max(first, floor)) / ((light.size - third) * um_per_px)


def lit_part(pixels: npt.NDArray[np.generic], bits_stored: int, geometry: ReflexGeometry) -> npt.NDArray[np.generic]:
    """The rows of the widest lit band, its edges left out; the whole picture where there is no band."""
    image = require_image(pixels)
    light = row_light(image, bits_stored, geometry.black_level)
    edges = tuple(find_edges(light / falloff(light.size, geometry), geometry.um_per_px))
    lit = [part for part in between(edges, light.size, geometry.um_per_px) if part.size >= ROWS_LEAST]
    lit = [part for part in lit if float(light[part].mean()) > 0.5 * float(light.max())]
    if not edges or not lit:
        return image
    widest = max(lit, key=lambda part: part.size)
    return image[widest[0] : widest[-1] + 1]
