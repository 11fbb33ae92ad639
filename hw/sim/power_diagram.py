"""Power diagrams (weighted Voronoi diagrams) on a torus, as exact polygons, numpy only.

Every cell starts as a square around its seed and is clipped by the bisector with each of its nearest neighbours; all
cells take one bisector at a time, so a diagram of 600 cells costs a few milliseconds. Coordinates are um, x to the
right and y down. On a torus the cells cover the domain exactly once and have six sides on average (Euler).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEIGHBOURS = 32  # bisectors tried per cell; `power_cells` checks that no further one could reach the cell
MAX_VERTICES = 24  # a cell has 3..14 sides; between two clips it may hold two more
NEWTON_STEPS = 10  # 3 or 4 are used
CONJUGATE_STEPS = 300  # 40 to 80 are used


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Convex polygons, padded: vertex k < sides[i] of cell i is at `seeds[i] + vertices[i, k]` (mod the domain).

    The edge from vertex k to the next one is shared with cell `beyond[i, k]`.
    """

    vertices: Floats  # (n, MAX_VERTICES, 2) um, relative to the seed
    sides: Ints  # (n,)
    beyond: Ints  # (n, MAX_VERTICES)

    def areas_and_centroids(self) -> tuple[Floats, Floats]:
        """Area (um2) and centroid (um, relative to the seed) of each polygon, by the shoelace formula."""
        slot = np.arange(self.vertices.shape[1])
        valid = slot < self.sides[:, None]
        following = np.where(slot + 1 < self.sides[:, None], slot + 1, 0)
        here = self.vertices
        there = here[np.arange(self.sides.size)[:, None], following]
        cross = np.where(valid, here[..., 0] * there[..., 1] - there[..., 0] * here[..., 1], 0.0)
        area = cross.sum(axis=1) / 2.0
        moment = ((here + there) * cross[..., None]).sum(axis=1) / 6.0
        return area, moment / np.where(area > 0.0, area, 1.0)[:, None]


def wrapped(delta: Floats, size_um: Floats) -> Floats:
    """The shortest representative of a difference on the torus."""
    return delta - size_um * np.round(delta / size_um)


def bisector_distances(seeds: Floats, weights: Floats, size_um: Floats) -> Floats:
    """(n, n) signed distance from each seed to its bisector with each other seed; infinite on the diagonal."""
    dx = wrapped(seeds[None, :, 0] - seeds[:, None, 0], size_um[0])
    dy = wrapped(seeds[None, :, 1] - seeds[:, None, 1], size_um[1])
    squared = dx * dx + dy * dy
    np.fill_diagonal(squared, 1.0)
    distance: Floats = (squared + weights[:, None] - weights[None, :]) / (2.0 * np.sqrt(squared))
    np.fill_diagonal(distance, np.inf)
    return distance


def nearest_bisectors(seeds: Floats, weights: Floats, size_um: Floats) -> Ints:
    """(n, NEIGHBOURS) the cells whose bisectors pass closest to each seed, closest first."""
    distance = bisector_distances(seeds, weights, size_um)
    count = min(NEIGHBOURS, seeds.shape[0] - 1)
    candidates = np.argpartition(distance, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(distance, candidates, axis=1), axis=1)
    return np.take_along_axis(candidates, order, axis=1)


def power_cells(seeds: Floats, weights: Floats, size_um: Floats, neighbours: Ints) -> Cells:
    """The cells |p - seed|^2 - weight <= that of every listed neighbour; one that vanished has 0 sides."""
    n = seeds.shape[0]
    reach = 4.0 * float(np.sqrt(size_um.prod() / n))
    if 2.0 * reach > size_um.min():
        raise ValueError(f"{n} cells are too few for a torus of {size_um[0]:g} x {size_um[1]:g} um")
    vertices = np.zeros((n, MAX_VERTICES, 2))
    vertices[:, :4] = np.array([[-reach, -reach], [reach, -reach], [reach, reach], [-reach, reach]])
    sides = np.full(n, 4)
    beyond = np.full((n, MAX_VERTICES), -1)
    radius = np.full(n, np.sqrt(2.0) * reach)
    for k in range(neighbours.shape[1]):
        other = neighbours[:, k]
        normal = wrapped(seeds[other] - seeds, size_um)
        squared = (normal * normal).sum(axis=1)
        offset = (squared + weights - weights[other]) / 2.0
        # Most bisectors beyond the first dozen pass outside the corners of a cell: nothing to cut there.
        rows = np.flatnonzero(offset < radius * np.sqrt(squared))
        if rows.size:
            part = _clip(vertices[rows], sides[rows], beyond[rows], normal[rows], offset[rows], other[rows])
            vertices[rows], sides[rows], beyond[rows] = part
            valid = np.arange(MAX_VERTICES) < sides[rows, None]
            radius[rows] = np.where(valid, np.hypot(vertices[rows, :, 0], vertices[rows, :, 1]), 0.0).max(axis=1)
    return Cells(vertices, sides, beyond)


