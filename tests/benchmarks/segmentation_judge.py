"""How label images are judged: the definitions, and nothing that knows how they were made.

Both sides are label images, 0 outside and one id per cell, as `specular analyze --labels` writes them. A predicted cell
is judged if three quarters of it lie in the annotated area. Truth by dots is the centre method: the Voronoi cells of
the dots whose ring of dots is complete; CV and HEX have no truth by dots (pubmed 17591876).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

INSIDE_MIN = 0.75
JUDGED_MIN, RINGED_MIN = 5, 5  # fewer cells give no mean, no share worth comparing
COUNTABLE_DOTS, UNCOUNTABLE_DOTS = 20, 10
GAP_REL = (
    1.6  # of the median side: on the very same cells the mean then agrees with outlines to 1 %, at 2.2 it is 3 % more
)
SIDE_MIN_PX = 1  # pixel edges that two neighbours share; 1 to 4 move HEX by less than 1.7 points

Labels = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figures:
    """Mean cell area in px, CV and HEX in percent; None where there is no truth for them."""

    area_px: float
    cv_percent: float | None
    hex_percent: float | None


@dataclass(frozen=True, slots=True)
class Errors:
    """Signed: density in percent, CV and HEX in points. F1 at IoU 0.5; shares of the outlined cells in percent."""

    density_percent: float | None = None
    cv_points: float | None = None
    hex_points: float | None = None
    f1: float | None = None
    merged_percent: float | None = None
    split_percent: float | None = None
    judged: int = 0
    outlined: int = 0
    patch_percent: float | None = None  # dots: the density error over the cells in the dotted patch alone


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """By id, index 0 unused: pixels, sides (0 where the ring is not complete), whether the image's edge cuts it."""

    area_px: npt.NDArray[np.int64]
    sides: npt.NDArray[np.int64]
    cut: npt.NDArray[np.bool_]


