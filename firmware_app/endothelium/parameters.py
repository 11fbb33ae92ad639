"""Every number of the analysis that somebody might want to change, in one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware_app.endothelium.merging import MergeWeights


@dataclass(frozen=True, slots=True)
class Parameters:
    """Lengths ending in `_rel` are multiples of the cell spacing T (the row distance found in the spectrum)."""

    # size of the input
    side_min_px: int = 64
    side_max_px: int = 2048
    # physical prior on the density, used when the scale is known
    density_min_per_mm2: float = 400.0
    density_max_per_mm2: float = 4500.0
    # spacing search
    spacing_min_px: float = 8.0
    spacing_max_px: float = 85.0
    spacing_candidates: int = 3
    start_rel: float = 1.25  # settling is surer from above than from below
    convincing: float = 0.85  # a division's worth at which no further candidate is tried
    first_shading_sigma_px: float = 18.0
    spectral_tilt: float = 1.75  # power times f**tilt: cells stand out over 1/f shading and haze
    # normalisation
    shading_sigma_rel: float = 0.5
    clip: float = 3.0
    # border map
    smooth_sigma_rel: float = 0.11
    ridge_sigma_rel: float = 0.07
    ridge_length_rel: float = 0.22
    ridge_orientations: int = 8
    ridge_weight: float = 1.0
    marker_sigma_rel: float = 0.12
    # contours, on a sharper map than the one that finds the cells
    contour_smooth_sigma_rel: float = 0.08
    contour_ridge_sigma_rel: float = 0.05
    contour_ridge_length_rel: float = 0.15
    contour_ridge_weight: float = 0.5
    core_margin_rel: float = 0.15
    # division into cells
    basin_depth: float = 0.1  # of the coarse border map's units; shallower basins are noise
    merge: MergeWeights = field(default_factory=MergeWeights)
    settle_rounds: int = 5
    settle_tolerance: float = 0.05
    settle_cells_min: int = 5
    # which cells to believe, in units of the border map
    trust_min: float = 1.35
    roundness_weight: float = 4.0
    roundness_typical: float = 0.8
    patch_cells_min: int = 10
    # cells
    field_margin_rel: float = 0.25  # cells this near to a black frame or a clipped band are cut by it
    area_min_rel: float = 0.15  # of the mean cell area expected from T
    area_max_rel: float = 4.0
    side_length_min_px: float = 0.6  # a shared border shorter than this is a four-fold vertex, not a side
    # is it a mosaic at all? Thresholds set by hand between the worst usable of
    # some 50 annotated and dotted images and the best of photographs, text, gravel and noise; not fitted, not held out.
    mean_trust_min: float = 1.6  # 1.65 (1.61 the one poor gdocm image) beside 1.59
    trusted_share_min: float = 0.15  # of the whole regions; 0.39 beside 0.06
    five_to_seven_min: float = 0.85  # of the ringed cells; 0.88 beside 0.80
    # decision
    clarity_of_sharp_image: float = 2.2
    # Fewer than this is no sample at all. A cornea at 600 cells/mm2 shows 25 in one picture, and it is the cornea whose
    # density matters most: it gets its number, with what the number is worth said beside it.
    cells_min: int = 12
    cells_for_density: int = 30  # contiguous cells from which ECD is reliable (Cornea 2017, 28834820)
    cells_for_confidence: int = 75  # CV then within 3.4 points in normals (Doughty 2020, acemap 16011103)
    ringed_cells_min: int = 12
    spacing_to_root_area: float = 0.93  # measured on six annotated sets
