"""Okabe and Ito's colours, which people with any colour vision can tell apart, and what each stands for."""

from __future__ import annotations

Colour = tuple[int, int, int]

ORANGE: Colour = (230, 159, 0)
SKY_BLUE: Colour = (86, 180, 233)
GREEN: Colour = (0, 158, 115)
YELLOW: Colour = (240, 228, 66)
BLUE: Colour = (0, 114, 178)
VERMILLION: Colour = (213, 94, 0)
PURPLE: Colour = (204, 121, 167)
GREY: Colour = (150, 150, 150)

INK: Colour = (28, 32, 38)
MUTED: Colour = (98, 106, 116)
RULE: Colour = (206, 211, 217)
PANEL: Colour = (244, 246, 248)
PAPER: Colour = (255, 255, 255)
WARNING: Colour = (176, 32, 24)  # red is for warnings alone

CONTOUR = YELLOW
GUTTAE = PAPER  # hatched: its lines tell it from every tint
REGION = PAPER  # dashed
NO_RING = GREY
SIDES: dict[int, Colour] = {3: PURPLE, 4: BLUE, 5: SKY_BLUE, 6: GREEN, 7: ORANGE, 8: VERMILLION}


def of_sides(sides: int) -> Colour:
    """The colour of a cell with that many sides; 0 is a cell whose ring of neighbours is not complete."""
    if sides <= 0:
        return NO_RING
    return SIDES[min(max(sides, 3), 8)]
