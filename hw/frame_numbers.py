"""What the numbers that a camera gives its frames say. Pure."""

from __future__ import annotations

from typing import Final

MAX_GAP: Final = 1000  # more frames than that are never lost in one piece: the camera began to count anew


def missing_between(before: int, after: int) -> int:
    """How many frames are missing between two with these 32-bit numbers; 0 where they were counted anew."""
    gap = (after - before - 1) & 0xFFFFFFFF
    return gap if gap <= MAX_GAP else 0
