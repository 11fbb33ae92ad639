"""Every number of the analysis that somebody might want to change, in one frozen value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parameters:
    """Lengths ending in `_rel` are multiples of the cell spacing T (the row distance found in the spectrum)."""

    # size of the input
    side_min_px: int = 64
    side_max_px: int = 2048
    # physical prior on the density, used when the scale is known
    density_min_per_mm2: float = 300.0
    density_max_per_mm2: float = 5500.0
    # spacing search
    spacing_min_px: float = 8.0
    spacing_max_px: float = 85.0
    spacing_candidates: int = 3
    first_shading_radius_px: int = 17
    spectral_tilt: float = 1.75  # power times f**tilt: cells stand out over 1/f shading and haze
    spacing_tolerance: float = 1.18  # within this factor of the spacing assumed, another look changes nothing
    spacing_same: float = 1.08  # within this factor of a spacing looked at before, another look shows the same
    network_reach: float = 1.35  # within this factor of a spacing where it saw nothing, the network sees nothing either
    looks_max: int = 5  # at the picture, each at another scale
    convincing: float = 0.3  # a division's worth at which no further candidate is tried
    spacing_to_root_area: float = 0.93  # measured on six annotated sets
    # division into cells
    smooth_rel: float = 0.05  # of the height that is flooded
    basin_depth: float = 0.7  # a shallower basin is no cell
    placing_depth: float = 0.05  # weight of the depth beside the border where the line between two cells is drawn
    # which cells to believe
    trust_min: float = 0.5
    trust_rel: float = 0.6  # of what the best quarter of the picture's cells has: haze comes in from the side
    side_seen_min: float = 0.6  # mean of the network's border along one side of a cell, from which that side is seen
    outline_seen_min: float = 0.8  # the share of a cell's outline in such sides
    edge_seen_min: float = 0.7  # mean of the network's border along the image's edge, from which it cuts no cell
    covered_max: float = 0.15  # by guttae
    area_min_rel: float = 0.12  # of the median cell
    area_max_rel: float = 8.0
    patch_cells_min: int = 8
    field_margin_rel: float = 0.25  # cells this near to a black frame or a clipped band are cut by it
    side_length_min_px: float = 0.6  # a shared border shorter than this is a four-fold vertex, not a side
    # decision
    trusted_share_min: float = 0.1  # of the picture, in believed cells
    five_to_seven_min: float = 0.8  # of the ringed cells: any mosaic of cells has that much, noise has not
    spread_min: float = 0.06  # CV of the areas: below it is a grid or a screen; corneas have 0.2 and more
    cells_min: int = 30  # contiguous cells from which ECD is reliable (Cornea 2017, 28834820)
    cells_for_confidence: int = 75  # CV then within 3.4 points in normals (Doughty 2020, acemap 16011103)
    ringed_cells_min: int = 12  # from which their numbers of sides say whether it is a mosaic at all
    hex_cells_min: int = 20  # with complete rings: below, HEX is 12 points off on real pictures, above 20 it is 4
