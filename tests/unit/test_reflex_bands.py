"""Edges, readings and offsets on made-up light: what each combination of edges means, and what is no edge."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from firmware_app.endothelium.alignment import DARK, lit_part, reflex_offset
from firmware_app.endothelium.bands import Bands, find_bands, find_edges
from firmware_app.endothelium.reflex_geometry import ReflexGeometry
from firmware_app.endothelium.thickness import thickness_of

G = ReflexGeometry(0.85)
ROWS, COLUMNS = 480, 640
Y_UM = (ROWS / 2 - 0.5 - np.arange(ROWS)) * G.um_per_px
X_UM = (np.arange(COLUMNS) + 0.5 - COLUMNS / 2) * G.um_per_px


def lit(middle_um: float, blur_um: float = 8.0, width_um: float = G.slit_width_um) -> npt.NDArray[np.float64]:
    """A slit's band of the normal distribution's edges."""
    edges = [(math.erf((y - middle_um + s * width_um / 2) / blur_um / math.sqrt(2))) for y in Y_UM for s in (1, -1)]
    return (np.array(edges[::2]) - np.array(edges[1::2])) / 2


def picture(
    rows: npt.NDArray[np.float64], x_um: float = 0.0, y_um: float = 0.0, *, cells: bool = False, halo: float = 0.03
) -> npt.NDArray[np.uint8]:
    """A reflex at that place and the halo around it, noise, and dots for cells."""
    rng = np.random.default_rng(1)
    reflex = np.exp(-(((X_UM - x_um) / 420) ** 2)) * np.exp(-(((Y_UM - y_um) / 420) ** 2))[:, None]
    wide = np.exp(-(((X_UM - x_um) / 1500) ** 2)) * np.exp(-(((Y_UM - y_um) / 1500) ** 2))[:, None]
    vignetting = (1 - 0.15 * (Y_UM / Y_UM[0]) ** 2)[:, None]
    texture = 1 + 0.25 * np.sin(X_UM / 3.0) * np.sin(Y_UM / 3.0)[:, None] if cells else 1.0
    light = 255 * (0.02 + vignetting * (rows[:, None] * reflex * texture + halo * wide))
    return np.clip(light + rng.normal(0.5, 0.8, light.shape), 0, 255).astype(np.uint8)


def defocused(um: float, **how: float) -> npt.NDArray[np.float64]:
    return lit(-G.shift_per_um * um, **how)


@pytest.mark.parametrize("defocus_um", [-40.0, 0.0, 3.0, 25.0, 80.0, 150.0])
@pytest.mark.parametrize("blur_um", [5.0, 15.0])
def test_one_band_of_cells_is_the_endothelium(defocus_um: float, blur_um: float) -> None:
    best = find_bands(picture(0.6 * defocused(defocus_um, blur_um=blur_um), cells=True), 8, G).best
    assert best is not None
    assert best.defocus_um == pytest.approx(defocus_um, abs=1.0)
    assert best.apparent_um is None


@pytest.mark.parametrize("apparent_um", [305.0, 365.0, 440.0])
@pytest.mark.parametrize("off_um", [-25.0, 0.0, 25.0])
def test_two_bands_are_both_layers_and_give_the_thickness(apparent_um: float, off_um: float) -> None:
    defocus_um = off_um - apparent_um / 2
    rows = 0.4 * defocused(defocus_um, blur_um=12.0) + 0.8 * defocused(defocus_um + apparent_um, blur_um=12.0)
    (reading,) = find_bands(picture(rows), 8, G).readings
    assert reading.apparent_um == pytest.approx(apparent_um, abs=1.0)
    assert reading.defocus_um == pytest.approx(defocus_um, abs=1.0)
    assert thickness_of(apparent_um, G.half_angle_deg) == pytest.approx(apparent_um * 540 / 365, rel=0.01)


def test_a_bright_smooth_band_alone_is_the_front_and_the_other_reading_is_given_too() -> None:
    bands = find_bands(picture(0.9 * defocused(20.0)), 8, G)
    first, second = bands.readings
    assert "epithelium" in first.words and "endothelium" in second.words
    assert second.defocus_um - first.defocus_um == pytest.approx(365.0)
    assert first.defocus_um == pytest.approx(20.0 - 365.0, abs=1.0)


def test_an_edge_where_the_other_layer_would_have_to_be_seen_too_is_no_riddle() -> None:
    low_lower_edge = find_bands(picture(0.3 * lit(330.0)), 8, G).best
    assert low_lower_edge is not None and "epithelium" in low_lower_edge.words
    low_upper_edge = find_bands(picture(0.3 * lit(-320.0)), 8, G).best
    assert low_upper_edge is not None and "endothelium" in low_upper_edge.words


@pytest.mark.parametrize("cells", [True, False])
def test_a_low_picture_inside_a_band_tells_the_layer_and_no_depth(cells: bool) -> None:
    low = slice(140, 340)  # 170 um of the 360 that the band is high
    bands = find_bands(picture(0.6 * defocused(20.0), cells=cells)[low], 8, G)
    assert bands.edges == () and bands.best is not None
    assert not any(reading.is_exact for reading in bands.readings)
    assert bands.best.words == f"inside of the {'endothelium' if cells else 'epithelium'}'s reflex"
    assert find_bands(picture(np.zeros(ROWS))[low], 8, G) == Bands(), "a halo alone is not inside"
    edge = find_bands(picture(0.6 * defocused(-128.0), cells=True)[low], 8, G).best
    assert edge is not None and edge.is_exact and edge.defocus_um == pytest.approx(-128.0, abs=1.5)


NO_BANDS = {
    "halo alone": np.zeros(ROWS),
    "a slope": np.linspace(0.2, 0.5, ROWS),
    "a picture full of light": np.full(ROWS, 0.6),
}


@pytest.mark.parametrize("name", NO_BANDS)
def test_no_band_is_no_reading(name: str) -> None:
    assert find_bands(picture(NO_BANDS[name], cells=True), 8, G) == Bands()


def test_noise_black_and_white_have_no_edges() -> None:
    rng = np.random.default_rng(3)
    for light in (rng.normal(0.001, 0.0005, ROWS), np.zeros(ROWS), np.ones(ROWS)):
        assert find_edges(light, 0.85) == []


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_any_depth_of_pixels_tells_the_same(bits: int) -> None:
    eight = picture(0.6 * defocused(25.0), 60.0, -40.0, cells=True)
    deep = (eight.astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
    first, other = find_bands(eight, 8, G).best, find_bands(deep, bits, G).best
    assert first is not None and other is not None
    assert other.defocus_um == pytest.approx(first.defocus_um, abs=0.5)
    offsets = [reflex_offset(pixels, depth, G) for pixels, depth in ((eight, 8), (deep, bits))]
    assert offsets[0] is not None and offsets[1] is not None
    assert offsets[1].x_um == pytest.approx(offsets[0].x_um, abs=3)


# --------------------------------------------------------------------------------------------- sideways


@pytest.mark.parametrize(("x_um", "y_um"), [(0.0, 0.0), (150.0, -80.0), (-300.0, 120.0)])
def test_a_reflex_is_placed_by_its_slopes(x_um: float, y_um: float) -> None:
    offset = reflex_offset(picture(0.6 * defocused(10.0), x_um, y_um), 8, G)
    assert offset is not None and offset.words == "by the reflex"
    assert (offset.x_um, offset.y_um) == pytest.approx((x_um, y_um), abs=max(12.0, 0.12 * math.hypot(x_um, y_um)))


@pytest.mark.parametrize(("x_um", "y_um"), [(1200.0, -700.0), (-2000.0, 0.0), (1900.0, 1900.0), (0.0, -1500.0)])
def test_a_halo_leads_from_two_millimetres(x_um: float, y_um: float) -> None:
    offset = reflex_offset(picture(np.zeros(ROWS), x_um, y_um), 8, G)
    assert offset is not None
    left_um = math.hypot(offset.x_um - x_um, offset.y_um - y_um)
    assert left_um < 0.25 * math.hypot(x_um, y_um)


def test_no_light_is_no_reflex() -> None:
    assert reflex_offset(picture(np.zeros(ROWS), halo=DARK / 2), 8, G) is None
    assert reflex_offset(np.zeros((ROWS, COLUMNS), np.uint8), 8, G) is None


def test_an_overexposed_picture_says_that_it_does_not_tell() -> None:
    offset = reflex_offset(np.where(np.arange(ROWS)[:, None] > 8, 255, 0).repeat(COLUMNS, 1).astype(np.uint8), 8, G)
    assert offset is not None and offset.distance_um < 30


def test_the_lit_part_is_the_band_without_its_edges() -> None:
    part = lit_part(picture(0.6 * defocused(60.0), cells=True), 8, G)
    upper_um = -G.shift_per_um * 60.0 + 180.0
    first = (Y_UM[0] - upper_um) / 0.85
    assert ROWS - first - 60 < part.shape[0] < ROWS - first - 20
    whole = picture(np.zeros(ROWS))
    assert lit_part(whole, 8, G).shape == whole.shape


@pytest.mark.parametrize("wrong", [{"um_per_px": 0.0}, {"um_per_px": math.nan}, {"um_per_px": 1, "half_angle_deg": 1}])
def test_an_impossible_instrument_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no such instrument"):
        ReflexGeometry(**wrong)
