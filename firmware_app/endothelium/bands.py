"""The bands of a specular picture, as in `reflex_geometry`: where their edges are, and what depth each may mean.

Light is averaged along the rows, where only bands remain; an edge is where it changes fastest, which blur does not
move. Two bands of the same width are seen at most, the endothelium's above the front's. Where only one edge is in the
picture, either layer may have it: both readings are given, the likelier first. Cells, a mean brightness that only the
front of the cornea has, and the light that the stroma between the two scatters tell which; the next look decides. A
picture lower than a band may lie inside it: its depth is then known to no more than it takes for an edge to appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.checks import require_image
from firmware_app.endothelium.haar import octaves
from firmware_app.endothelium.reflex_geometry import ReflexGeometry
from firmware_app.endothelium.sharpness import detail_of
from firmware_app.endothelium.thickness import thickness_of

Profile = npt.NDArray[np.float64]

USUAL_APPARENT_UM = 365.0  # of a cornea of 540 um, until it is measured
APPARENT_MAX_UM = 480.0  # of 710 um
THICKNESS_UM = (350.0, 800.0)  # what is not in between is no cornea

SMOOTHING_PX = 4.0
STEP_LEAST = 0.004  # of full scale; the noise of a row's mean is a fortieth of it
STEP_SHARE = 0.3  # of the brighter side: more than cells do to a row, and than any slope of light within a plateau
PLATEAU_PX = (8, 40)  # from the edge, where the light on either side of it is taken
APART_PX = 12
SAME_BAND = 0.08  # two edges whose distance is so near the slit's width are of one band

LIT = 0.1  # of full scale: brighter than halo and stroma together
CELLS_LEAST = 0.045  # detail of a band against its brightness: noise and the front of a cornea are below
FRONT_LEAST = 0.8  # of full scale: brighter than any endothelium
STROMA_SHARE = 0.085  # of the band's light: the stroma leaves more beside an endothelium, the halo less beside a front


@dataclass(frozen=True, slots=True)
class Edge:
    """A step of the light: its height in the picture, the light above and below it (of full scale), and its blur."""

    y_um: float
    above: float
    below: float
    blur_um: float = 0.0  # sigma

    @property
    def is_upper(self) -> bool:
        """Whether it is the upper edge of a band: dark above, lit below."""
        return self.below > self.above

    @property
    def dark_share(self) -> float:
        return max(min(self.above, self.below), 0.0) / max(self.above, self.below)


@dataclass(frozen=True, slots=True)
class DepthReading:
    """By how much the stage is too close to the endothelium, um; `apparent_um` where both layers were seen.

    It is exact where an edge was seen, and not inside a band that is higher than the picture.
    """

    defocus_um: float
    words: str
    apparent_um: float | None = None
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Bands:
    """What one frame says of depth: readings, the likeliest first; none where no band is in the picture."""

    edges: tuple[Edge, ...] = ()
    readings: tuple[DepthReading, ...] = ()

    @property
    def best(self) -> DepthReading | None:
        return self.readings[0] if self.readings else None


@dataclass(frozen=True, slots=True)
class Seen:
    """What else the picture says: whether a band has cells, its brightest and its mean row, how high the picture is."""

    cells: bool
    brightest: float
    mean: float
    half_height_um: float


def row_light(pixels: npt.NDArray[np.generic], bits_stored: int, black_level: float) -> Profile:
    """The mean light of each row as a share of full scale, without the black level."""
    light: Profile = require_image(pixels).mean(axis=1, dtype=np.float64) / (2**bits_stored - 1) - black_level
    return light


def find_bands(pixels: npt.NDArray[np.generic], bits_stored: int, geometry: ReflexGeometry) -> Bands:
    """Edges and depth readings of a 2-D frame of at least 64x64 px; `ValueError` for anything else."""
    light = row_light(pixels, bits_stored, geometry.black_level)
    edges = find_edges(light / falloff(light.size, geometry), geometry.um_per_px)
    lit = pixels[light > 0.5 * float(light.max())] if edges else pixels
    seen = Seen(has_cells(lit), float(light.max()), float(light.mean()), light.size * geometry.um_per_px / 2)
    return Bands(tuple(edges), tuple(readings(edges, geometry, seen)))


def falloff(rows: int, geometry: ReflexGeometry) -> Profile:
    """How the light of a centred reflex falls off along y: what a plateau's slope would shift its edges by."""
    y_um = (rows / 2 - 0.5 - np.arange(rows)) * geometry.um_per_px
    bell: Profile = np.exp(-((y_um / geometry.reflex_radius_um) ** 2))
    return bell * (1 - geometry.vignetting * (y_um / (rows / 2 * geometry.um_per_px)) ** 2)


