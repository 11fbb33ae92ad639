"""Cells on a pixel grid with exact truth: a mosaic of the simulated eye, turned, scaled, stretched and bent.

The mosaics are the simulator's power diagrams (`hw.sim.mosaic`), a few hundred of them with CV 15 to 58 and HEX from
35 to 75. Each is a torus, so every offset, turn and scale of it is another piece of tissue; a smooth displacement bends
its straight borders as real ones are bent, and in some two neighbours are one cell, which then is not convex.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from hw.sim.mosaic import build_mosaic

Image = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

SIZE_UM = (640.0, 640.0)
DENSITY_PER_MM2 = 1500.0
ROOT_AREA_UM = 1e3 / DENSITY_PER_MM2**0.5
UNITED, UNITED_SHARE_MAX = 0.35, 0.05  # of the pictures have cells that are two in one, and up to so many of them
UNITED_INRADII = 1.6  # medians, both together at most: two usual cells in one would be a giant
TRIES = 12
NEAREST, NEAREST_OF_TWO = 5, 8  # cells looked at around each point
SPACING_TO_ROOT_AREA = 0.93  # rows of cells are this far apart, in roots of the mean area


@dataclass(frozen=True, slots=True, eq=False)
class Tissue:
    """One mosaic as a k-d tree of its lifted seeds: the nearest in (x, y, z) is the owner in the power diagram."""

    tree: cKDTree
    seeds_um: npt.NDArray[np.float64]
    lift_um: npt.NDArray[np.float64]
    inradius_um: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """(rows, columns) each: `cell` id from 0, `border_px` distance to the nearest border, `depth` that distance as a
    share of the deepest point of the cell, `side` a number that stands for the border nearest to the pixel."""

    cell: Ints
    border_px: Image
    depth: Image
    side: Ints
    spacing_px: float


def _mosaic_rows(seed: int) -> npt.NDArray[np.float64] | None:
    """(n, 4): x, y (um), power weight (um2) and inradius (um) of each cell; None where the seed gives no mosaic."""
    rng = np.random.default_rng([7, seed])
    cv = float(np.clip(15 + 30 * rng.beta(1.6, 2.2) / 0.7, 15, 58))
    try:
        mosaic = build_mosaic(seed, cd_per_mm2=DENSITY_PER_MM2, cv_percent=cv, size_um=SIZE_UM)
    except ValueError:
        return None  # cells of such a spread did not fit together
    seeds = mosaic.seeds_um % np.array(SIZE_UM)
    weights = power_weights(seeds, mosaic.cells.beyond, mosaic.cells.vertices, mosaic.sides)
    return np.column_stack([seeds, weights, inradii(_tissue(np.column_stack([seeds, weights, weights])))])


def inradii(tissue: Tissue) -> npt.NDArray[np.float64]:
    """(n,) um: how far the deepest point of each cell is from its border, to a twelfth of a cell."""
    axis = np.arange(0, SIZE_UM[0], ROOT_AREA_UM / 12)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    owner, distance, _ = owners(tissue, points)
    deepest = np.full(len(tissue.seeds_um), ROOT_AREA_UM / 20)
    np.maximum.at(deepest, owner, distance)
    return deepest


def power_weights(
    seeds: npt.NDArray[np.float64],
    beyond: npt.NDArray[np.int64],
    vertices: npt.NDArray[np.float64],
    sides: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """The weights of a power diagram from its polygons: every border says how much its two cells differ.

    A border at distance h from seed i towards seed j, which is D away, means w_i - w_j = 2 h D - D^2.
    """
    n = len(seeds)
    size = np.array(SIZE_UM)
    weights = np.full(n, np.nan)
    weights[0] = 0.0
    waiting = [0]
    while waiting:
        i = waiting.pop()
        for k in range(sides[i]):
            j = beyond[i, k]
            if np.isnan(weights[j]):
                delta = seeds[j] - seeds[i]
                delta -= size * np.round(delta / size)
                distance = float(np.hypot(*delta))
                height = float(vertices[i, k] @ delta) / distance
                weights[j] = weights[i] - (2 * height * distance - distance**2)
                waiting.append(int(j))
    return weights


def load_tissues(count: int, cache: Path, jobs: int) -> list[Tissue]:
    """The first `count` mosaics, built once and kept in `cache` (an .npz); a mosaic takes half a second."""
    if not cache.exists():
        with ProcessPoolExecutor(jobs) as pool:
            built = [rows for rows in pool.map(_mosaic_rows, range(count), chunksize=4) if rows is not None]
        np.savez(cache, *built)
    with np.load(cache) as stored:
        return [_tissue(stored[name]) for name in stored.files]


def _tissue(rows: npt.NDArray[np.float64]) -> Tissue:
    seeds, weights, inradius = rows[:, :2], rows[:, 2], rows[:, 3]
    lifted = np.column_stack([seeds, np.sqrt(weights.max() - weights)])
    return Tissue(cKDTree(lifted, boxsize=[*SIZE_UM, 0.0]), seeds, lifted[:, 2], inradius)


def owners(
    tissue: Tissue, points_um: npt.NDArray[np.float64], partner: Ints | None = None
) -> tuple[Ints, npt.NDArray[np.float64], Ints]:
    """Of each point: its cell, the distance to the nearest border, and the cell beyond that border.

    `partner` (cells,) names the neighbour with which a cell is one, or -1: there is no border between the two. A third
    cell is beyond both half planes then, so it is at least as far away as the farther of them.
    """
    size = np.array(SIZE_UM)
    query = np.column_stack([points_um % size, np.zeros(len(points_um))])
    power, index = tissue.tree.query(query, k=NEAREST if partner is None else NEAREST_OF_TWO)
    owner = index[:, 0]
    distances = half_plane_distances(tissue, owner, power[:, 0] ** 2, index[:, 1:], power[:, 1:] ** 2)
    if partner is not None:
        joined = np.flatnonzero(partner[owner] >= 0)
        other = partner[owner[joined]]
        away = points_um[joined] - tissue.seeds_um[other]
        away -= size * np.round(away / size)
        other_power = (away**2).sum(axis=1) + tissue.lift_um[other] ** 2
        beyond, beyond_power = index[joined, 1:], power[joined, 1:] ** 2
        from_other = half_plane_distances(tissue, other, other_power, beyond, beyond_power)
        farther = np.maximum(distances[joined], from_other)
        distances[joined] = np.where(beyond == other[:, None], np.inf, farther)
    nearest = distances.argmin(axis=1)[:, None]
    beyond = np.take_along_axis(index, nearest + 1, axis=1)[:, 0]
    distance = np.take_along_axis(distances, nearest, axis=1)[:, 0]
    return owner.astype(np.int32), distance, beyond.astype(np.int32)


def half_plane_distances(
    tissue: Tissue,
    cell: npt.NDArray[np.integer],
    power: npt.NDArray[np.float64],
    others: npt.NDArray[np.integer],
    other_powers: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """(points, k) um: how far each point is from the line at which each of `others` takes over from its `cell`.

    `power` (points,) and `other_powers` (points, k) um2 are the power distances of the points.
    """
    size = np.array(SIZE_UM)
    apart = tissue.seeds_um[cell][:, None] - tissue.seeds_um[others]
    apart -= size * np.round(apart / size)
    return np.asarray((other_powers - power[:, None]) / np.maximum(2 * np.hypot(apart[..., 0], apart[..., 1]), 1e-9))


def pair_up(rng: np.random.Generator, cell: Ints, beyond: Ints, inradius_um: npt.NDArray[np.float64]) -> Ints:
    """(cells,) the partner of each cell, or -1: a few pairs of small neighbours among the cells in the picture."""
    partner = np.full(len(inradius_um), -1, np.int32)
    number = max(1, round(rng.uniform(0, UNITED_SHARE_MAX) * len(np.unique(cell))))
    small = UNITED_INRADII * float(np.median(inradius_um))
    for place in rng.permutation(cell.size)[: TRIES * number]:
        a, b = cell[place], beyond[place]
        if partner[a] < 0 and partner[b] < 0 and inradius_um[a] + inradius_um[b] < small:
            partner[a], partner[b] = b, a
            number -= 1
            if not number:
                break
    return partner


def lay(tissue: Tissue, rng: np.random.Generator, side_px: int, spacing_px: float) -> Raster:
    """A square piece of tissue at a random place and turn, its rows of cells about `spacing_px` apart."""
    um_per_px = SPACING_TO_ROOT_AREA * ROOT_AREA_UM / spacing_px
    axis = np.arange(side_px) - (side_px - 1) / 2
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    bent = grid + bend(rng, side_px, spacing_px)
    turn, stretch_turn = rng.uniform(0, 2 * np.pi, 2)
    stretch = np.exp(rng.normal(0, 0.06))
    matrix = turning(turn) @ turning(stretch_turn) @ np.diag([stretch, 1 / stretch]) @ turning(-stretch_turn)
    points = bent.reshape(-1, 2) @ (matrix * um_per_px) + rng.uniform(0, SIZE_UM[0], 2)
    cell, distance, beyond = owners(tissue, points)
    inradius = tissue.inradius_um
    if rng.random() < UNITED:
        partner = pair_up(rng, cell, beyond, inradius)
        cell, distance, beyond = owners(tissue, points, partner)
        first = np.where(partner >= 0, np.minimum(partner, np.arange(len(partner))), np.arange(len(partner)))
        inradius = np.where(partner >= 0, np.maximum(inradius, inradius[partner]), inradius)
        cell, beyond = first[cell].astype(np.int32), first[beyond].astype(np.int32)
    border_px = (distance / um_per_px).reshape(side_px, side_px).astype(np.float32)
    depth = (distance / np.maximum(inradius[cell], 1e-6)).reshape(side_px, side_px)
    side = (np.minimum(cell, beyond) * 73856093 ^ np.maximum(cell, beyond) * 19349663) & 4095
    return Raster(
        cell.reshape(side_px, side_px),
        border_px,
        np.clip(depth, 0, 1).astype(np.float32),
        side.reshape(side_px, side_px),
        spacing_px,
    )


def turning(angle: float) -> npt.NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def bend(rng: np.random.Generator, side_px: int, spacing_px: float) -> npt.NDArray[np.float64]:
    """(side, side, 2) px of smooth displacement: small and short waves curve borders, long ones vary the density."""
    out = np.zeros((side_px, side_px, 2))
    short, long = rng.uniform(0, 0.09) * spacing_px, rng.uniform(0, 0.5) * spacing_px
    for amplitude, length in ((short, rng.uniform(0.35, 0.9) * spacing_px), (long, 3.5 * spacing_px)):
        out += amplitude * smooth_noise(rng, side_px, length, 2)
    return out


def smooth_noise(rng: np.random.Generator, side_px: int, length_px: float, channels: int) -> npt.NDArray[np.float64]:
    """(side, side, channels) of mean 0 and SD about 1, correlated over `length_px`; made on a coarse grid."""
    step = max(length_px / 2.5, 1.0)
    coarse = int(np.ceil(side_px / step)) + 5
    noise = gaussian_filter(rng.standard_normal((coarse, coarse, channels)), (length_px / step, length_px / step, 0))
    noise /= noise.std() + 1e-9
    at = 2 + np.arange(side_px) / step
    rows, columns = np.meshgrid(at, at, indexing="ij")
    return np.stack([map_coordinates(noise[..., c], [rows, columns], order=1) for c in range(channels)], axis=-1)
