"""The identifier of a C-FIND: which keys may be matched, in which character set they are written (PS3.4 C.2.2)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from pydicom.datadict import dictionary_description, dictionary_VR
from pydicom.dataset import Dataset

from firmware_app.dicom.text_encoder import TextEncoder
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from firmware_app.net.attributes import encode_attributes
from firmware_app.profiles.profile import CharacterSets, QueryKey

WILDCARDS = frozenset("*?")
# What a key may hold, wildcards included (PS3.5 table 6.2-1); of a PN that is each of its groups.
_TEXT = r"[^\x00-\x1f\x7f-\x9f\\]"
_ALLOWED = {
    "AE": (r"[ -\[\]-~]{1,16}", "at most 16 printable ASCII characters without backslash"),
    "CS": (r"[A-Z0-9 _*?]{1,16}", "at most 16 capital letters, digits, spaces and underscores"),
    "SH": (_TEXT + "{1,16}", "at most 16 characters without backslash and control characters"),
    "LO": (_TEXT + "{1,64}", "at most 64 characters without backslash and control characters"),
    "PN": (rf"((?!=){_TEXT}){{0,64}}(=((?!=){_TEXT}){{0,64}}){{0,2}}", "a name of at most 64 characters, no backslash"),
}
UNICODE = CharacterSets(accepted=(), fallback=("ISO_IR 192",))


class QueryRefused(ValueError):
    """The profile's query keys or character sets do not allow this question; the text says which and why."""


def composed(values: Mapping[str, str]) -> dict[str, str]:
    """Those that are there, letters with marks as one character each: servers compare octets."""
    return {path: unicodedata.normalize("NFC", value) for path, value in values.items() if value}


def checked_character_set(
    values: Mapping[str, str], keys: Sequence[QueryKey], sets: CharacterSets, preferred: Sequence[str] = ()
) -> tuple[str, ...]:
    """The sets for a question that the profile allows. Raises `QueryRefused`, before anything is sent."""
    check_matching(values, keys)
    return character_set_for(values.values(), sets, preferred)


def check_matching(values: Mapping[str, str], keys: Sequence[QueryKey]) -> None:
    """Only keys whose column says so are matched, only those with `*` take wildcards, and each has what its VR allows.

    Raises `QueryRefused`.
    """
    matched = {key.path: key.matching for key in keys if key.matching}
    for path, value in values.items():
        if path not in matched:
            raise QueryRefused(f"{describe(path)} is not a matching key of the profile; {_listed(matched)} are")
        if WILDCARDS.intersection(value) and matched[path] != "*":
            wild = [each for each, matching in matched.items() if matching == "*"]
            takers = f"; {_listed(wild)} do" if wild else ""
            raise QueryRefused(f"{describe(path)} takes no wildcards under the profile: {value!r}{takers}")
        rule = _ALLOWED.get(dictionary_VR(path.rpartition(".")[2]))
        if rule and not re.fullmatch(rule[0], value):
            raise QueryRefused(f"{describe(path)}: {value!r} is not {rule[1]}")


def describe(path: str) -> str:
    """The name that the standard has for the last keyword of a path."""
    return dictionary_description(path.rpartition(".")[2])


def _listed(paths: Iterable[str]) -> str:
    return ", ".join(map(describe, paths)) or "none"


def character_set_for(texts: Iterable[str], sets: CharacterSets, preferred: Sequence[str] = ()) -> tuple[str, ...]:
    """The sets that the keys are written in; none for ASCII. Raises `QueryRefused`.

    First those that the server itself uses, where the profile has them; then the profile's in their order.
    """
    wanted = [text for text in texts if not text.isascii()]
    if not wanted:
        return ()
    candidates = [tuple(terms) for terms in (*sets.accepted, sets.fallback)]
    if tuple(preferred) in candidates:
        candidates.insert(0, tuple(preferred))
    for terms in candidates:
        encoder = TextEncoder(terms)
        if all(map(encoder.holds, wanted)):
            return terms
    raise QueryRefused(f"no character set of the profile can write {', '.join(map(repr, wanted))}")


def build_identifier(
    values: Mapping[str, str],
    keys: Sequence[QueryKey],
    *,
    explicit_vr: bool,
    character_set: Sequence[str] = (),
    level: str = "",
    unique_key: str = "",
) -> bytes:
    """Every return key of the profile, empty, and the matching keys with their values."""
    identifier = Dataset()
    # Requested as a return key as well: without it some servers leave it out of their answers.
    identifier.SpecificCharacterSet = list(character_set) or ""
    if level:
        identifier.QueryRetrieveLevel = level
    for path in dict.fromkeys([*(key.path for key in keys), *filter(None, [unique_key])]):
        put_key(identifier, path.split("."), values.get(path, ""))
    return encode_attributes(identifier, EXPLICIT_VR_LITTLE_ENDIAN if explicit_vr else IMPLICIT_VR_LITTLE_ENDIAN)


def put_key(data_set: Dataset, keywords: list[str], value: str) -> None:
    """One key at its place; a sequence on the way gets its one item (PS3.4 C.2.2.2.6)."""
    keyword, *inner = keywords
    if keyword.endswith("Sequence"):
        if keyword not in data_set:
            setattr(data_set, keyword, [])
        if inner:
            sequence = data_set[keyword].value
            if not sequence:
                sequence.append(Dataset())
            put_key(sequence[0], inner, value)
    else:
        setattr(data_set, keyword, value)
