"""Fonts: Source Sans for Latin, Greek and Cyrillic, a font of the system for everything else if there is one."""

from __future__ import annotations

from functools import cache
from importlib import resources
from io import BytesIO
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

# Where Debian's packages put a font with Japanese, Chinese and Korean; the first that exists is used.
SYSTEM_FONTS = (
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf",
    "/usr/share/fonts/truetype/vlgothic/VL-Gothic-Regular.ttf",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
)
NOT_A_CHARACTER = "\U0010ffff"


@cache
def text_font(size_px: int, bold: bool = False) -> Font:
    file = resources.files("firmware_app.report").joinpath(
        f"fonts/SourceSansPro-{'Semibold' if bold else 'Regular'}.ttf"
    )
    return ImageFont.truetype(BytesIO(file.read_bytes()), size_px, layout_engine=ImageFont.Layout.BASIC)


@cache
def system_font(size_px: int, candidates: tuple[str, ...] = SYSTEM_FONTS) -> Font | None:
    for path in candidates:
        if Path(path).is_file():
            return ImageFont.truetype(path, size_px, layout_engine=ImageFont.Layout.BASIC)
    return None


@cache
def has_glyph(font: Font, character: str) -> bool:
    """Whether the font draws the character itself and not its box for unknown ones."""
    if character.isspace():
        return True
    missing, drawn = font.getmask(NOT_A_CHARACTER), font.getmask(character)
    return drawn.size != missing.size or bytes(drawn) != bytes(missing)


def font_for(
    character: str, size_px: int, bold: bool = False, candidates: tuple[str, ...] = SYSTEM_FONTS
) -> Font | None:
    """A font that has the character, or None."""
    for font in (text_font(size_px, bold), system_font(size_px, candidates)):
        if font is not None and has_glyph(font, character):
            return font
    return None


def can_draw(text: str, candidates: tuple[str, ...] = SYSTEM_FONTS) -> bool:
    return all(font_for(character, 20, False, candidates) is not None for character in text)


def drawable_name(person_name: str, candidates: tuple[str, ...] = SYSTEM_FONTS) -> str:
    """A person's name (PN) as a line of text: ideographs first, then letters; only groups that can really be drawn."""
    alphabetic, ideographic, *_ = [*person_name.split("="), "", ""]
    letters = ", ".join(part.strip() for part in alphabetic.split("^") if part.strip())
    ideographs = " ".join(part.strip() for part in ideographic.split("^") if part.strip())
    shown = [text for text in (ideographs, letters) if text and can_draw(text, candidates)]
    if shown:
        return "   ".join(shown)
    return "(name not drawable: see the patient ID)" if letters or ideographs else "(no name)"
