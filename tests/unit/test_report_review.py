"""The sheet for a reviewer: contours, region and guttae on the picture, and the caption below."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from report_samples import COLUMNS, ROWS, labels, mosaic_measurement, pixels, refused

from firmware_app.model import Interval, Measurement
from firmware_app.report import caption, colours
from firmware_app.report.contours import contour_lines, map_classes
from firmware_app.report.overlay import draw_overlay, with_cells
from firmware_app.report.review import GAP_PX, LONG_SIDE_MIN_PX, SHEET_SIDE_MAX_PX, draw_review

BIG = (COLUMNS * 6, ROWS * 6)


def with_masks(region: np.ndarray | None = None, guttae: np.ndarray | None = None) -> Measurement:
    plain = mosaic_measurement()
    assert plain.mosaic is not None
    return replace(plain, mosaic=replace(plain.mosaic, region=region, guttae=guttae))


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros((ROWS, COLUMNS), bool)
    mask[top:bottom, left:right] = True
    return mask


def changed(measurement: Measurement) -> np.ndarray:
    """Where the overlay is another than without masks."""
    plain = draw_overlay(pixels(), 8, mosaic_measurement(), BIG).astype(int)
    return np.abs(draw_overlay(pixels(), 8, measurement, BIG).astype(int) - plain).max(axis=2) > 8


# ---------------------------------------------------------------------------------------------- contours


def random_mosaic(seed: int) -> np.ndarray:
    dots = np.random.default_rng(seed).uniform(0, 60, (40, 2))
    rows, columns = np.indices((60, 60))
    away = (rows[..., None] - dots[:, 0]) ** 2 + (columns[..., None] - dots[:, 1]) ** 2
    found = away.argmin(axis=2).astype(np.int32) + 1
    found[:, :5] = 0
    return found


@pytest.mark.parametrize("seed", range(5))
def test_no_two_cells_near_each_other_share_a_class(seed: int) -> None:
    made = random_mosaic(seed)
    classes = map_classes(made)
    assert ((classes == 0) == (made == 0)).all()
    assert classes.max() <= 8
    for down in range(3):
        for across in range(-2, 3):
            if abs(down) + abs(across) > 3:
                continue
            one = made[: 60 - down, max(-across, 0) : 60 - max(across, 0)]
            other = made[down:, max(across, 0) : 60 + min(across, 0)]
            one_class = classes[: 60 - down, max(-across, 0) : 60 - max(across, 0)]
            other_class = classes[down:, max(across, 0) : 60 + min(across, 0)]
            assert (one_class != other_class)[one != other].all()


def test_a_line_lies_on_the_border_and_is_as_wide_as_asked() -> None:
    made = np.ones((40, 40), np.int32)
    made[:, 20:] = 2
    for width_px in (1.0, 2.0, 3.0):
        drawn = contour_lines(made, (200, 200), width_px)
        profile = drawn[100]
        assert profile.sum() == pytest.approx(width_px, rel=0.25)
        assert np.average(np.arange(200) + 0.5, weights=profile) == pytest.approx(100.0, abs=0.2)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.2, 2.0, 6.0])
def test_a_line_covers_nothing_but_itself_at_any_size(scale: float) -> None:
    made = np.ones((60, 60), np.int32)
    made[:, 30:] = 2
    side = round(60 * scale)
    profile = contour_lines(made, (side, side), 4.0)[side // 2]
    assert 2.0 < profile.sum() < 5.0
    assert not profile[: side // 2 - 4].any()
    assert not profile[side // 2 + 4 :].any()


def test_a_slanted_border_has_no_stairs() -> None:
    """The line's centre stays within half a pixel of the picture, where the label image jumps by five."""
    rows, columns = np.indices((60, 60))
    made = np.where(columns > 20 + rows / 3, 2, 1).astype(np.int32)
    drawn = contour_lines(made, (300, 300), 2.0)
    across = np.arange(300) + 0.5
    centres = np.array([np.average(across, weights=drawn[row]) for row in range(50, 250)])
    straight = np.polyval(np.polyfit(np.arange(50, 250), centres, 1), np.arange(50, 250))
    assert np.abs(centres - straight).max() < 1.0


