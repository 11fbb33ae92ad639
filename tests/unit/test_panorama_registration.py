"""Registration and placement on made-up scenes: what is found, what is refused, and which pair is not believed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from firmware_app.endothelium.filters import Plane
from firmware_app.endothelium.placement import place
from firmware_app.endothelium.registration import Match, Registrar, Shift, flatten

ROWS, COLUMNS = 240, 320
Image = npt.NDArray[np.float32]


def scene(seed: int, rows: int = 640, columns: int = 840) -> Image:
    """Structure of the fineness of cell borders, mean 100 and deviation 20."""
    noise = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    smooth = Plane(noise, 20).gaussian(2.0)
    return 100 + 20 * smooth / smooth.std()


def crop(image: Image, row: int, column: int, rows: int = ROWS, columns: int = COLUMNS, seed: int = 0) -> Image:
    noise = np.random.default_rng([9, seed, row, column]).normal(0, 5, (rows, columns))
    return (image[row : row + rows, column : column + columns] + noise).astype(np.float32)


def grey(image: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    return np.clip(image, 0, 254).astype(np.uint8)


def match(first: Image, second: Image, expected_px: tuple[float, float] | None = None) -> Match:
    return Registrar([flatten(grey(first)), flatten(grey(second))]).match(0, 1, expected_px)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 250), (-150, 60), (180, 20), (-40, -240), (130, 190), (3, -1)])
def test_shifts_in_every_direction_down_to_a_fifth_of_overlap(row: int, column: int) -> None:
    image = scene(1)
    found = match(crop(image, 200, 260), crop(image, 200 + row, 260 + column, seed=1)).shift
    assert found is not None
    assert (found.rows_px, found.columns_px) == pytest.approx((row, column), abs=0.2)
    true_overlap = (ROWS - abs(row)) * (COLUMNS - abs(column)) / (ROWS * COLUMNS)
    assert found.overlap == pytest.approx(true_overlap, abs=0.02)
    assert found.correlation > 0.7


def test_captures_of_different_sizes() -> None:
    image = scene(2)
    found = match(crop(image, 100, 100), crop(image, 160, 180, rows=150, columns=200)).shift
    assert found is not None
    assert (found.rows_px, found.columns_px) == pytest.approx((60, 80), abs=0.2)
    assert found.overlap == pytest.approx(1.0, abs=0.02)


def test_it_says_the_opposite_when_asked_the_other_way_round() -> None:
    image = scene(3)
    registrar = Registrar([flatten(grey(crop(image, 100, 100))), flatten(grey(crop(image, 130, 250)))])
    there, back = registrar.match(0, 1).shift, registrar.match(1, 0).shift
    assert there is not None and back is not None
    assert (there.rows_px, there.columns_px) == pytest.approx((-back.rows_px, -back.columns_px), abs=0.05)


def test_gain_and_offset_do_not_matter() -> None:
    image = scene(4)
    first, second = crop(image, 100, 100), crop(image, 120, 220)
    plain = match(first, second).shift
    changed = Registrar([flatten(grey(first)), flatten((second * 9 + 500).astype(np.uint16))]).match(0, 1).shift
    assert plain is not None and changed is not None
    assert (changed.rows_px, changed.columns_px) == pytest.approx((plain.rows_px, plain.columns_px), abs=0.02)


def camera(image: Image) -> Image:
    """Vignetting, a light that is brighter to one side, a black frame, a bright text, and dust: all of the camera."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    seen = image * (0.3 + 0.7 * np.exp(-(((row - 120) / 110) ** 2) - ((column - 100) / 160) ** 2))
    seen *= 1 - 0.5 * (np.hypot(row - 60, column - 200) < 5)
    seen[:12], seen[:, :12] = 0, 0
    seen[200:212, 40:90:3] = 255
    return seen.astype(np.float32)


def test_what_stays_with_the_camera_does_not_count() -> None:
    image = scene(5)
    found = match(camera(crop(image, 100, 100)), camera(crop(image, 150, 260))).shift
    assert found is not None
    assert (found.rows_px, found.columns_px) == pytest.approx((50, 160), abs=0.3)
    unrelated = match(camera(crop(image, 100, 100)), camera(crop(scene(6), 100, 100)))
    assert unrelated.shift is None
    assert "share no cells" in unrelated.reason


