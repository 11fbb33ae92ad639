"""An endothelial mosaic whose truth is known exactly: a power diagram on a torus with prescribed cell areas.

Foam physics in short. Lloyd's relaxation pulls every seed to the centroid of its cell, which makes cells hexagonal;
weights then grow or shrink each cell until it has its own target area, so density and CV come out as asked. With
independent areas HEX falls as CV grows (about 60 % at CV 30, as in healthy corneas); relaxing shorter lowers it,
relaxing longer with areas that vary smoothly over the tissue raises it. That trade is the one `order` knob.

The frame of a mosaic is um, x to the right, y down, periodic in both; a `Window` is a pixel grid laid on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hw.sim.power_diagram import (
    Cells,
    Floats,
    Ints,
    check_complete,
    nearest_bisectors,
    power_cells,
    solve_weights,
    wrapped,
)

FIELD_UM = (544.0, 408.0)  # 640 x 480 px of 0.85 um: one frame then shows every cell, and truth has no sampling error
SMALLEST_SHARE = 0.3  # of the mean area: no cell is drawn smaller
PATCH_UM = 60.0  # the length over which cell size varies in a mosaic of high order
HEX_TOLERANCE = 1.5  # percentage points; one cell in 550 is 0.2
ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class EndotheliumTruth:
    """The numbers an observer without error would report; definitions as in `firmware_app.model.Morphometry`."""

    cd_per_mm2: float
    cv_percent: float
    hex_percent: float
    n: int
    area_min_um2: float
    area_max_um2: float
    area_mean_um2: float
    area_sd_um2: float


@dataclass(frozen=True, slots=True)
class Window:
    """A grid of pixels; (r, c) has its centre at (left + (c + 0.5) u, top + (r + 0.5) u), u = um_per_px."""

    left_um: float
    top_um: float
    rows: int
    columns: int
    um_per_px: float


@dataclass(frozen=True, eq=False)
class MosaicModel:
    """The cells of one mosaic. Index i belongs to label i + 1."""

    size_um: tuple[float, float]  # width, height of the torus
    seeds_um: Floats  # (n, 2) x, y
    cells: Cells
    areas_um2: Floats  # (n,)
    centroids_um: Floats  # (n, 2) x, y within the torus

    @property
    def n(self) -> int:
        return int(self.areas_um2.shape[0])

    @property
    def sides(self) -> Ints:
        return self.cells.sides

    @cached_property
    def truth(self) -> EndotheliumTruth:
        """Over all cells of the torus."""
        return _truth_of(self.areas_um2, self.sides)

    def whole_cells(self, window: Window) -> Ints:
        """Indices of the cells that lie completely inside the window."""
        self._check_fits(window)
        corners = self._corners_in(window)
        width, height = window.columns * window.um_per_px, window.rows * window.um_per_px
        inside = (corners[..., 0] > 0) & (corners[..., 0] < width) & (corners[..., 1] > 0) & (corners[..., 1] < height)
        return np.flatnonzero(inside.all(axis=1))

    def truth_in(self, window: Window) -> EndotheliumTruth:
        """Over the cells that lie completely inside the window. ValueError when there is none."""
        whole = self.whole_cells(window)
        if whole.size == 0:
            raise ValueError("no whole cell lies in this window")
        return _truth_of(self.areas_um2[whole], self.sides[whole])

    def label_raster(self, window: Window) -> npt.NDArray[np.int32]:
        """(rows, columns): id 1..n of the cell under each pixel centre; every pixel belongs to a cell."""
        return self.rasters(window)[0]

    def border_distance_um(self, window: Window) -> npt.NDArray[np.float32]:
        """(rows, columns): distance from each pixel centre to the nearest cell border."""
        return self.rasters(window)[1]

    def rasters(self, window: Window) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """`label_raster` and `border_distance_um` in one pass."""
        self._check_fits(window)
        labels = np.zeros((window.rows, window.columns), np.int32)
        depth = np.full((window.rows, window.columns), -np.inf, np.float32)
        for index in range(self.n):
            polygon = self._polygon_in(index, window)
            for shift in self._copies(polygon, window):
                _paint(labels, depth, polygon + shift, index + 1, window.um_per_px)
        return labels, np.maximum(depth, 0.0)

    def _check_fits(self, window: Window) -> None:
        width, height = window.columns * window.um_per_px, window.rows * window.um_per_px
        if width > self.size_um[0] * (1 + 1e-9) or height > self.size_um[1] * (1 + 1e-9):
            torus = f"{self.size_um[0]:g} x {self.size_um[1]:g} um"
            raise ValueError(f"a window of {width:g} x {height:g} um would show cells of the {torus} mosaic twice")

    def _corners_in(self, window: Window) -> Floats:
        """(n, slots, 2) corners relative to the window, each centroid wrapped into [0, size); pads repeat corner 0."""
        size = np.array(self.size_um)
        origin = np.array([window.left_um, window.top_um])
        placed = (self.centroids_um - origin) % size
        offset = placed + wrapped(self.seeds_um - self.centroids_um, size)
        corners = self.cells.vertices + offset[:, None, :]
        valid = np.arange(corners.shape[1]) < self.sides[:, None]
        return np.asarray(np.where(valid[..., None], corners, corners[:, :1]), np.float64)

    def _polygon_in(self, index: int, window: Window) -> Floats:
        size = np.array(self.size_um)
        seed, centroid = self.seeds_um[index], self.centroids_um[index]
        placed = (centroid - np.array([window.left_um, window.top_um])) % size
        offset: Floats = placed + wrapped(seed - centroid, size)
        polygon: Floats = self.cells.vertices[index, : self.sides[index]] + offset
        return polygon

    def _copies(self, polygon: Floats, window: Window) -> list[Floats]:
        """The periodic shifts under which the polygon touches the window."""
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        extent = np.array([window.columns, window.rows]) * window.um_per_px
        shifts = [np.array([i * self.size_um[0], j * self.size_um[1]]) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        return [shift for shift in shifts if bool((high + shift > 0).all() and (low + shift < extent).all())]


def build_mosaic(
    seed: int,
    *,
    cd_per_mm2: float | None = None,
    cv_percent: float | None = None,
    hex_percent: float | None = None,
    size_um: tuple[float, float] = FIELD_UM,
) -> MosaicModel:
    """A mosaic by seed; what is not given is drawn from the range of healthy to elderly corneas.

    CD comes out to half a cell and CV exactly as asked. HEX comes out within a few points where foam allows it (about
    55..72 at CV 22, 45..70 at CV 38), else at the nearest it can be: `truth` says what it is.
    """
    rng = np.random.default_rng(seed)
    drawn_cd, drawn_cv, drawn_order = rng.uniform(1800, 3200), rng.uniform(22, 38), rng.uniform(0.25, 0.75)
    cd = float(cd_per_mm2 if cd_per_mm2 is not None else drawn_cd)
    cv = float(cv_percent if cv_percent is not None else drawn_cv)
    if not 300 <= cd <= 6000 or not 5 <= cv <= 60:
        raise ValueError(f"no mosaic of {cd:g} cells/mm2 and CV {cv:g} %: 300..6000 and 5..60 are possible")
    if hex_percent is None:
        return _build(seed, cd, cv, float(drawn_order), size_um)
    low, high, order = 0.0, 1.0, 0.5
    mosaic = best = _build(seed, cd, cv, order, size_um)
    for _ in range(4):
        if abs(best.truth.hex_percent - hex_percent) <= HEX_TOLERANCE:
            break
        low, high = (low, order) if mosaic.truth.hex_percent > hex_percent else (order, high)
        order = (low + high) / 2
        mosaic = _build(seed, cd, cv, order, size_um)
        best = min(best, mosaic, key=lambda tried: abs(tried.truth.hex_percent - hex_percent))
    return best


def _build(seed: int, cd: float, cv: float, order: float, size_um: tuple[float, float]) -> MosaicModel:
    size = np.array(size_um)
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([seed, attempt])
        try:
            seeds, weights, targets = _relax(rng, cd, cv / 100, order, size)
            weights = solve_weights(seeds, weights, targets, size)
            cells = power_cells(seeds, weights, size, nearest_bisectors(seeds, weights, size))
            check_complete(cells, seeds, weights, size)
        except ArithmeticError:
            continue  # a cell was squeezed out: another draw of the same statistics
        areas, centroids = cells.areas_and_centroids()
        return MosaicModel(size_um, seeds, cells, areas, (seeds + centroids) % size)
    raise ValueError(f"no mosaic of {cd:g} cells/mm2, CV {100 * cv:g} % found for seed {seed} in {ATTEMPTS} draws")


def _relax(rng: np.random.Generator, cd: float, cv: float, order: float, size: Floats) -> tuple[Floats, Floats, Floats]:
    """Seeds and weights near equilibrium, and the area each cell is to have."""
    n = round(cd * float(size.prod()) / 1e6)
    mean = float(size.prod()) / n
    steps = round(12 + 76 * order) if order < 0.5 else round(50 + 60 * (order - 0.5))
    smoothness = max(0.0, 1.7 * (order - 0.5))
    seeds, weights, targets = rng.uniform(0, 1, (n, 2)) * size, np.zeros(n), np.full(n, mean)
    neighbours = nearest_bisectors(seeds, weights, size)
    for step in range(steps):
        if step < 6 or step % 3 == 0:
            # Near enough for relaxing; the final diagram is made from all of them and checked.
            neighbours = nearest_bisectors(seeds, weights, size)[:, :18]
        areas, centroids = power_cells(seeds, weights, size, neighbours).areas_and_centroids()
        seeds = (seeds + centroids) % size
        if step == 5:  # from here on the cells are even enough to take their own sizes
            targets = _target_areas(rng, seeds, cv, smoothness, size)
        if step > 5:
            grown = min(1.0, (step - 5) / (0.75 * (steps - 6)))
            # dA/dw is about 1.73 for a hexagon, so 0.45 is a step of three quarters.
            weights += np.clip(0.45 * (mean + grown * (targets - mean) - areas), -0.3 * mean, 0.3 * mean)
    return seeds, weights, targets


def _target_areas(rng: np.random.Generator, seeds: Floats, cv: float, smoothness: float, size: Floats) -> Floats:
    """Gamma-distributed areas with exactly this CV that fill the domain, dealt out by a partly smooth field."""
    n = seeds.shape[0]
    shares: Floats = rng.standard_gamma(np.full(n, 1 / cv**2)) * cv**2
    for _ in range(20):
        shares = np.maximum(1 + cv * (shares - shares.mean()) / shares.std(), SMALLEST_SHARE)
    waves = np.round(rng.normal(0, size / (2 * np.pi * PATCH_UM), (40, 2)))
    phases = rng.uniform(0, 2 * np.pi, 40)
    field = np.cos(2 * np.pi * (seeds / size) @ waves.T + phases).sum(axis=1)
    field = (field - field.mean()) / field.std()
    rank = np.argsort(np.sqrt(smoothness) * field + np.sqrt(1 - smoothness) * rng.normal(size=n))
    dealt = np.empty(n)
    dealt[rank] = np.sort(shares)
    return dealt * (float(size.prod()) / float(dealt.sum()))


def _truth_of(areas: Floats, sides: Ints) -> EndotheliumTruth:
    mean, deviation = float(areas.mean()), float(areas.std())
    return EndotheliumTruth(
        cd_per_mm2=1e6 / mean,
        cv_percent=100 * deviation / mean,
        hex_percent=100 * float((sides == 6).mean()),
        n=int(areas.size),
        area_min_um2=float(areas.min()),
        area_max_um2=float(areas.max()),
        area_mean_um2=mean,
        area_sd_um2=deviation,
    )


def _paint(
    labels: npt.NDArray[np.int32], depth: npt.NDArray[np.float32], polygon: Floats, label: int, um_per_px: float
) -> None:
    """Give `label` every pixel that lies deeper in this convex polygon than in any painted before."""
    low = np.floor(polygon.min(axis=0) / um_per_px).astype(int) - 1
    high = np.ceil(polygon.max(axis=0) / um_per_px).astype(int) + 1
    rows = slice(max(low[1], 0), max(high[1], 0))
    columns = slice(max(low[0], 0), max(high[0], 0))
    there = depth[rows, columns]
    if there.size == 0:
        return
    y = (np.arange(rows.start, rows.start + there.shape[0]) + 0.5) * um_per_px
    x = (np.arange(columns.start, columns.start + there.shape[1]) + 0.5) * um_per_px
    edge = np.roll(polygon, -1, axis=0) - polygon
    length = np.hypot(edge[:, 0], edge[:, 1])
    normal = np.stack([-edge[:, 1], edge[:, 0]], axis=1) / np.where(length > 0, length, 1.0)[:, None]
    offset = (normal * polygon).sum(axis=1)
    within = normal[:, 0, None, None] * x + normal[:, 1, None, None] * y[:, None] - offset[:, None, None]
    within[length == 0] = np.inf
    inner = within.min(axis=0).astype(np.float32)
    deeper = inner > there
    there[deeper] = inner[deeper]
    labels[rows, columns][deeper] = label
