"""Rows of the profile -> rows of a statement: names and tags from the data dictionary, sources in words."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.uid import UID

from firmware_app.conformance.document import Table
from firmware_app.profiles.profile import Attribute, QueryKey
from firmware_app.profiles.sources import ITEM_SOURCE_WORDS, ITEM_SOURCES, SOURCES

ATTRIBUTE_COLUMNS = ("Attribute Name", "Tag", "VR", "Type", "Presence", "Value or source")
KEY_COLUMNS = ("Attribute Name", "Tag", "VR", "Matching", "Display")
PRESENCE_KEY = (
    "Presence: ALWAYS present with a value; VNAP, always present, of zero length where there is no value; ANAP, absent "
    "where there is no value; EMPTY, present with zero length; ABSENT, listed and not sent. "
    '">" stands before an attribute of a sequence\'s item.'
)


def tag_words(keyword: str) -> str:
    """`(0010,0020)`."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword!r} is no keyword of the data dictionary")
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def attribute_name(path: str) -> str:
    """The name with a `>` for each sequence around it."""
    keyword = path.rpartition(".")[2]
    return ">" * path.count(".") + dictionary_description(keyword)


def vr_of(path: str) -> str:
    return dictionary_VR(path.rpartition(".")[2])


def uid_words(uid: str) -> str:
    """The name that PS3.6 gives a UID, without the explanation that some have behind a colon."""
    return UID(uid).name.partition(":")[0]


def attribute_table(caption: str, rows: Iterable[Attribute]) -> Table:
    """A table of a module, or of the attributes of a message."""
    shown = tuple(rows)
    parents = {row.path: row for row in shown}
    return Table(
        caption,
        ATTRIBUTE_COLUMNS,
        tuple(
            (
                attribute_name(row.path),
                tag_words(row.keyword),
                vr_of(row.path),
                row.type,
                presence(row),
                value_words(row, parents),
            )
            for row in shown
        ),
    )


def value_words(row: Attribute, table: dict[str, Attribute]) -> str:
    """Value or source, and what else the row says."""
    remarks = [row.note] if row.note else []
    if row.settings:
        *others, last = row.settings
        remarks.append(f"only where storage.modality is {', '.join(others)}{' or ' if others else ''}{last}")
    return source_words(row, table) + (f" ({'; '.join(remarks)})" if remarks else "")


def presence(row: Attribute) -> str:
    """PS3.2 A.8.1.1, from what the composer does with a row of this type and source."""
    if row.source in ("none", "none.items"):
        return "EMPTY" if row.type == "2" else "ABSENT"
    if row.source == "empty":
        return "EMPTY" if row.type in ("2", "2C") else "ABSENT"
    if row.value or row.type == "1" or row.source == "fixed.item":
        return "ALWAYS"
    return "VNAP" if row.type == "2" else "ANAP"


def source_words(row: Attribute, table: dict[str, Attribute]) -> str:
    """Where the value comes from, or the value itself."""
    if row.value:
        return f"{tag_words(row.value)} {attribute_name(row.value)}" if vr_of(row.path) == "AT" else row.value
    parent = table.get(row.parent)
    within = ITEM_SOURCES.get(parent.source, {}) if parent else SOURCES
    for words in (within, ITEM_SOURCE_WORDS, SOURCES):
        if row.source in words:
            return words[row.source]
    raise ValueError(f"{row.path}: the source {row.source!r} has no words")


def key_table(caption: str, keys: Iterable[QueryKey]) -> Table:
    """A table of query keys, as in both statements."""
    return Table(
        caption,
        KEY_COLUMNS,
        tuple(
            (
                attribute_name(key.path),
                tag_words(key.path.rpartition(".")[2]),
                vr_of(key.path),
                key.matching,
                "x" if key.display else "",
            )
            for key in keys
        ),
    )