# ---------------------------------------------------------------------------------------------- overlay


def test_the_trusted_region_is_outlined_by_dashes() -> None:
    region = box(6, 54, 1, 78)
    drawn = changed(with_masks(region=region))
    larger = np.repeat(np.repeat(region, 6, 0), 6, 1)
    edge = 4
    away = np.zeros_like(larger)
    away[edge:-edge, edge:-edge] = True
    for shift in ((edge, 0), (-edge, 0), (0, edge), (0, -edge)):
        away &= larger == np.roll(larger, shift, (0, 1))
    assert not drawn[away].any(), "nothing away from the line"
    top = draw_overlay(pixels(), 8, with_masks(region=region), BIG)[6 * 6 - 1 : 6 * 6 + 1].min(axis=(0, 2))
    assert 0.2 < (top[20:450] > 200).mean() < 0.8, "dashes, with gaps between them"


def test_a_region_that_is_everything_or_unknown_is_not_drawn() -> None:
    assert not changed(with_masks(region=np.ones((ROWS, COLUMNS), bool))).any()
    assert not changed(with_masks(guttae=np.zeros((ROWS, COLUMNS), bool))).any()


def test_guttae_are_hatched_and_outlined() -> None:
    guttae = box(42, 56, 10, 60)
    drawn = changed(with_masks(guttae=guttae))
    larger = np.repeat(np.repeat(guttae, 6, 0), 6, 1)
    inner = drawn[43 * 6 : 55 * 6, 11 * 6 : 59 * 6]
    assert 0.15 < inner.mean() < 0.6, "lines, between which the picture is seen"
    grown = np.zeros_like(larger)
    grown[42 * 6 - 4 : 56 * 6 + 4, 10 * 6 - 4 : 60 * 6 + 4] = True
    assert not drawn[~grown].any()


def test_masks_can_be_drawn_at_the_pictures_own_size() -> None:
    measurement = with_masks(box(6, 54, 1, 78), box(42, 56, 10, 60))
    assert draw_overlay(pixels(), 8, measurement).shape == (ROWS, COLUMNS, 3)


# ---------------------------------------------------------------------------------------------- sheet


def sheet(measurement: Measurement, frame: np.ndarray | None = None, um_per_px: float | None = 3.0) -> np.ndarray:
    return draw_review(pixels() if frame is None else frame, 8, measurement, "eye 1.png", um_per_px)


