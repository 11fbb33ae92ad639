"""Whether a frame of a burst is worth keeping, in a few milliseconds: the sharpest one may show a lid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.checks import require_image
from firmware_app.endothelium.haar import octaves
from firmware_app.endothelium.sharpness import OCTAVES, detail_of
from firmware_app.endothelium.texture import Texture, texture

ACCEPTED = 0.5  # every part of the score is scaled so that this is the bound

# Each as (worst, best): what scores 0 and what scores 1. Set on the simulated eye, where ACCEPTED is crossed at a
# smear of 12 um, a defocus of 100 um, and 800 um beside the apex; annotated images of seven kinds score above it.
BRIGHTNESS = (0.0, 0.09)  # of full scale, of the brightest tenth of the tiles
EXTENT = (0.0, 0.5)  # share of tiles that show detail
COHERENCE = (0.72, 0.12)
FINENESS = (0.2, 0.45)
CLIPPED = 0.97  # of full scale, the mean of a whole tile

EMPTY_EXTENT = 0.1
EMPTY_CLIPPED = 0.95


@dataclass(frozen=True, slots=True)
class FrameScore:
    """What one frame is worth.

    `sharpness` is that of `endothelium.sharpness`; `usability` 0..1 is the worst of light, exposure, extent, motion and
    focus; `reason` says what is wrong with a frame that is not usable. `is_empty` frames hold nothing that could be
    looked at later: black all over, or white.
    """

    sharpness: float
    usability: float
    reason: str = ""
    is_empty: bool = False

    @property
    def is_usable(self) -> bool:
        return not self.reason


def score_frame(pixels: npt.NDArray[np.generic], bits_stored: int) -> FrameScore:
    """The score of a 2-D integer frame of `bits_stored` bits; `ValueError` for anything else."""
    image = require_image(pixels)
    if not 1 <= bits_stored <= 16:
        raise ValueError(f"bits_stored must be 1..16, not {bits_stored}")
    details = list(octaves(image, OCTAVES))
    found = texture(details)
    if found is None:
        return FrameScore(0.0, 0.0, f"too small to be judged: {image.shape[1]}x{image.shape[0]} px", is_empty=True)
    full_scale = float(2**bits_stored - 1)
    # the tiles leave out a strip at the edges; the sharpness is the same as everywhere else
    mean = float(image.mean())
    sharpness = detail_of(details) / mean if mean > 0 else 0.0
    clipped = float(np.mean(found.mean >= CLIPPED * full_scale))
    light = scaled(float(np.percentile(found.mean, 90)) / full_scale, BRIGHTNESS)
    is_bare = found.detailed_share < EMPTY_EXTENT
    if light < ACCEPTED and is_bare:
        return FrameScore(sharpness, 0.0, "dark: the lid is closed, or no light comes back", is_empty=True)
    scores = {
        f"{100 * clipped:.0f} % of the frame is overexposed": 1.0 - clipped,
        "too dark": light,
        extent_words(found): scaled(found.detailed_share, EXTENT),
    }
    if not is_bare:  # else what is taken for detail is noise and light
        scores["smeared: the eye moved"] = scaled(found.coherence(), COHERENCE)
        scores["out of focus"] = scaled(found.fineness(), FINENESS)
    reasons = [words for words, score in scores.items() if score < ACCEPTED]
    return FrameScore(sharpness, min(scores.values()), ", ".join(reasons), is_empty=clipped >= EMPTY_CLIPPED)


def extent_words(found: Texture) -> str:
    if found.detailed_share < EMPTY_EXTENT:
        return "no cells to be seen: a blink, haze, or far out of focus"
    return f"only {100 * found.detailed_share:.0f} % of the frame shows cells: the reflex is off centre or hidden"


def scaled(value: float, bounds: tuple[float, float]) -> float:
    """0 at the first bound, 1 at the second, in between in proportion."""
    worst, best = bounds
    return float(np.clip((value - worst) / (best - worst), 0.0, 1.0))
