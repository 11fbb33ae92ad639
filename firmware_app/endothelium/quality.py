"""How good the picture is, apart from what was measured in it: focus, contrast, exposure, and a grade."""

from __future__ import annotations

import numpy as np

from firmware_app.endothelium.filters import FloatImage
from firmware_app.model import Quality

GRADES = (("A", 0.75), ("B", 0.5), ("C", 0.25))


def assess_quality(image: FloatImage, bits_stored: int, border_clarity: float) -> Quality:
    """Scores 0..1; the grade is that of the worst score. `border_clarity` 0..1 comes from the segmentation."""
    full_scale = float(2**bits_stored - 1)
    dark = float(np.mean(image <= 0.02 * full_scale))
    bright = float(np.mean(image >= 0.98 * full_scale))
    exposure = float(np.clip(1.0 - 1.5 * max(dark - 0.05, 0.0) - 2.0 * max(bright - 0.02, 0.0), 0.0, 1.0))
    low, high = np.percentile(image, (5, 95))
    contrast = float(np.clip((high - low) / max(0.25 * full_scale, 1.0), 0.0, 1.0))
    focus = float(np.clip(border_clarity, 0.0, 1.0))
    reasons = []
    if focus < GRADES[1][1]:
        reasons.append("out of focus: cell borders are unclear")
    if contrast < GRADES[1][1]:
        reasons.append("low contrast")
    if bright > 0.1:
        reasons.append(f"{100 * bright:.0f} % of the image is overexposed")
    if dark > 0.25:
        reasons.append(f"{100 * dark:.0f} % of the image is black")
    worst = min(focus, contrast, exposure)
    grade = next((name for name, least in GRADES if worst >= least), "D")
    return Quality(grade, focus, contrast, exposure, tuple(reasons))
