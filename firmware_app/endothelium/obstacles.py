"""What keeps the cells of a picture from being seen, as shares of it: for a refusal that names the true reason."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_app.endothelium.filters import BoolImage, FloatImage, box_mean

BRIGHT_SHARE, DARK_SHARE = 0.72, 0.09  # of the range of grey values
RADIUS_PX = 4
WORTH_TELLING = 0.1


@dataclass(frozen=True, slots=True)
class Obstacles:
    """Shares 0..1 of the picture: nearly black, blinded by a reflex, under guttae, or only unclear."""

    dark: float
    blinded: float
    guttae: float
    unclear: float

    def told(self) -> str:
        """In words, the largest first; nothing below a tenth of the picture is mentioned."""
        names = (
            (self.blinded, "overexposed by a bright reflex (flash band)"),
            (self.dark, "dark"),
            (self.guttae, "covered by guttae"),
            (self.unclear, "hazy or out of focus: no cell borders stand out"),
        )
        told = [(share, what) for share, what in sorted(names, reverse=True) if share > WORTH_TELLING]
        return "; ".join(f"{100 * share:.0f} % of the picture is {what}" for share, what in told)


def find_obstacles(image: FloatImage, region: BoolImage, guttae: BoolImage) -> Obstacles:
    """`region` is where cells can be told, `guttae` what is covered by them; each pixel counts for one thing."""
    low, high = (float(value) for value in np.percentile(image, (0.1, 99.9)))
    level = (box_mean(image, RADIUS_PX) - low) / max(high - low, 1e-6)
    free = ~region
    # blinding light is flat: what is bright and still shows structure is only well lit
    blinded = free & (level > BRIGHT_SHARE)
    dark = free & (level < DARK_SHARE)
    warts = free & guttae & ~blinded & ~dark
    unclear = free & ~blinded & ~dark & ~warts
    return Obstacles(*(float(np.mean(mask)) for mask in (dark, blinded, warts, unclear)))
