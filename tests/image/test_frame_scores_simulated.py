"""Scores of frames on the simulated eye: what gets worse is scored worse, and what is unusable says the true reason."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest

from firmware_app.endothelium.measure import measure
from firmware_app.endothelium.quality import assess_quality
from firmware_app.endothelium.usability import score_frame
from firmware_app.model import Eye, Position
from hw.sim import optics
from hw.sim.eye import SimulatedHead
from hw.sim.reflexes import DIMMING_DEFOCUS_UM, REFLEX_LEVEL, REFLEX_RADIUS_UM, bell

SEEDS = (2, 9)
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@lru_cache(maxsize=4)
def head(seed: int) -> SimulatedHead:
    return SimulatedHead(seed)


def frame(
    seed: int,
    *,
    defocus_um: float = 0.0,
    smear_um: tuple[float, float] = (0.0, 0.0),
    off_um: float = 0.0,
    haze: float = 0.0,
    bits: int = 8,
) -> Pixels:
    """As through a slit as wide as the picture: the bands of the simulated eye have tests of their own."""
    eye = head(seed).eyes[Eye.RIGHT]
    view = optics.View(off_um, 0.0, defocus_um, *smear_um)
    x = (np.arange(optics.COLUMNS) - optics.COLUMNS / 2) * optics.UM_PER_PX + off_um
    y = (np.arange(optics.ROWS) - optics.ROWS / 2) * optics.UM_PER_PX
    level = REFLEX_LEVEL / (1 + (defocus_um / DIMMING_DEFOCUS_UM) ** 2)
    across, beside = level * bell(x, REFLEX_RADIUS_UM), 0.035 * bell(x, 2 * REFLEX_RADIUS_UM)
    down = bell(y, REFLEX_RADIUS_UM) * (1 - 0.15 * (y / y[0]) ** 2)
    light = optics.scene(eye.spectrum, view) * across.astype(np.float32) + beside.astype(np.float32)
    light *= down.astype(np.float32)[:, None]
    light = light * np.float32(1 - haze) + np.float32(0.3 * haze)
    return optics.expose(light, bits, optics.NOMINAL_EXPOSURE_US, 1.0, np.random.default_rng(seed))


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("seed", SEEDS)
def test_defocus_smear_and_haze_lower_the_scores_in_order(seed: int, bits: int) -> None:
    series = {
        "defocus": [frame(seed, defocus_um=dz, bits=bits) for dz in (0, 20, 40, 60, 100)],
        "smear": [frame(seed, smear_um=(smear, 0.0), bits=bits) for smear in (0, 5, 8, 12, 20)],
        "haze": [frame(seed, haze=haze, bits=bits) for haze in (0.0, 0.3, 0.6, 0.8, 0.9)],
    }
    for name, frames in series.items():
        scores = [score_frame(pixels, bits) for pixels in frames]
        qualities = [assess_quality(pixels.astype(np.float32), bits, 1.0) for pixels in frames]
        found = [score.sharpness for score in scores]
        assert found == sorted(found, reverse=True), name
        usable = [score.usability for score in scores]
        assert usable == sorted(usable, reverse=True), name
        worst = {
            "defocus": [quality.focus for quality in qualities],
            "smear": [quality.motion for quality in qualities],
            "haze": [quality.contrast for quality in qualities],
        }[name]
        assert worst == sorted(worst, reverse=True), name
        assert worst[-1] < 0.5 < worst[0]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({}, ""),
        ({"defocus_um": 40.0}, ""),
        ({"off_um": 400.0}, ""),
        ({"smear_um": (0.0, 5.0)}, ""),
        ({"smear_um": (0.0, 20.0)}, "smeared: the eye moved"),
        ({"smear_um": (20.0, 0.0)}, "smeared: the eye moved"),
        ({"defocus_um": 130.0}, "out of focus"),
        ({"defocus_um": 400.0}, "no cells to be seen"),
        ({"off_um": 1070.0}, "too dark"),
        ({"off_um": 3000.0}, "dark: the lid is closed"),
    ],
)
def test_the_reason_is_the_true_one(seed: int, made: dict[str, float], reason: str) -> None:
    score = score_frame(frame(seed, **made), 8)  # type: ignore[arg-type]
    assert score.reason.startswith(reason)
    assert score.is_usable == (reason == "")
    assert score.is_empty == reason.startswith("dark")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_grade_is_not_too_kind_to_defocus(seed: int) -> None:
    grades = [measure(frame(seed, defocus_um=dz), 8, optics.UM_PER_PX).quality.grade for dz in (0, 20, 40, 60, 80)]
    assert grades[0] == "A"
    assert grades[1] in "AB" and grades[2] in "BC" and grades[3] in "CD" and grades[4] == "D"


def test_a_blink_within_a_burst_of_the_moving_eye() -> None:
    """Position in front of the simulated head, where it looks at a cheek: black frames, as behind a closed lid."""
    focus = head(2).focus(Eye.RIGHT)
    away = Position(focus.x_um + 20_000, focus.y_um, focus.z_um)
    for bits in (8, 12):
        score = score_frame(head(2).render(away, 1.0, bits), bits)
        assert score.is_empty and score.reason.startswith("dark")
