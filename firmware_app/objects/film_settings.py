"""What a film is to look like, and whether the profile's tables of print attributes allow it. Pure.

Every setting is text, as it is typed; the empty one is not sent, and the printer then has its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final

from firmware_app.config.declared_services import PRINT_ATTRIBUTES
from firmware_app.config.schema import PrintConfig
from firmware_app.objects.errors import ObjectError
from firmware_app.profiles.profile import PrintAttribute, PrintTables

LAYOUT = re.compile(r"([1-9]),([1-9])")


class BadFilm(ObjectError):
    """The profile's tables do not allow this; the text names the attribute and what is allowed."""


@dataclass(frozen=True, slots=True)
class FilmSettings:
    copies: str = ""
    priority: str = ""
    medium: str = ""
    destination: str = ""
    layout: str = "1,1"  # columns and rows
    orientation: str = ""
    film_size: str = ""
    magnification: str = ""
    smoothing: str = ""
    border_density: str = ""
    empty_image_density: str = ""
    min_density: str = ""
    max_density: str = ""
    trim: str = ""
    configuration_information: str = ""
    polarity: str = ""
    requested_image_size_mm: str = ""
    crop: str = ""

    @classmethod
    def configured(cls, table: PrintConfig) -> FilmSettings:
        """The [print] table of the configuration."""
        names = cls.__slots__
        values = {name: getattr(table, name) for name in names}
        size_mm = table.requested_image_size_mm
        values |= {"copies": str(table.copies), "requested_image_size_mm": f"{size_mm:g}" if size_mm else ""}
        return cls(**values)

    @property
    def columns(self) -> int:
        return self._places()[0]

    @property
    def rows(self) -> int:
        return self._places()[1]

    @property
    def places(self) -> int:
        """The image boxes of a film."""
        return self.columns * self.rows

    def _places(self) -> tuple[int, int]:
        match = LAYOUT.fullmatch(self.layout)
        if match is None:
            raise BadFilm(f"ImageDisplayFormat: the layout {self.layout!r} is not C,R, columns and rows from 1 to 9")
        return int(match[1]), int(match[2])

    def attributes(self) -> dict[str, str]:
        """Keyword of the attribute -> value, of all that are given."""
        values = {KEYWORDS[name]: value for name, value in asdict(self).items() if value}
        values["ImageDisplayFormat"] = f"STANDARD\\{self.columns},{self.rows}"
        return values


KEYWORDS: Final = {"layout": "ImageDisplayFormat", **PRINT_ATTRIBUTES}
CODE_STRING: Final = (re.compile(r"[A-Z0-9_ ]{1,16}"), 'at most 16 of A-Z, 0-9, "_" and space')
FORMS: Final = {
    "copies": (re.compile(r"[1-9][0-9]{0,8}"), "a number of copies"),
    "layout": (re.compile(rf"STANDARD\\{LAYOUT.pattern}"), "STANDARD\\C,R"),
    "min_density": (re.compile(r"[0-9]{1,5}"), "a number"),
    "max_density": (re.compile(r"[0-9]{1,5}"), "a number"),
    "configuration_information": (
        re.compile(r"[^\x00-\x1f\x7f]{1,1024}"),
        "at most 1024 characters, no control characters",
    ),
    "requested_image_size_mm": (re.compile(r"(?=.*[1-9])[0-9]{1,4}(\.[0-9]{1,6})?"), "a width in mm above 0"),
}


def film_settings(
    tables: PrintTables, configured: FilmSettings, given: Mapping[str, str] | None = None
) -> FilmSettings:
    """The settings of a film: what is `given` by hand over what is configured. Raises `BadFilm`.

    What the profile does not have, or only beside another value, is left out if it is merely configured, and refused
    if somebody asked for it.
    """
    asked = {name: value for name, value in (given or {}).items() if value}
    wanted = replace(configured, **(given or {}))
    rows = {row.path: row for row in (*tables.film_session, *tables.film_box, *tables.image_box)}
    attributes = wanted.attributes()
    left_out: dict[str, str] = {}
    for name, keyword in KEYWORDS.items():
        row = rows.get(keyword)
        value = attributes.get(keyword, "")
        why = "" if not value else "the profile does not send it" if row is None else unmet(row, attributes)
        if why and name in asked:
            raise BadFilm(f"{keyword} {value!r}: {why}")
        if why:
            left_out[name] = ""
        elif row is not None:
            check_value(row, value)
            check_form(name, keyword, value)
    return replace(wanted, **left_out)


def check_form(name: str, keyword: str, value: str) -> None:
    """Raises `BadFilm` for what the attribute's value representation does not hold (PS3.5 table 6.2-1)."""
    form, words = FORMS.get(name, CODE_STRING)
    if value and not form.fullmatch(value):
        raise BadFilm(f"{keyword} {value!r} is not {words}")


def check_value(row: PrintAttribute, value: str) -> None:
    """Raises `BadFilm` for a value that the row of a table does not allow, or a mandatory one that is missing."""
    if not value and not row.usage.startswith("M"):
        return
    if not value or not is_allowed(row, value):
        problem = f"{value!r} is not" if value else "is mandatory:"
        raise BadFilm(f"{row.path.rpartition('.')[2]} {problem} {allowed_words(row)}")


def is_allowed(row: PrintAttribute, value: str) -> bool:
    if value in row.values:
        return True
    if row.low is None and row.high is None:
        return not row.values
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        return False
    return (row.low is None or row.low <= int(value)) and (row.high is None or int(value) <= row.high)


def allowed_words(row: PrintAttribute) -> str:
    """`one of BLACK, WHITE, 0 to 400`."""
    words = list(row.values)
    if row.low is not None or row.high is not None:
        words.append(f"{'' if row.low is None else row.low} to {'' if row.high is None else row.high}".strip())
    return ("one of " if len(words) > 1 else "") + (", ".join(words) or row.note or "a value")


def unmet(row: PrintAttribute, attributes: Mapping[str, str]) -> str:
    """Why the attribute may not stand beside the others; empty where it may."""
    other, _, value = row.only_with.partition("=")
    if not other or attributes.get(other) == value:
        return ""
    return f"it is sent only with {other} {value}, not with {attributes.get(other) or 'none'}"
