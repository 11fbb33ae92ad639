"""Fonts: Source Sans for Latin, Greek and Cyrillic, fonts of the system for everything else if there are any.

A character that no font has is never drawn as an empty box: it is written as its number, and the page says so.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

# Where Debian's packages put fonts with Japanese, Chinese and Korean, then one with many small scripts.
SYSTEM_FONTS = (
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf",
    "/usr/share/fonts/truetype/vlgothic/VL-Gothic-Regular.ttf",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
)
INSTALL = "install a font, such as Debian's fonts-droid-fallback"
# Written from right to left, and in Arabic joined: drawn one by one from the left they would be another word.
FROM_THE_RIGHT = frozenset({"R", "AL"})
NOT_A_CHARACTER = "\U0010ffff"


@cache
def text_font(size_px: int, bold: bool = False) -> Font:
    """By its path: FreeType maps the file then, once for all sizes; from octets every size has two copies, 0.6 MB."""
    name = f"fonts/SourceSansPro-{'Semibold' if bold else 'Regular'}.ttf"
    with resources.as_file(resources.files("firmware_app.report").joinpath(name)) as path:
        return ImageFont.truetype(path, size_px, layout_engine=ImageFont.Layout.BASIC)


@cache
def system_font(size_px: int, path: str) -> Font | None:
    if not Path(path).is_file():
        return None
    return ImageFont.truetype(path, size_px, layout_engine=ImageFont.Layout.BASIC)


@cache
def has_glyph(font: Font, character: str) -> bool:
    """Whether the font draws the character itself and not its box for unknown ones."""
    if character.isspace():
        return True
    missing, drawn = font.getmask(NOT_A_CHARACTER), font.getmask(character)
    return drawn.size != missing.size or bytes(drawn) != bytes(missing)


def font_for(
    character: str, size_px: int, bold: bool = False, candidates: tuple[str, ...] | None = None
) -> Font | None:
    """A font that has the character, or None."""
    if unicodedata.bidirectional(character) in FROM_THE_RIGHT:
        return None
    return next((font for font in _fonts(size_px, bold, candidates) if has_glyph(font, character)), None)


def _fonts(size_px: int, bold: bool, candidates: tuple[str, ...] | None) -> Iterator[Font]:
    yield text_font(size_px, bold)
    for path in SYSTEM_FONTS if candidates is None else candidates:
        font = system_font(size_px, path)
        if font is not None:
            yield font


def missing_characters(text: str, candidates: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Those that no font has, each once, as `U+5C71`."""
    return tuple(
        dict.fromkeys(number(each) for each in composed(text) if font_for(each, 20, False, candidates) is None)
    )


def number(character: str) -> str:
    return f"U+{ord(character):04X}"


def composed(text: str) -> str:
    """Letters with their marks as one character where there is one: marks by themselves would be drawn beside them."""
    return unicodedata.normalize("NFC", text)


def can_draw(text: str, candidates: tuple[str, ...] | None = None) -> bool:
    return not missing_characters(text, candidates)


def drawable_name(person_name: str, candidates: tuple[str, ...] | None = None) -> str:
    """A person's name (PN) as a line of text."""
    return "   ".join(drawable_groups(person_name, candidates))


def drawable_groups(person_name: str, candidates: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Ideographs first, then letters; only what can really be drawn, or words that say why there is nothing."""
    alphabetic, ideographic, *_ = [*person_name.split("="), "", ""]
    letters = ", ".join(part.strip() for part in alphabetic.split("^") if part.strip())
    ideographs = " ".join(part.strip() for part in ideographic.split("^") if part.strip())
    shown = tuple(text for text in (ideographs, letters) if text and can_draw(text, candidates))
    return shown or ("(name not drawable: see the patient ID)" if letters or ideographs else "(no name)",)
