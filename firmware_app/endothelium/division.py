"""The image divided into cells, and the spacing at which that division agrees with itself.

The merging expects cells of the size that the spacing predicts, but the borders have their say: one division started
at 0.8 of the true spacing gives cells of 0.87 to 0.95 of it, one started at 1.25 gives 1.02 to 1.07 (means over a third
of gavet, confoscan52 and cwru). Repeating it therefore closes in on the truth, more surely from above; started at half
it can stop early. So the spectrum only has to name a candidate in that range, and of several the best division wins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.borders import border_map
from firmware_app.endothelium.filters import BoolImage, FloatImage, box_mean
from firmware_app.endothelium.merging import merge_pieces
from firmware_app.endothelium.mosaic import whole_regions
from firmware_app.endothelium.normalise import normalise
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.watershed import Graph, Labels, basins, graph, merge_by_depth


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """Every pixel given to a region 1..n. The arrays are indexed by label, index 0 unused.

    `clarity` is how much higher the border map is along a region's border than inside it.
    """

    spacing_px: float
    labels: Labels
    network: Graph
    whole: npt.NDArray[np.bool_]
    area_px: npt.NDArray[np.float64]
    clarity: npt.NDArray[np.float64]
    roundness: npt.NDArray[np.float64]


def divide(image: FloatImage, spacing_px: float, parameters: Parameters) -> Division:
    """Cut the image into cells of about the size that the spacing stands for."""
    flat = normalise(image, parameters.shading_sigma_rel * spacing_px, parameters.clip)
    borders = border_map(flat.contrast, flat.usable, spacing_px, parameters)
    pieces = merge_by_depth(basins(borders.coarse), borders.coarse, parameters.basin_depth)
    expected = (spacing_px / parameters.spacing_to_root_area) ** 2
    labels = merge_pieces(pieces, borders.fine, expected, parameters.merge)
    count = int(labels.max(initial=0)) + 1
    network = graph(labels, borders.fine)
    area = np.asarray(np.bincount(labels.ravel(), minlength=count), dtype=np.float64)
    length = per_region(network, network.length_px, count)
    outline = per_region(network, network.length_px * network.mean_height, count) / np.maximum(length, 1e-9)
    inside = np.bincount(labels.ravel(), borders.fine.ravel(), minlength=count) / np.maximum(area, 1)
    return Division(
        spacing_px=spacing_px,
        labels=labels,
        network=network,
        whole=whole_regions(labels, away_from_unusable(flat.usable, parameters.field_margin_rel * spacing_px)),
        area_px=area,
        clarity=outline - inside,
        roundness=4 * np.pi * area / np.maximum(length, 1.0) ** 2,
    )


def away_from_unusable(usable: BoolImage, margin_px: float) -> BoolImage:
    """The usable area less a margin: the edge of a black frame looks like a cell border, and cuts cells."""
    unusable: FloatImage = (~usable).astype(np.float32)
    return np.equal(box_mean(unusable, max(1, round(margin_px))), 0)


def per_region(network: Graph, value: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float64]:
    """The sum over each region's borders of a value per border."""
    return np.asarray(
        np.bincount(network.low, value, count) + np.bincount(network.high, value, count), dtype=np.float64
    )


def settle(image: FloatImage, spacing_px: float, limits_px: tuple[float, float], parameters: Parameters) -> Division:
    """Divide again at the spacing found until it is the spacing put in, within 5 %."""
    for _ in range(parameters.settle_rounds):
        division = divide(image, spacing_px, parameters)
        area = division.area_px[division.whole]
        if area.size < parameters.settle_cells_min:
            break
        found = parameters.spacing_to_root_area * float(area.mean()) ** 0.5
        found = float(np.clip(found, max(0.75 * spacing_px, limits_px[0]), min(1.33 * spacing_px, limits_px[1])))
        if abs(found / spacing_px - 1) < parameters.settle_tolerance:
            break
        spacing_px = found
    return division