def find_edges(light: Profile, um_per_px: float) -> list[Edge]:
    """From the top of the picture to its bottom."""
    slope = np.gradient(smoothed(light, SMOOTHING_PX))
    steep = np.abs(slope)
    edges: list[Edge] = []
    taken = np.zeros(light.size, bool)
    crests = np.flatnonzero((steep[1:-1] >= steep[:-2]) & (steep[1:-1] >= steep[2:])) + 1
    for row in crests[np.argsort(-steep[crests])]:
        if not APART_PX <= row < light.size - APART_PX or taken[row]:
            continue
        if steep[row] < STEP_LEAST / (2 * PLATEAU_PX[1]):
            break  # all others are less steep
        above, below = plateau(light, row, -1), plateau(light, row, 1)
        if abs(above - below) < max(STEP_LEAST, STEP_SHARE * max(above, below)):
            continue
        taken[max(row - PLATEAU_PX[1], 0) : row + PLATEAU_PX[1]] = True
        before, here, after = steep[row - 1 : row + 2]
        bend = before - 2 * here + after
        exact = row + (0.5 * (before - after) / bend if bend < 0 else 0.0)
        # A blurred step of height h is steepest with h / (sigma sqrt(2 pi)) a px.
        blur_px = abs(above - below) / (float(here) * 2.507)
        edges.append(Edge((light.size / 2 - 0.5 - exact) * um_per_px, above, below, blur_px * um_per_px))
    return sorted(edges, key=lambda edge: -edge.y_um)


def plateau(light: Profile, row: int, side: int) -> float:
    near, far = PLATEAU_PX
    part = light[max(row - far, 0) : max(row - near, 1)] if side < 0 else light[row + near : row + far]
    return float(np.median(part)) if part.size else float(light[0 if side < 0 else -1])


def smoothed(light: Profile, sigma_px: float) -> Profile:
    """Gaussian, the ends continued."""
    reach = int(4 * sigma_px)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    out: Profile = np.convolve(np.pad(light, reach, mode="edge"), weights / weights.sum(), mode="valid")
    return out


def has_cells(lit: npt.NDArray[np.generic]) -> bool:
    """Whether these rows of a picture show detail beyond noise."""
    rows = lit[12:-12]
    if rows.shape[0] < 32:
        return False
    mean = float(rows.mean())
    return mean > 0 and detail_of(octaves(rows, 4)) / mean > CELLS_LEAST


def readings(edges: list[Edge], geometry: ReflexGeometry, seen: Seen) -> list[DepthReading]:
    """All that the edges can mean, the likeliest first."""
    for upper, lower in pairwise(edges):
        if not upper.is_upper and lower.is_upper:  # the endothelium's lower edge over the front's upper one
            return both_layers(upper, lower, geometry)
    for upper, lower in pairwise(edges):
        width = upper.y_um - lower.y_um
        if upper.is_upper and not lower.is_upper and abs(width / geometry.slit_width_um - 1) < SAME_BAND:
            middle = -(upper.y_um + lower.y_um) / 2 / geometry.shift_per_um
            return layers(middle, "whole band", is_front=not seen.cells)
    if not edges:
        is_inside = seen.mean > LIT and geometry.slit_width_um / 2 > seen.half_height_um
        return layers(0.0, "inside", is_front=not seen.cells, is_exact=False) if is_inside else []
    edge = max(edges, key=lambda each: abs(each.above - each.below))
    defocus = geometry.defocus_of_edge(edge.y_um, upper=edge.is_upper)
    words = f"{'upper' if edge.is_upper else 'lower'} edge"
    return layers(defocus, words, is_front=is_of_front(edge, geometry, seen))


def is_of_front(edge: Edge, geometry: ReflexGeometry, seen: Seen) -> bool:
    """Whether the only edge in the picture is likelier one of the front of the cornea.

    In most places the other reading would have a second edge in the picture: the two bands are at most so far apart.
    """
    farthest_um = APPARENT_MAX_UM * geometry.shift_per_um - geometry.slit_width_um
    if edge.is_upper and edge.y_um < seen.half_height_um - farthest_um:
        return False
    if not edge.is_upper and edge.y_um > farthest_um - seen.half_height_um:
        return True
    if edge.is_upper:
        return not seen.cells and seen.brightest > FRONT_LEAST
    return not seen.cells and edge.dark_share < STROMA_SHARE


def both_layers(back: Edge, front: Edge, geometry: ReflexGeometry) -> list[DepthReading]:
    back_um = geometry.defocus_of_edge(back.y_um, upper=False)
    apparent_um = geometry.defocus_of_edge(front.y_um, upper=True) - back_um
    low, high = THICKNESS_UM
    if 0 < apparent_um < high and low <= thickness_of(apparent_um, geometry.half_angle_deg) <= high:
        return [DepthReading(back_um, "both layers", apparent_um)]
    return layers(back_um, "lower edge", is_front=False)


def layers(defocus_um: float, words: str, *, is_front: bool, is_exact: bool = True) -> list[DepthReading]:
    back = DepthReading(defocus_um, f"{words} of the endothelium's reflex", is_exact=is_exact)
    front_um = defocus_um - USUAL_APPARENT_UM
    front = DepthReading(front_um, f"{words} of the epithelium's reflex", is_exact=is_exact)
    return [front, back] if is_front else [back, front]
