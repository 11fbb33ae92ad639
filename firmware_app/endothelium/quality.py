"""How good the picture is, apart from what was measured in it: focus, contrast, exposure, motion, and a grade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from firmware_app.endothelium.filters import FloatImage
from firmware_app.endothelium.haar import octaves
from firmware_app.endothelium.sharpness import OCTAVES
from firmware_app.endothelium.texture import texture
from firmware_app.model import Quality

GRADES = (("A", 0.75), ("B", 0.5), ("C", 0.25))

# What scores 0 and what scores 1. Fineness on simulated eyes: 0.69 to 0.75 in focus, 0.58 to 0.65 at 20 um, 0.46 to
# 0.52 at 40, 0.40 to 0.44 at 60, 0.32 at 100 um. A smear over a cell has a coherence of 0.65, over 10 um of 0.35.
FINENESS = (0.28, 0.70)
COHERENCE = (0.68, 0.12)
USUAL_SPACING_PX = 22.0  # of rows of cells, to which these numbers belong
SHIFT_MAX_OCTAVES = 1.0
DETAILED_SHARE_MIN = 0.1  # of the tiles: in fewer it is noise that was taken for detail


def assess_quality(
    image: FloatImage, bits_stored: int, border_clarity: float, *, spacing_px: float = USUAL_SPACING_PX
) -> Quality:
    """Scores 0..1 of a (rows, columns) float32 image in grey values; the grade is that of the worst score.

    `border_clarity` 0..1 comes from the segmentation, which sees borders also where they are drawn broadly; how fine
    the detail is, is told from the picture alone, at the scale of its cells: `spacing_px` is how far rows of them lie
    apart.
    Focus and motion do not depend on gain and offset; contrast and exposure are what they are on the camera's scale.
    """
    full_scale = float(2**bits_stored - 1)
    dark = float(np.mean(image <= 0.02 * full_scale))
    bright = float(np.mean(image >= 0.98 * full_scale))
    exposure = float(np.clip(1.0 - 1.5 * max(dark - 0.05, 0.0) - 2.0 * max(bright - 0.02, 0.0), 0.0, 1.0))
    low, high = np.percentile(image, (5, 95))
    contrast = float(np.clip((high - low) / max(0.25 * full_scale, 1.0), 0.0, 1.0))
    fine, motion = blur_scores(image, spacing_px)
    focus = float(np.clip(min(border_clarity, fine), 0.0, 1.0))
    reasons = []
    if focus < GRADES[0][1]:
        blurred = "out of focus" if focus < GRADES[1][1] else "slightly out of focus"
        reasons.append(f"{blurred}: cell borders are {'blurred' if fine <= border_clarity else 'unclear'}")
    if motion < GRADES[0][1]:
        reasons.append("smeared by motion" if motion < GRADES[1][1] else "slightly smeared by motion")
    if contrast < GRADES[0][1]:
        reasons.append("low contrast" if contrast < GRADES[1][1] else "moderate contrast")
    if bright > 0.1:
        reasons.append(f"{100 * bright:.0f} % of the image is overexposed")
    if dark > 0.25:
        reasons.append(f"{100 * dark:.0f} % of the image is black")
    return Quality(grade_of(focus, contrast, exposure, motion), focus, contrast, exposure, tuple(reasons), motion)


def blur_scores(image: FloatImage, spacing_px: float) -> tuple[float, float]:
    """Focus and motion 0..1; what is too small to be judged is not held against the picture, nor motion in a blur."""
    found = texture(list(octaves(image, OCTAVES)))
    if found is None:
        return 1.0, 1.0
    if found.detailed_share < DETAILED_SHARE_MIN:
        return 0.0, 1.0
    shift = float(np.clip(np.log2(max(spacing_px, 1.0) / USUAL_SPACING_PX), -SHIFT_MAX_OCTAVES, SHIFT_MAX_OCTAVES))
    values = ((found.fineness(shift), FINENESS), (found.coherence(), COHERENCE))
    fine, motion = (float(np.clip((value - worst) / (best - worst), 0.0, 1.0)) for value, (worst, best) in values)
    return fine, motion if fine > 0 else 1.0


def grade_of(*scores: float) -> str:
    return next((name for name, least in GRADES if min(scores) >= least), "D")


def pooled_quality(qualities: Mapping[str, Quality], weights: Sequence[float]) -> Quality:
    """Of several pictures that were measured together: the mean of each score by weight, graded anew.

    Reasons begin with the picture's name, the key; those of a picture without weight are left out. Where no picture has
    any, all count alike.
    """
    shares = np.asarray(weights, np.float64)
    shares = shares / shares.sum() if shares.sum() > 0 else np.full(len(qualities), 1 / len(qualities))
    scores = np.array([[each.focus, each.contrast, each.exposure, each.motion] for each in qualities.values()])
    focus, contrast, exposure, motion = (float(score) for score in np.clip(shares @ scores, 0.0, 1.0))
    reasons = tuple(
        f"{name}: {reason}"
        for (name, each), share in zip(qualities.items(), shares, strict=True)
        for reason in each.reasons
        if share > 0
    )
    return Quality(grade_of(focus, contrast, exposure, motion), focus, contrast, exposure, reasons, motion)
