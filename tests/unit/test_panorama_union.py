"""The cells of two captures as one mosaic, the stitched picture, and what is refused before anything is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from firmware_app.endothelium.mosaic import build_mosaic
from firmware_app.endothelium.panorama import (
    CAPTURES_MAX,
    NoPanorama,
    PanoramaSource,
    SourcePlace,
    doubts,
    make_panorama,
)
from firmware_app.endothelium.placement import Placement
from firmware_app.endothelium.registration import FlatCapture
from firmware_app.endothelium.stitching import Sheet, sheet, stitch
from firmware_app.endothelium.union import Union, unite
from firmware_app.model import Mosaic

SIDE = 10  # px of a square cell


def squares(rows: int, columns: int, offset: tuple[int, int] = (0, 0)) -> Mosaic:
    """Whole square cells in a frame of this size whose upper left pixel lies at `offset` of the pattern."""
    row, column = np.mgrid[:rows, :columns]
    number = (row + offset[0]) // SIDE * 1000 + (column + offset[1]) // SIDE
    _, labels = np.unique(number, return_inverse=True)
    labels = labels.reshape(rows, columns).astype(np.int32) + 1
    keep = np.bincount(labels.ravel()) == SIDE * SIDE
    return build_mosaic(labels, keep, 0.6)


def paper(place: tuple[int, int], rows: int, columns: int, grey: float = 0.5) -> Sheet:
    image = np.full((rows, columns), grey, np.float32)
    return Sheet(place, image, image.copy(), np.ones((rows, columns), np.float32))


def owners(*areas: tuple[slice, slice], shape: tuple[int, int]) -> npt.NDArray[np.int16]:
    owner = np.full(shape, -1, np.int16)
    for number, area in enumerate(areas):
        owner[area] = number
    return owner


@pytest.mark.parametrize("slip", [-2, -1, 0, 1, 2])
def test_no_cell_stands_twice_and_none_is_lost_where_the_captures_fit_badly(slip: int) -> None:
    """Two frames of 60x100 px, the second one 50 px to the right, its picture off by `slip` px."""
    first, second = squares(60, 100), squares(60, 100, (0, 50 - slip))
    owner = owners(np.s_[:, :75], np.s_[:, 75:], shape=(60, 150))
    united = unite([first, second], [paper((0, 0), 60, 100), paper((0, 50), 60, 100)], owner, 0.6)
    mosaic, given = united.mosaic, united.given
    assert united.apart_px == pytest.approx(abs(slip), abs=0.01)
    columns = 14 if slip > 0 else 15  # the last one is cut by the second frame then
    assert mosaic.n == 6 * columns
    assert sum(given) == mosaic.n and min(given) >= 6 * 6
    assert mosaic.area_px.mean() == pytest.approx(SIDE * SIDE, rel=0.03)
    inner = mosaic.sides[(mosaic.centroid_px[:, 0] > 10) & (mosaic.centroid_px[:, 0] < 50)]
    assert np.count_nonzero(inner == 4) >= 4 * (columns - 2)  # also across the seam there are neighbours


def test_what_is_doubtful_is_said() -> None:
    told = [SourcePlace((0, 0), 90), SourcePlace((0, 50), 0, "too few cells"), SourcePlace(None, 0, "another eye")]
    placement = Placement({0: (0.0, 0.0), 1: (0.0, 50.0)}, ((0, 1),), 0.5)
    good = squares(60, 100)
    assert doubts(told, placement, Union(good, (90, 0), 6.2)) == (
        "capture 3 is left out: another eye",
        "captures 1 and 2 were placed by the others: their own shift contradicts them",
        "capture 2 is shown but gives no cells: too few cells",
        "the captures are distorted against each other, cells lie up to 6 px apart: some at the seams may be missed",
    )
    well = Placement({0: (0.0, 0.0), 1: (0.0, 50.0)}, (), 0.5)
    assert doubts(told[:1], well, Union(good, (90,), 1.0)) == ()
    assert "fit to 3.0 px only" in doubts(told[:1], replace(well, error_px=3.0), Union(good, (90,), 1.0))[0]


def test_a_cell_comes_from_the_capture_that_owns_its_place() -> None:
    first, second = squares(60, 100), squares(60, 100)
    sheets = [paper((0, 0), 60, 100), paper((0, 0), 60, 100)]
    owner = owners(np.s_[:, :30], np.s_[:, 30:], shape=(60, 100))
    united = unite([first, second], sheets, owner, 0.6)
    mosaic, given = united.mosaic, united.given
    assert given == (18, 42)
    assert np.array_equal(mosaic.labels > 0, first.labels > 0)


def test_a_capture_without_cells_adds_none() -> None:
    sheets = [paper((0, 0), 60, 100), paper((0, 0), 60, 100)]
    united = unite([None, squares(60, 100)], sheets, np.zeros((60, 100), np.int16), 0.6)
    mosaic, given = united.mosaic, united.given
    assert (mosaic.n, given) == (60, (0, 60))
    assert mosaic.region is None and mosaic.guttae is None


def test_region_and_guttae_are_the_owners() -> None:
    everywhere, nowhere = np.ones((60, 100), bool), np.zeros((60, 100), bool)
    first = replace(squares(60, 100), region=everywhere, guttae=nowhere)
    second = replace(squares(60, 100), region=nowhere, guttae=everywhere)
    owner = owners(np.s_[:, :50], np.s_[:, 50:], shape=(60, 150))
    mosaic = unite([first, second], [paper((0, 0), 60, 100), paper((0, 50), 60, 100)], owner, 0.6).mosaic
    assert mosaic.region is not None and mosaic.guttae is not None
    assert np.array_equal(mosaic.region, np.broadcast_to(np.arange(150) < 50, (60, 150)))
    assert np.array_equal(mosaic.guttae, np.broadcast_to(np.arange(150) >= 50, (60, 150)))


@pytest.mark.parametrize("bits", [8, 12])
def test_a_capture_taken_with_more_gain_leaves_no_step(bits: int) -> None:
    texture = np.random.default_rng(1).uniform(0.8, 1.2, (120, 400))
    full = 2**bits - 1
    flat = FlatCapture(np.zeros((120, 240), np.float32), np.ones((120, 240), bool))
    dtype = np.uint8 if bits == 8 else np.uint16
    parts = [(0.3, 0), (0.5, 160)]
    pictures = [(gain * full * texture[:, left : left + 240]).astype(dtype) for gain, left in parts]
    sheets = [sheet(pixels, bits, flat, (0, left)) for pixels, (_, left) in zip(pictures, parts, strict=True)]
    stitched = stitch(sheets, (130, 400), bits)
    assert stitched.pixels.dtype == dtype and stitched.pixels.shape == (130, 400)
    shown = stitched.pixels[:120] / texture
    assert shown.std() / shown.mean() < 0.02
    assert np.all(stitched.pixels[120:] == 0) and np.all(stitched.owner[120:] == -1)
    assert abs(np.count_nonzero(stitched.owner[60] == 0) - 200) < 6  # brighter is not better
    assert np.all(stitched.owner[:120, :100] == 0) and np.all(stitched.owner[:120, 300:] == 1)


def noise(seed: int, rows: int = 100, columns: int = 100) -> PanoramaSource:
    return PanoramaSource(np.random.default_rng(seed).integers(0, 255, (rows, columns), np.uint8), 8)


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ([noise(1)], "2 to 16 captures, not 1"),
        ([noise(seed) for seed in range(CAPTURES_MAX + 1)], "2 to 16 captures, not 17"),
        ([noise(1), noise(2, 40, 100)], "capture 2 has 100x40 px"),
        ([noise(1), noise(2, 100, 3000)], "capture 2 has 3000x100 px"),
        ([noise(1), noise(2)], "1 and 2: they share no cells"),
    ],
)
def test_what_gives_no_panorama_is_told(sources: list[PanoramaSource], told: str) -> None:
    with pytest.raises(NoPanorama, match=told):
        make_panorama(sources)


def test_bits_that_cannot_be_are_named() -> None:
    with pytest.raises(ValueError, match=r"capture 2: bits_stored must be 1\.\.16, not 17"):
        make_panorama([noise(1), replace(noise(2), bits_stored=17)])


def test_captures_that_show_no_cells_are_stitched_and_refused() -> None:
    picture = np.random.default_rng(3).integers(60, 180, (200, 300), np.uint8)
    panorama = make_panorama([PanoramaSource(picture[:, :200], 8), PanoramaSource(picture[:, 80:], 8)])
    assert [source.place_px for source in panorama.sources] == [(0, 0), (0, 80)]
    assert panorama.pixels.shape == (200, 300)
    assert panorama.measurement.refusal is not None
    assert panorama.measurement.refusal.reason.startswith("no capture could be measured: ")
    assert panorama.measurement.morphometry is None and panorama.measurement.mosaic is None