def cells_of(labels: Labels, side_min_px: int = SIDE_MIN_PX) -> Cells:
    """Area and neighbours of every id. A ring is complete where all pixels around the cell belong to cells."""
    size = int(labels.max(initial=0)) + 1
    low, high = [], []
    opened = np.zeros(size, bool)
    for here, there in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        differ = here != there
        low.append(np.minimum(here[differ], there[differ]).astype(np.int64))
        high.append(np.maximum(here[differ], there[differ]).astype(np.int64))
    ends_low, ends_high = np.concatenate(low), np.concatenate(high)
    opened[ends_high[ends_low == 0]] = True
    pair, shared_px = np.unique((ends_low * size + ends_high)[ends_low > 0], return_counts=True)
    pair = pair[shared_px >= side_min_px]
    sides = np.bincount(pair // size, minlength=size) + np.bincount(pair % size, minlength=size)
    cut = np.zeros(size, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        cut[edge] = True
    cut[0] = False
    sides[opened | cut] = 0
    return Cells(np.bincount(labels.ravel(), minlength=size), sides, cut)


def figures_of(area_px: npt.NDArray[np.int64], sides: npt.NDArray[np.int64]) -> Figures:
    ringed = sides[sides > 0]
    hexagons = 100 * float(np.mean(ringed == 6)) if ringed.size >= RINGED_MIN else None
    return Figures(float(area_px.mean()), 100 * float(area_px.std() / area_px.mean()), hexagons)


def difference(ours: Figures, truth: Figures) -> Errors:
    """Density is one over area, so that its error is positive where the cells are too small."""
    return Errors(
        100 * (truth.area_px / ours.area_px - 1),
        None if truth.cv_percent is None or ours.cv_percent is None else ours.cv_percent - truth.cv_percent,
        None if truth.hex_percent is None or ours.hex_percent is None else ours.hex_percent - truth.hex_percent,
    )


def against_figures(labels: Labels, truth: Figures) -> Errors:
    """All predicted cells against known figures: of a simulator, or of dots."""
    cells = cells_of(labels)
    kept = cells.area_px > 0
    kept[0] = False
    if np.count_nonzero(kept) < JUDGED_MIN:
        return Errors()
    return difference(figures_of(cells.area_px[kept], cells.sides[kept]), truth)


def against_outlines(labels: Labels, outlines: Labels, side_min_px: int = SIDE_MIN_PX) -> Errors:
    """The predicted cells in the annotated area against all outlined cells that the image's edge does not cut.

    F1 counts every outline, cut ones too: who does not find them loses, for every method alike.
    """
    cells, true_cells = cells_of(labels, side_min_px), cells_of(outlines, side_min_px)
    size, true_size = cells.area_px.size, true_cells.area_px.size
    overlap = np.bincount(labels.ravel().astype(np.int64) * true_size + outlines.ravel(), minlength=size * true_size)
    overlap = overlap.reshape(size, true_size)
    inside = overlap[:, 1:].sum(axis=1)
    judged = (cells.area_px > 0) & (inside >= INSIDE_MIN * cells.area_px)
    judged[0] = False
    outlined = true_cells.area_px > 0
    outlined[0] = False
    counts = int(np.count_nonzero(judged)), int(np.count_nonzero(outlined))
    whole = outlined & ~true_cells.cut
    if counts[0] < JUDGED_MIN or np.count_nonzero(whole) < JUDGED_MIN:
        return Errors(judged=counts[0], outlined=counts[1])
    errors = difference(
        figures_of(cells.area_px[judged], cells.sides[judged]),
        figures_of(true_cells.area_px[whole], true_cells.sides[whole]),
    )
    common = overlap[judged][:, outlined]
    areas, true_areas = cells.area_px[judged], true_cells.area_px[outlined]
    merged, split = faults(common, areas, true_areas)
    return Errors(
        errors.density_percent,
        errors.cv_points,
        errors.hex_points,
        f1_score(common, areas, true_areas),
        100 * merged,
        100 * split,
        *counts,
    )


def f1_score(common: npt.NDArray[np.int64], areas: npt.NDArray[np.int64], true_areas: npt.NDArray[np.int64]) -> float:
    """(predicted, outlined) pixels in common, and both areas: F1 of the cells that match at IoU 0.5 or better."""
    union = areas[:, None] + true_areas[None, :] - common
    hits = common >= 0.5 * union
    found = min(int(hits.any(axis=1).sum()), int(hits.any(axis=0).sum()))
    return 2 * found / (areas.size + true_areas.size)


def faults(
    common: npt.NDArray[np.int64], areas: npt.NDArray[np.int64], true_areas: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Shares of the outlined cells that one predicted cell joins (half of each), and that several divide."""
    covered = common >= 0.5 * true_areas[None, :]
    joined = covered & (covered.sum(axis=1) >= 2)[:, None]
    parts = (common >= 0.5 * areas[:, None]).sum(axis=0)
    return float(joined.any(axis=0).mean()), float((parts >= 2).mean())


def dice(ours: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    """How alike two masks are: 1 the same, 0 nothing in common; two empty ones are the same."""
    both = int(np.count_nonzero(ours)) + int(np.count_nonzero(truth))
    return 1.0 if both == 0 else 2 * int(np.count_nonzero(ours & truth)) / both


@dataclass(frozen=True, slots=True, eq=False)
class Dotted:
    """The dots whose ring of dots is complete: their indices and the areas of their Voronoi cells in px2."""

    inner: npt.NDArray[np.int64]
    area_px: Floats


def dotted_cells(dots: Floats) -> Dotted:
    """The centre method on dots, (n, 2) as x, y: the Voronoi cells of dots whose ring of neighbours is complete.

    Gaps are not bridged, nor dents in the outline.
    """
    from scipy.spatial import Delaunay, QhullError, Voronoi

    nothing = Dotted(np.zeros(0, np.int64), np.zeros(0))
    if len(dots) < 4:
        return nothing
    try:
        triangles, voronoi = Delaunay(dots), Voronoi(dots)
    except QhullError:  # all on one line
        return nothing
    sides = [(a, b) for a, b in ((0, 1), (1, 2), (0, 2))]
    corners = dots[triangles.simplices]
    lengths = np.stack([np.linalg.norm(corners[:, a] - corners[:, b], axis=1) for a, b in sides], axis=1)
    short = without_flat_rim(dots, triangles.simplices[lengths.max(axis=1) <= GAP_REL * np.median(lengths)])
    if not len(short):
        return nothing
    pairs = np.sort(np.concatenate([short[:, [a, b]] for a, b in sides]), axis=1)
    unique, count = np.unique(pairs, axis=0, return_counts=True)
    inner, areas = [], []
    for dot in np.setdiff1d(unique, unique[count == 1]):
        region = voronoi.regions[voronoi.point_region[dot]]
        if region and -1 not in region:
            x, y = voronoi.vertices[region].T
            inner.append(int(dot))
            areas.append(0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))
    return Dotted(np.array(inner, np.int64), np.array(areas))


def without_flat_rim(dots: Floats, triangles: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """The triangles that are left when those across dents of the outline are taken away, as long as there are any.

    Such a triangle is obtuse towards the outline: the corner of the Voronoi cells that it stands for lies outside,
    often far. With them the mean cell of specular385's dots comes out 14 % larger than the very same cells are.
    """
    while len(triangles):
        sides = [(0, 1, 2), (1, 2, 0), (0, 2, 1)]
        ends = np.sort(np.concatenate([triangles[:, [a, b]] for a, b, _ in sides]), axis=1)
        facing = np.concatenate([triangles[:, c] for *_, c in sides])
        owner = np.tile(np.arange(len(triangles)), 3)
        _, place, count = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
        to_one, to_other = (dots[ends[:, k]] - dots[facing] for k in (0, 1))
        obtuse = (to_one * to_other).sum(axis=1) < -1e-9
        flat = np.unique(owner[(count[place.ravel()] == 1) & obtuse])
        if not flat.size:
            break
        triangles = np.delete(triangles, flat, axis=0)
    return triangles


def dotted_patch(dots: Floats, inner: npt.NDArray[np.int64], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The pixels nearest to a dot with a complete ring."""
    from scipy.spatial import cKDTree

    rows, columns = np.indices(shape)
    _, nearest = cKDTree(dots).query(np.stack([columns.ravel(), rows.ravel()], axis=1))
    patch: npt.NDArray[np.bool_] = np.isin(nearest, inner).reshape(shape)
    return patch


def against_dots(labels: Labels, mean_area_px: float, patch: npt.NDArray[np.bool_]) -> Errors:
    """All predicted cells against the mean cell of the dots, and again those of them that lie in the dotted patch."""
    truth = Figures(mean_area_px, None, None)
    everywhere = against_figures(labels, truth)
    total = np.bincount(labels.ravel())
    judged = (total > 0) & (np.bincount(labels.ravel(), patch.ravel()) >= INSIDE_MIN * total)
    judged[0] = False
    if np.count_nonzero(judged) < JUDGED_MIN:
        return everywhere
    return replace(
        everywhere,
        judged=int(np.count_nonzero(judged)),
        patch_percent=100 * (mean_area_px / float(total[judged].mean()) - 1),
    )