@pytest.mark.parametrize("seed", range(20, 26))
def test_unrelated_captures_have_no_shift(seed: int) -> None:
    image = scene(seed)
    for other in (crop(scene(seed + 100), 0, 0), crop(image, 300, 400)):
        assert match(crop(image, 0, 0), other) == Match(
            None, "they share no cells: no overlap, another eye, or too blurred"
        )


def test_a_blank_capture_is_told() -> None:
    blank = np.full((ROWS, COLUMNS), 80, np.float32)
    assert match(crop(scene(1), 0, 0), blank) == Match(None, "one of them is blank")


def test_a_scene_that_repeats_is_ambiguous_unless_the_stage_knows() -> None:
    image = np.tile(scene(7, 640, 200), (1, 4))
    first, second = crop(image, 100, 300), crop(image, 110, 390)  # 90 to the right, or 110 to the left
    refused = match(first, second)
    assert refused.shift is None
    assert refused.reason.startswith("ambiguous: a shift of +90 columns and +10 rows fits")
    assert refused.rival is not None and refused.rival.columns_px == -110
    for expected, column in (((0.0, 130.0), 90), ((0.0, -140.0), -110)):
        found = match(first, second, expected).shift
        assert found is not None and found.columns_px == pytest.approx(column, abs=0.2)
    assert match(first, second, (0.0, 0.0)).shift is None  # near both
    assert match(first, second, (0.0, 900.0)).shift is None  # near none


def test_the_stage_alone_makes_no_match() -> None:
    assert match(crop(scene(1), 0, 0), crop(scene(2), 0, 0), (0.0, 40.0)).shift is None


# ------------------------------------------------------------------------------------------------- placement


def shift(rows: float, columns: float, sigmas: float = 50.0) -> Shift:
    return Shift(rows, columns, 0.9, sigmas, 0.4)


TRUE = {0: (0.0, 100.0), 1: (10.0, 300.0), 2: (150.0, 0.0), 3: (160.0, 210.0)}


def pair(a: int, b: int, sigmas: float = 50.0, off: tuple[float, float] = (0.0, 0.0)) -> Shift:
    return shift(TRUE[b][0] - TRUE[a][0] + off[0], TRUE[b][1] - TRUE[a][1] + off[1], sigmas)


def test_all_pairs_together_place_the_captures() -> None:
    rng = np.random.default_rng(1)
    pairs = [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3), (1, 2)]
    placed = place(4, {(a, b): pair(a, b, off=tuple(rng.normal(0, 0.5, 2))) for a, b in pairs})
    for capture, true in TRUE.items():
        assert placed.places[capture] == pytest.approx(true, abs=1.0)
    assert min(row for row, _ in placed.places.values()) == min(column for _, column in placed.places.values()) == 0
    assert placed.rejected == ()
    assert 0.1 < placed.error_px < 1.0


@pytest.mark.parametrize("sigmas", [20.0, 200.0])
@pytest.mark.parametrize("wrong", [(0, 1), (1, 3), (0, 3)])
def test_one_wrong_pair_is_found_however_sure_it_is(wrong: tuple[int, int], sigmas: float) -> None:
    pairs = {(a, b): pair(a, b) for a, b in [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (0, 3)]}
    placed = place(4, pairs | {wrong: pair(*wrong, sigmas=sigmas, off=(0.0, 30.0))})
    assert placed.rejected == (wrong,)
    for capture, true in TRUE.items():
        assert placed.places[capture] == pytest.approx(true, abs=1e-6)


def test_of_a_triangle_that_does_not_close_the_surer_pairs_are_believed() -> None:
    placed = place(3, {(0, 1): pair(0, 1), (1, 2): pair(1, 2), (0, 2): pair(0, 2, sigmas=15.0, off=(40.0, 0.0))})
    assert placed.rejected == ((0, 2),)


def test_only_the_largest_group_is_placed() -> None:
    placed = place(5, {(0, 4): shift(5, 5), (1, 2): pair(1, 2), (2, 3): pair(2, 3)})
    assert sorted(placed.places) == [1, 2, 3]
    assert sorted(place(4, {(0, 1): shift(0, 9), (2, 3): shift(0, 9)}).places) == [0, 1]