def test_a_small_picture_is_enlarged_and_stands_beside_its_plain_self() -> None:
    wide = sheet(mosaic_measurement())
    assert wide.shape[1] == LONG_SIDE_MIN_PX
    height = LONG_SIDE_MIN_PX * ROWS // COLUMNS
    plain, drawn = wide[:height], wide[height + GAP_PX : 2 * height + GAP_PX]
    assert (plain[: height // 2].max(axis=2) == plain[: height // 2].min(axis=2)).all(), "plain is grey"
    assert (drawn.max(axis=2) != drawn.min(axis=2)).mean() > 0.1
    assert 150 < wide.shape[0] - (2 * height + GAP_PX) < 300, "and a caption"


def test_an_upright_picture_has_its_plain_self_at_its_side() -> None:
    measurement = mosaic_measurement()
    assert measurement.mosaic is not None
    turned = replace(measurement, mosaic=replace(measurement.mosaic, labels=np.ascontiguousarray(labels().T)))
    high = sheet(turned, np.ascontiguousarray(pixels().T))
    assert high.shape[1] == 2 * (LONG_SIDE_MIN_PX * ROWS // COLUMNS) + GAP_PX


def test_a_large_picture_is_not_enlarged_and_stands_alone() -> None:
    times = 30
    frame = np.repeat(np.repeat(pixels(), times, 0), times, 1)
    measurement = mosaic_measurement()
    assert measurement.mosaic is not None
    large = np.repeat(np.repeat(labels(), times, 0), times, 1)
    made = sheet(replace(measurement, mosaic=replace(measurement.mosaic, labels=large)), frame)
    assert made.shape[1] == COLUMNS * times
    assert made.shape[0] < ROWS * times + 300
    assert 2 * ROWS * times > SHEET_SIDE_MAX_PX


def test_a_refused_picture_has_its_reason_and_is_drawn_once() -> None:
    one, other = sheet(refused("out of focus")), sheet(refused("no cells"))
    assert one.shape == other.shape
    height = LONG_SIDE_MIN_PX * ROWS // COLUMNS
    assert one.shape[0] < height + 250
    assert np.array_equal(one[:height], other[:height])
    assert not np.array_equal(one[height:], other[height:])


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (900, 3), (1, 2000)])
def test_no_picture_is_too_odd_for_a_sheet(shape: tuple[int, int]) -> None:
    assert sheet(refused("too small"), np.zeros(shape, np.uint8)).ndim == 3


def test_a_long_reason_and_many_warnings_do_not_run_out_of_the_caption() -> None:
    assert sheet(refused("word " * 2000)).shape[0] < 2000
    assert sheet(mosaic_measurement(warnings=("warning " * 40,) * 50)).shape[0] < 2500


def test_without_a_scale_there_is_no_bar_and_no_density() -> None:
    unscaled = mosaic_measurement(um_per_px=None)
    with_bar, without = sheet(mosaic_measurement()), sheet(unscaled, um_per_px=None)
    corner = (slice(LONG_SIDE_MIN_PX * ROWS // COLUMNS - 44, LONG_SIDE_MIN_PX * ROWS // COLUMNS - 10), slice(10, 60))
    assert (with_bar[corner] == np.array(colours.INK)).all(axis=2).any()
    assert not (without[corner] == np.array(colours.INK)).all(axis=2).any()
    assert unscaled.morphometry is not None
    label, value, unit, below = caption.figures_of(unscaled.morphometry)[0]
    assert (label, unit, below) == ("AVG", "px²", "no scale: no density")
    assert value == f"{unscaled.morphometry.mean_area_px:.0f}"


def test_the_figures_stand_with_their_intervals() -> None:
    numbers = mosaic_measurement().morphometry
    assert numbers is not None
    numbers = replace(numbers, cd_interval=Interval(2401.6, 2655.2), cv_interval=Interval(24.12, 31.0))
    shown = caption.figures_of(numbers)
    assert [label for label, *_ in shown] == ["CD", "CV", "HEX", "N"]
    intervals = ["95 %: 2402 to 2655", "95 %: 24.1 to 31.0", "95 %: 15.2 to 64.6"]
    assert [below for *_, below in shown] == [*intervals, "11 with all neighbours"]
    assert caption.figures_of(replace(numbers, hex_interval=None))[2][3] == ""
    assert caption.figures_of(replace(numbers, hex_percent=None))[2][1] == "–"


def test_the_legend_names_only_what_is_drawn() -> None:
    plain, masked = sheet(with_masks()), sheet(with_masks(box(6, 54, 1, 78), box(42, 56, 10, 60)))
    strip = slice(-75, -45)
    assert not np.array_equal(plain[strip], masked[strip])


def test_cells_can_be_drawn_on_a_picture_of_any_size() -> None:
    mosaic = mosaic_measurement().mosaic
    assert mosaic is not None
    for size in ((COLUMNS // 2, ROWS // 2), (COLUMNS, ROWS), (COLUMNS * 2 + 1, ROWS * 2 - 1)):
        grey = np.zeros((size[1], size[0], 3), np.uint8)
        assert with_cells(grey, mosaic).shape == grey.shape
