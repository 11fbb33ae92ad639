"""What keeps cells from being seen is called by its name, and the largest obstacle is told first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from firmware_app.endothelium.filters import BoolImage, FloatImage, Plane
from firmware_app.endothelium.obstacles import RADIUS_PX, Obstacles, find_obstacles

ROWS, COLUMNS = 120, 200
MARGIN_PX = RADIUS_PX + 1  # the level of a pixel is that of a little square around it


def textured() -> FloatImage:
    """Grey structure of the size of cells, with a few black and a few white pixels as every picture has."""
    noise = Plane(np.random.default_rng(1).normal(size=(ROWS, COLUMNS)).astype(np.float32), 20).gaussian(3.0)
    image = np.clip(110 + 30 * noise / noise.std(), 40, 170).astype(np.float32)
    image[:2, :20], image[-2:, :20] = 0, 255
    return image


def left(share: float) -> npt.NDArray[np.bool_]:
    return np.broadcast_to(np.arange(COLUMNS) < share * COLUMNS, (ROWS, COLUMNS))


def nowhere() -> BoolImage:
    return np.zeros((ROWS, COLUMNS), bool)


def test_nothing_is_told_where_cells_can_be_told() -> None:
    found = find_obstacles(textured(), ~nowhere(), nowhere())
    assert found == Obstacles(0, 0, 0, 0)
    assert found.told() == ""


def test_a_blinded_picture() -> None:
    image = np.where(left(0.6), np.float32(245), textured())
    found = find_obstacles(image, ~left(0.6), nowhere())
    assert found.blinded == pytest.approx(0.6, abs=0.03)
    assert found.told() == f"{100 * found.blinded:.0f} % of the picture is overexposed by a bright reflex (flash band)"


def test_a_dark_picture() -> None:
    image = np.where(left(0.7), np.float32(3), textured())
    found = find_obstacles(image, ~left(0.7), nowhere())
    assert found.dark == pytest.approx(0.7, abs=0.03)
    assert found.told() == f"{100 * found.dark:.0f} % of the picture is dark"


def test_a_hazy_picture() -> None:
    found = find_obstacles(textured(), ~left(0.8), nowhere())
    assert found.unclear == pytest.approx(0.8, abs=0.03)
    assert found.told().startswith(f"{100 * found.unclear:.0f} % of the picture is hazy or out of focus")


def test_a_picture_of_guttae() -> None:
    found = find_obstacles(textured(), ~left(0.5), left(0.5))
    assert found.guttae == pytest.approx(0.5, abs=0.03)
    assert found.told() == f"{100 * found.guttae:.0f} % of the picture is covered by guttae"


def test_what_is_well_lit_and_shows_cells_is_not_blinded() -> None:
    bright = np.maximum(textured(), np.float32(215))
    assert find_obstacles(bright, ~nowhere(), nowhere()).blinded == 0


def test_every_pixel_counts_for_one_thing_and_the_largest_comes_first() -> None:
    column = np.arange(COLUMNS) / COLUMNS
    image = textured()
    image[:, column < 0.22] = 250
    image[:, (column >= 0.22) & (column < 0.6)] = 2
    guttae = np.broadcast_to((column >= 0.1) & (column < 0.75), image.shape)  # black and blinded places are no guttae
    region = np.broadcast_to(column >= 0.87, image.shape)
    found = find_obstacles(image, region, guttae)
    assert found.dark + found.blinded + found.guttae + found.unclear == pytest.approx(0.87, abs=0.001)
    for share, expected in zip(
        (found.dark, found.blinded, found.guttae, found.unclear), (0.38, 0.22, 0.15, 0.12), strict=True
    ):
        assert share == pytest.approx(expected, abs=MARGIN_PX * 2 / COLUMNS)
    told = [part.split(" % of the picture is ")[1] for part in found.told().split("; ")]
    assert told == [
        "dark",
        "overexposed by a bright reflex (flash band)",
        "covered by guttae",
        "hazy or out of focus: no cell borders stand out",
    ]


def test_less_than_a_tenth_is_not_worth_telling() -> None:
    assert Obstacles(0.1, 0.05, 0.0, 0.1).told() == ""
    assert Obstacles(0.11, 0.05, 0.0, 0.1).told() == "11 % of the picture is dark"


@pytest.mark.parametrize("gain", [1 / 255, 16.0, 257.0])
def test_shares_do_not_depend_on_gain_and_offset(gain: float) -> None:
    image = np.where(left(0.3), np.float32(250), np.where(left(0.6), np.float32(4), textured()))
    one, other = (
        find_obstacles(image, nowhere(), nowhere()),
        find_obstacles((image * gain + 100).astype(np.float32), nowhere(), nowhere()),
    )
    assert other.dark == pytest.approx(one.dark, abs=0.01)
    assert other.blinded == pytest.approx(one.blinded, abs=0.01)


def test_a_picture_of_one_grey_is_told_without_a_division_by_zero() -> None:
    found = find_obstacles(np.full((ROWS, COLUMNS), 7, np.float32), nowhere(), nowhere())
    assert found.dark == 1
