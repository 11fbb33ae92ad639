"""Histograms and the scale bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from firmware_app.endothelium.morphometry import AREA_CLASS_UM2
from firmware_app.report import colours
from firmware_app.report.canvas import Box, Canvas, text_width
from firmware_app.report.colours import Colour

SCALE_BARS_UM = (100, 50, 20, 10, 5)
AREA_CLASSES = 12
TITLE_PX = 17
LABEL_PX = 14


def draw_bars(
    canvas: Canvas, box: Box, title: str, bars: Mapping[str, int], colour_of: Callable[[str], Colour], with_counts: bool
) -> None:
    """A bar for each class from the left, its name below and, if asked for, its count above."""
    canvas.text(box.left, box.top + TITLE_PX, title, TITLE_PX, colours.MUTED)
    base = box.bottom - LABEL_PX - 8
    height = base - box.top - TITLE_PX - LABEL_PX - 14
    tallest = max(bars.values(), default=0)
    pitch = box.width / max(len(bars), 1)
    widest = max((text_width(name, LABEL_PX) for name in bars), default=0)
    every = 1 + int((widest + 6) // pitch)
    for index, (name, count) in enumerate(bars.items()):
        left = box.left + round(index * pitch)
        width = max(1, box.left + round((index + 1) * pitch) - left - 3)
        bar_height = max(round(height * count / tallest), 1) if count else 0
        canvas.fill(Box(left, base - bar_height, width, bar_height), colour_of(name))
        if index % every == 0:
            canvas.text_centred(left + width / 2, base + LABEL_PX + 2, name, LABEL_PX, colours.MUTED)
        if with_counts and count:
            canvas.text_centred(left + width / 2, base - bar_height - 5, str(count), LABEL_PX)
    canvas.rule(box.left, box.right, base)


def area_bars(histogram: Mapping[int, int]) -> dict[str, int]:
    """Classes of 100 um2 named by their lower bound, from the first filled one; the last one holds all beyond."""
    filled = [lower for lower, count in histogram.items() if count]
    if not filled:
        return {}
    lowers = [filled[0] + AREA_CLASS_UM2 * index for index in range(AREA_CLASSES)]
    bars = {str(lower): histogram.get(lower, 0) for lower in lowers}
    beyond = sum(count for lower, count in histogram.items() if lower > lowers[-1])
    if beyond:
        bars[f"{lowers[-1]}+"] = bars.pop(str(lowers[-1])) + beyond
    return bars


def draw_scale_bar(canvas: Canvas, box: Box, um_per_px: float | None, shown_per_px: float) -> None:
    """A bar in the lower left of a picture drawn `shown_per_px` times its size; words without a scale.

    100 um, or less where that is wider than half the picture.
    """
    text, length = "not calibrated", 0
    if um_per_px is not None:
        lengths = {bar_um: round(bar_um / um_per_px * shown_per_px) for bar_um in SCALE_BARS_UM}
        bar_um = next((bar_um for bar_um in SCALE_BARS_UM if lengths[bar_um] <= box.width // 2), SCALE_BARS_UM[-1])
        text, length = f"{bar_um} µm   {um_per_px:.3g} µm/px", min(lengths[bar_um], box.width)
    width = max(length, round(text_width(text, LABEL_PX + 1, bold=True)))
    plate = Box(box.left + 10, box.bottom - 44, width + 20, 34 if length else 26)
    canvas.fill(plate, colours.INK)
    canvas.text(plate.left + 10, plate.top + 17, text, LABEL_PX + 1, colours.PAPER, bold=True)
    canvas.fill(Box(plate.left + 10, plate.top + 24, length, 4), colours.PAPER)
