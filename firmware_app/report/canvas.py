"""A page to draw on: text in runs of the font that has the character, rules, bars, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from firmware_app.report import colours
from firmware_app.report.colours import Colour
from firmware_app.report.typeface import Font, composed, font_for, number, text_font


@dataclass(frozen=True, slots=True)
class Box:
    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height


class Canvas:
    """An RGB page; every coordinate is in px from the upper left."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), colours.PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def text(
        self, x: float, y: float, text: str, size_px: int, colour: Colour = colours.INK, bold: bool = False
    ) -> float:
        """Draws the text with its baseline at y; returns the x after it."""
        for font, run in _runs(text, size_px, bold):
            self.draw.text((x, y), run, font=font, fill=colour, anchor="ls")
            x += font.getlength(run)
        return x

    def text_right(
        self, x: float, y: float, text: str, size_px: int, colour: Colour = colours.INK, bold: bool = False
    ) -> None:
        self.text(x - text_width(text, size_px, bold), y, text, size_px, colour, bold)

    def text_centred(
        self, x: float, y: float, text: str, size_px: int, colour: Colour = colours.INK, bold: bool = False
    ) -> None:
        self.text(x - text_width(text, size_px, bold) / 2, y, text, size_px, colour, bold)

    def fill(self, box: Box, colour: Colour) -> None:
        if box.width > 0 and box.height > 0:
            self.draw.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), fill=colour)

    def rule(self, left: int, right: int, y: int, colour: Colour = colours.RULE, width: int = 1) -> None:
        self.draw.line((left, y, right, y), fill=colour, width=width)

    def picture(self, pixels: npt.NDArray[np.uint8], left: int, top: int) -> None:
        self.image.paste(Image.fromarray(pixels), (left, top))

    def pixels(self) -> npt.NDArray[np.uint8]:
        return np.asarray(self.image)


def text_width(text: str, size_px: int, bold: bool = False) -> float:
    return sum(font.getlength(run) for font, run in _runs(text, size_px, bold))


def cut_to_width(text: str, size_px: int, width_px: float, bold: bool = False) -> str:
    """The text, ending in an ellipsis if it had to be cut."""
    if text_width(text, size_px, bold) <= width_px:
        return text
    while text and text_width(text + "…", size_px, bold) > width_px:
        text = text[:-1]
    return text.rstrip() + "…"


def wrapped(text: str, font: Font, width_px: float) -> list[str]:
    """Lines of whole words; a word wider than the line stands alone."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width_px:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _runs(text: str, size_px: int, bold: bool) -> list[tuple[Font, str]]:
    """Each run with its font; a character that none has is its number, as `[U+5C71]`."""
    base = text_font(size_px, bold)
    pieces = []
    for character in composed(text):
        font = font_for(character, size_px, bold)
        pieces.append((base, f"[{number(character)}]") if font is None else (font, character))
    return [
        (next(font for font, _ in pieces if id(font) == key), "".join(piece for _, piece in group))
        for key, group in groupby(pieces, key=lambda pair: id(pair[0]))
    ]
