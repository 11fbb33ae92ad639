"""Which frame of a burst is kept, what is said of the others, and the grade of a picture: on made-up frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from firmware_app.endothelium.filters import Plane
from firmware_app.endothelium.quality import assess_quality, pooled_quality
from firmware_app.endothelium.sharpness import sharpness
from firmware_app.endothelium.texture import texture
from firmware_app.endothelium.usability import FrameScore, score_frame
from firmware_app.model import Frame, Quality
from firmware_app.services.capture import Kept, sharpest
from hw.errors import Refused

ROWS, COLUMNS = 480, 640
Image = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
DARK = "dark: the lid is closed, or no light comes back"


def cells(blur_px: float = 1.0, smear_px: int = 1, contrast: float = 1.0) -> Image:
    """Random structure with lines about 3 px wide, mean 110, blurred and smeared along the rows, camera noise of 2."""
    rng = np.random.default_rng(7)
    field = Plane(rng.standard_normal((ROWS, COLUMNS)).astype(np.float32), 20).gaussian(5.0)
    lines = -np.exp(-((field / field.std() / 0.25) ** 2)).astype(np.float32)
    shown = Plane(lines, 30).gaussian(blur_px)
    if smear_px > 1:
        shown = np.mean([np.roll(shown, step, axis=1) for step in range(smear_px)], axis=0)
    noise = rng.normal(0, 2, shown.shape)
    return (120 + contrast * 50 * shown + noise).astype(np.float32)


def grey(image: npt.NDArray[np.floating]) -> Pixels:
    return np.clip(image, 0, 255).astype(np.uint8)


def dark() -> Pixels:
    return grey(np.random.default_rng(1).normal(5, 2, (ROWS, COLUMNS)))


def partly(hidden: float, value: float) -> Pixels:
    return grey(np.where(np.arange(COLUMNS) < hidden * COLUMNS, value, cells()))


REJECTED: dict[str, tuple[Pixels, str]] = {
    "a blink": (dark(), DARK),
    "a lid in the light": (
        grey(np.random.default_rng(2).normal(90, 2, (ROWS, COLUMNS))),
        "no cells to be seen: a blink, haze, or far out of focus",
    ),
    "black pixels": (np.zeros((ROWS, COLUMNS), np.uint8), DARK),
    "a flash band": (partly(0.6, 255), "60 % of the frame is overexposed"),
    "off centre": (partly(0.8, 4), "only 20 % of the frame shows cells: the reflex is off centre or hidden"),
    "a saccade": (grey(cells(smear_px=24)), "smeared: the eye moved"),
    "out of focus": (grey(cells(blur_px=8.0, contrast=4.0)), "out of focus"),
    "white": (np.full((ROWS, COLUMNS), 255, np.uint8), "100 % of the frame is overexposed"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_a_frame_that_is_not_usable_says_why(name: str) -> None:
    pixels, reason = REJECTED[name]
    score = score_frame(pixels, 8)
    assert score.reason.startswith(reason)
    assert score.usability < 0.5 and not score.is_usable
    assert score.is_empty == (name in ("a blink", "black pixels", "white"))


@pytest.mark.parametrize("bits", [8, 12])
def test_a_good_frame_is_usable_and_as_sharp_as_the_autofocus_says(bits: int) -> None:
    pixels = grey(cells()).astype(np.uint16) * 16 + 8 if bits == 12 else grey(cells())
    score = score_frame(pixels, bits)
    assert score == FrameScore(sharpness(pixels), score.usability)
    assert score.usability > 0.9


@pytest.mark.parametrize(("gain", "offset"), [(0.6, 0.0), (1.6, 0.0), (1.0, 60.0)])
def test_blur_and_motion_do_not_depend_on_gain_and_offset(gain: float, offset: float) -> None:
    for image in (cells(), cells(blur_px=3.0), cells(smear_px=10)):
        changed = score_frame((100 * (gain * image + offset)).astype(np.uint16), 16)
        before = score_frame((100 * image).astype(np.uint16), 16)
        assert changed.usability == pytest.approx(before.usability, abs=0.02)
        one, other = (assess_quality(each, 8, 1.0) for each in (image, gain * image + np.float32(offset)))
        assert (other.focus, other.motion) == pytest.approx((one.focus, one.motion), abs=0.02)


@pytest.mark.parametrize("turned", [False, True])
def test_a_smear_in_any_direction_is_motion_and_a_blur_is_not(turned: bool) -> None:
    motion = []
    for smear in (1, 6, 12, 24):
        image = cells(smear_px=smear)
        motion.append(assess_quality(np.ascontiguousarray(image.T) if turned else image, 8, 1.0).motion)
    assert motion == sorted(motion, reverse=True)
    assert motion[0] == 1.0 and motion[-1] < 0.3
    assert assess_quality(cells(blur_px=3.0), 8, 1.0).motion > 0.9


def test_focus_falls_with_blur_at_the_scale_of_the_cells() -> None:
    focus = [assess_quality(cells(blur_px=blur), 8, 1.0).focus for blur in (0.8, 2.0, 3.0, 5.0)]
    assert focus == sorted(focus, reverse=True)
    assert focus[-1] < 0.3
    twice = np.repeat(np.repeat(cells(blur_px=2.0), 2, axis=0), 2, axis=1)
    twice = Plane(twice, 4).gaussian(1.0)
    plain = assess_quality(cells(blur_px=2.0), 8, 1.0).focus
    assert assess_quality(twice, 8, 1.0).focus < plain - 0.2
    assert assess_quality(twice, 8, 1.0, spacing_px=44.0).focus == pytest.approx(plain, abs=0.15)


def test_the_segmentation_can_only_lower_the_focus() -> None:
    assert assess_quality(cells(), 8, 0.3).focus == pytest.approx(0.3)
    assert "cell borders are unclear" in " ".join(assess_quality(cells(), 8, 0.3).reasons)
    assert assess_quality(cells(blur_px=6.0), 8, 1.0).grade in "CD"


def test_the_grade_has_reasons_exactly_where_it_is_not_an_a() -> None:
    for image in (cells(), cells(blur_px=3.0), cells(blur_px=6.0), cells(smear_px=16), cells(contrast=0.2)):
        quality = assess_quality(image, 8, 1.0)
        assert (quality.grade == "A") == (not quality.reasons), quality


@pytest.mark.parametrize("shape", [(1, 1), (8, 500), (31, 31), (40, 33)])
def test_small_pictures_are_judged_without_harm(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, shape, np.uint8)
    assert assess_quality(pixels.astype(np.float32), 8, 0.9).focus <= 0.9
    assert 0.0 <= score_frame(pixels, 8).usability <= 1.0


def test_one_bright_edge_outweighs_no_tiles_of_cells() -> None:
    image = cells()
    image[:, 300:] += 100
    found = texture_of(image)
    assert found.coherence() < 0.1
    assert found.fineness() == pytest.approx(texture_of(cells()).fineness(), rel=0.05)


def texture_of(image: Image):  # type: ignore[no-untyped-def]
    from firmware_app.endothelium.haar import octaves

    return texture(list(octaves(image, 5)))


@pytest.mark.parametrize(
    ("pixels", "bits", "named"),
    [
        (np.zeros((2, 3, 3), np.uint8), 8, "shape"),
        (np.zeros((9, 9), np.float32), 8, "float32"),
        (np.zeros((99, 99), np.uint8), 0, "bits_stored"),
    ],
)
def test_what_is_no_frame_is_named(pixels: npt.NDArray[np.generic], bits: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        score_frame(pixels, bits)


def test_the_quality_of_several_pictures_is_weighted_with_their_cells() -> None:
    good = Quality("A", 1.0, 1.0, 1.0)
    poor = Quality("D", 0.2, 0.8, 1.0, ("out of focus",), motion=0.6)
    pooled = pooled_quality({"capture 1": good, "capture 3": poor}, [300, 100])
    assert (pooled.focus, pooled.contrast, pooled.motion) == pytest.approx((0.8, 0.95, 0.9))
    assert (pooled.grade, pooled.reasons) == ("A", ("capture 3: out of focus",))
    assert pooled_quality({"capture 1": good, "capture 3": poor}, [1, 0]) == good
    assert pooled_quality({"capture 1": good, "capture 3": poor}, [0, 0]).focus == pytest.approx(0.6)


# ------------------------------------------------------------------------------------------------- the burst


def burst(*pictures: npt.NDArray[np.floating] | Pixels) -> list[Frame]:
    return [Frame(grey(picture), 8, number, number) for number, picture in enumerate(pictures)]


def kept(*pictures: npt.NDArray[np.floating] | Pixels) -> Kept:
    return sharpest(burst(*pictures))


def test_the_sharpest_usable_frame_is_kept_and_the_others_are_told() -> None:
    flash = partly(0.6, 255)
    found = kept(cells(blur_px=2.0), dark(), cells(), flash, cells(blur_px=1.5))
    assert found.frame.sequence == 2
    assert found.score.is_usable
    assert len(found.rejected) == 2
    assert found.rejected[0] == DARK and "overexposed" in found.rejected[1]
    assert found.lines(5) == [
        f"1 of 5 frames rejected: {DARK}",
        f"1 of 5 frames rejected: {found.rejected[1]}",
        f"the sharpest of 3 frames kept, sharpness {found.score.sharpness:.3g}",
    ]


def test_a_sharper_frame_that_is_not_usable_does_not_win() -> None:
    edges = np.where(np.arange(COLUMNS) < 0.7 * COLUMNS, 255.0 * (np.arange(COLUMNS) // 5 % 2), 4.0) * np.ones(
        (ROWS, 1)
    )
    assert sharpness(grey(edges)) > sharpness(grey(cells(blur_px=2.0)))
    assert kept(edges, cells(blur_px=2.0)).frame.sequence == 1


def test_in_doubt_the_patients_picture_is_kept_and_the_doubt_is_told() -> None:
    found = kept(dark(), cells(smear_px=40), cells(smear_px=24), dark())
    assert found.frame.sequence == 2
    assert found.score.reason == "smeared: the eye moved"
    assert found.rejected == (DARK, "smeared: the eye moved", DARK)
    assert found.lines(4) == [
        f"2 of 4 frames rejected: {DARK}",
        "1 of 4 frames rejected: smeared: the eye moved",
        "no frame is good, the best one is kept: smeared: the eye moved; capture again if you can",
    ]


def test_haze_alone_is_kept_for_it_may_be_the_patients_cornea() -> None:
    haze = np.random.default_rng(5).normal(90, 2, (ROWS, COLUMNS))
    assert kept(haze).score.reason.startswith("no cells to be seen")


def test_nothing_at_all_is_refused_with_the_reasons() -> None:
    white = np.full((ROWS, COLUMNS), 255, np.uint8)
    with pytest.raises(Refused, match=r"capture: nothing to keep in 3 frames: dark: the lid is closed.*; 100 % of"):
        kept(dark(), white, dark())
