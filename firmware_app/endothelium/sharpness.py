"""How sharp a frame is, for the autofocus and for choosing from a burst."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.checks import require_image
from firmware_app.endothelium.haar import Octave, octaves

OCTAVES = 5
FINEST = 1


def sharpness(pixels: npt.NDArray[np.generic]) -> float:
    """Detail energy between 2 and 32 px relative to the mean brightness; noise is estimated and taken off."""
    image = require_image(pixels)
    mean = float(image.mean())
    return detail_of(octaves(image, OCTAVES)) / mean if mean > 0 else 0.0


def detail_of(details: Iterable[Octave]) -> float:
    """The root of the detail energy without the noise's, in grey values."""
    total = 0.0
    for each in details:
        if each.number >= FINEST:
            energy = float(np.vdot(each.horizontal, each.horizontal) + np.vdot(each.vertical, each.vertical))
            total += max(energy / each.horizontal.size / 8 - each.noise, 0.0)
    return float(np.sqrt(total))
