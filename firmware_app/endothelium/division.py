"""The picture divided into cells by a watershed on what the network says, at the scale the network was trained at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.edge import along_edge
from firmware_app.endothelium.filters import BoolImage, FloatImage, box_mean, narrow_gaussian
from firmware_app.endothelium.mosaic import untouched_by_edge, whole_regions
from firmware_app.endothelium.network import Answer, Weights, answer_both_ways
from firmware_app.endothelium.network_input import network_input
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.resample import resized
from firmware_app.endothelium.watershed import Graph, Labels, basins, graph, merge_by_depth, redrawn

TRAINED_SPACING_PX = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """Every pixel given to a region 1..n. The last arrays are indexed by label, index 0 unused.

    `trust`, `covered` (by guttae) and `evidence` (of its borders) of a region are means, 0..1; `outline_seen` is the
    share of its outline in borders to a neighbour, or along the image's edge, that are seen clearly.
    """

    spacing_px: float
    labels: Labels
    region: BoolImage
    guttae: BoolImage
    network: Graph
    whole: npt.NDArray[np.bool_]
    area_px: npt.NDArray[np.float64]
    trust: npt.NDArray[np.float64]
    covered: npt.NDArray[np.float64]
    evidence: npt.NDArray[np.float64]
    outline_seen: npt.NDArray[np.float64]


def look(image: FloatImage, spacing_px: float, weights: Weights) -> tuple[Answer, BoolImage]:
    """The network's answer and the usable area, in the size of the image."""
    scale = TRAINED_SPACING_PX / spacing_px
    rows, columns = image.shape
    small = (max(round(rows * scale), 1), max(round(columns * scale), 1))
    planes, usable = network_input(resized(image, small))
    said = answer_both_ways(planes, weights)
    shape = (rows, columns)
    maps = [resized(plane, shape) for plane in (said.border, said.depth, said.trust, said.guttae)]
    return Answer(*maps), resized(usable.astype(np.float32), shape) > 0.5


def divide(image: FloatImage, spacing_px: float, weights: Weights, parameters: Parameters) -> Division:
    """Cut the image into cells, seen as if its rows of cells were `spacing_px` apart."""
    said, usable = look(image, spacing_px, weights)
    height = narrow_gaussian(said.border - said.depth, parameters.smooth_rel * spacing_px)
    pools = basins(height)
    # The strip between a cell and the image's edge is what is left of a cell. Taken for a shallow basin it would join
    # that cell across its border, and the cell would be lost to the edge.
    cut = ~untouched_by_edge(pools)
    labels, _ = merge_by_depth(pools, height, parameters.basin_depth, said.border, cut)
    # What smooths away false basins also moves ridges, towards the side that falls off more slowly, as does the depth,
    # which rises more steeply in a small cell. The border alone says best where it is.
    height = said.border - np.float32(parameters.placing_depth) * said.depth
    labels = redrawn(labels, height)
    network = graph(labels, height, said.border)
    count = int(labels.max(initial=0)) + 1
    flat = labels.ravel()
    area = np.bincount(flat, minlength=count).astype(np.float64)
    guttae = said.guttae > 0.5

    def mean(values: FloatImage) -> npt.NDArray[np.float64]:
        return np.asarray(np.bincount(flat, values.ravel(), count) / np.maximum(area, 1))

    edge = along_edge(labels, said.border, parameters.edge_seen_min)
    length = np.maximum(per_region(network, network.length_px, count) + edge.length_px, 1e-9)
    clear = network.length_px * (network.mean_height >= parameters.side_seen_min)
    edge_clear = edge.length_px * (edge.mean_border >= parameters.side_seen_min)
    return Division(
        spacing_px=spacing_px,
        labels=labels,
        region=(said.trust > parameters.trust_min) & ~guttae & usable,
        guttae=guttae & usable,
        network=network,
        whole=whole_regions(
            labels,
            away_from_unusable(usable, parameters.field_margin_rel * spacing_px),
            edge.closed,
        ),
        area_px=area,
        trust=mean(said.trust),
        covered=mean(guttae.astype(np.float32)),
        evidence=(
            per_region(network, network.length_px * network.mean_height, count) + edge.length_px * edge.mean_border
        )
        / length,
        outline_seen=(per_region(network, clear, count) + edge_clear) / length,
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