def check_complete(cells: Cells, seeds: Floats, weights: Floats, size_um: Floats) -> None:
    """ArithmeticError unless no cell vanished and no bisector that was not tried reaches into one: it is then exact."""
    if int(cells.sides.min()) < 3:
        raise ArithmeticError(f"cell {int(cells.sides.argmin())} vanished: its weight is too small beside the others")
    valid = np.arange(cells.vertices.shape[1]) < cells.sides[:, None]
    radius = np.where(valid, np.hypot(cells.vertices[..., 0], cells.vertices[..., 1]), 0.0).max(axis=1)
    within = (bisector_distances(seeds, weights, size_um) < radius[:, None]).sum(axis=1)
    for cell in np.flatnonzero(within > NEIGHBOURS):
        corners = cells.vertices[cell, : cells.sides[cell]]
        normal = wrapped(seeds - seeds[cell], size_um)
        offset = ((normal * normal).sum(axis=1) + weights[cell] - weights) / 2.0
        if bool((corners @ normal.T > offset + 1e-6 * offset.max()).any()):
            raise ArithmeticError(f"{NEIGHBOURS} bisectors are too few for cell {cell}")
    if bool((cells.beyond[valid] < 0).any()):
        raise ArithmeticError("a cell reaches the square it was cut from")


def _clip(
    vertices: Floats, sides: Ints, beyond: Ints, normal: Floats, offset: Floats, other: Ints
) -> tuple[Floats, Ints, Ints]:
    """Each polygon cut with its half plane `p . normal <= offset`; the new edge belongs to `other`."""
    slot = np.arange(MAX_VERTICES)
    each, count = np.arange(sides.size), sides[:, None]
    level = vertices[..., 0] * normal[:, :1] + vertices[..., 1] * normal[:, 1:] - offset[:, None]
    valid = slot < count
    outside = (level > 0.0) & valid
    inside = ~outside & valid
    before = np.where(slot > 0, slot - 1, count - 1)
    entering = inside & outside[each[:, None], before]
    # Start each polygon at its first kept vertex: kept ones 0..m-1, cut ones m..count-1.
    rolled = (entering.argmax(axis=1)[:, None] + slot) % np.maximum(count, 1)
    points, level, edge = (values[each[:, None], rolled] for values in (vertices, level, beyond))
    kept, cut = inside.sum(axis=1), outside.any(axis=1)
    last_kept, first_cut, last_cut = np.maximum(kept - 1, 0), kept % MAX_VERTICES, sides - 1
    leave = _crossing(points[each, last_kept], level[each, last_kept], points[each, first_cut], level[each, first_cut])
    enter = _crossing(points[each, last_cut], level[each, last_cut], points[each, 0], level[each, 0])
    last_edge = edge[each, last_cut]
    at = each[cut]
    points[at, first_cut[cut]], edge[at, first_cut[cut]] = leave[cut], other[cut]
    points[at, first_cut[cut] + 1], edge[at, first_cut[cut] + 1] = enter[cut], last_edge[cut]
    return points, np.where(cut, np.where(kept > 0, kept + 2, 0), sides), edge


def _crossing(a: Floats, level_a: Floats, b: Floats, level_b: Floats) -> Floats:
    """Where the segment a-b meets level 0."""
    step = level_b - level_a
    share = -level_a / np.where(step == 0.0, 1.0, step)
    return a + share[:, None] * (b - a)


def solve_weights(seeds: Floats, weights: Floats, targets: Floats, size_um: Floats) -> Floats:
    """The weights that give each cell its target area within 0.1 % of the mean, by damped Newton steps.

    ArithmeticError when a cell would have to vanish.
    """
    mean = float(targets.mean())
    cells = power_cells(seeds, weights, size_um, nearest_bisectors(seeds, weights, size_um))
    areas = cells.areas_and_centroids()[0]
    for _ in range(NEWTON_STEPS):
        if float(np.abs(areas - targets).max()) < 1e-3 * mean:
            return weights
        step = _newton_step(cells, seeds, size_um, targets - areas)
        floor = 0.5 * min(float(targets.min()), float(areas.min()))
        for damping in (1.0, 0.5, 0.25, 0.125, 0.0625):
            tried = weights + damping * step
            cells = power_cells(seeds, tried, size_um, nearest_bisectors(seeds, tried, size_um))
            areas = cells.areas_and_centroids()[0]
            if float(areas.min()) > floor:
                weights = tried
                break
        else:
            raise ArithmeticError("no step keeps every cell alive")
    raise ArithmeticError(f"cell areas did not settle in {NEWTON_STEPS} steps")


def _newton_step(cells: Cells, seeds: Floats, size_um: Floats, missing_um2: Floats) -> Floats:
    """The weights' change that makes up for the missing areas to first order, by conjugate gradients.

    dA_i/dw_j = -(shared edge) / (2 x distance of the seeds): a graph Laplacian, singular only for the common constant.
    """
    slot = np.arange(cells.vertices.shape[1])
    valid = slot < cells.sides[:, None]
    following = np.where(slot + 1 < cells.sides[:, None], slot + 1, 0)
    edge = np.take_along_axis(cells.vertices, following[:, :, None], axis=1) - cells.vertices
    other = np.where(valid, cells.beyond, 0)
    apart = wrapped(seeds[other] - seeds[:, None, :], size_um)
    distance = np.where(valid, np.hypot(apart[..., 0], apart[..., 1]), 1.0)
    coupling = np.where(valid, np.hypot(edge[..., 0], edge[..., 1]) / (2.0 * distance), 0.0)
    diagonal = coupling.sum(axis=1)
    step, residual = np.zeros_like(missing_um2), missing_um2 - missing_um2.mean()
    scaled = residual / diagonal
    direction, strength = scaled, float((residual * scaled).sum())
    goal = 1e-10 * strength
    for _ in range(CONJUGATE_STEPS):
        if strength <= goal:
            break
        image = diagonal * direction - (coupling * direction[other]).sum(axis=1)
        share = strength / float((direction * image).sum())
        step += share * direction
        residual = residual - share * image
        scaled = residual / diagonal
        before, strength = strength, float((residual * scaled).sum())
        direction = scaled + strength / before * direction
    return step
