"""What a person types about a patient who is on no worklist: refused here, while somebody can still correct it.

Later it could only be left out of the objects. The limits are those of PS3.5 table 6.2-1 for LO, PN and DA.
"""

from __future__ import annotations

import re
from datetime import datetime

TEXT_MAX = 64  # characters of an LO, and of each component group of a PN
GROUPS_MAX, COMPONENTS_MAX = 3, 5  # of a PN: alphabetic, ideographic, phonetic; family, given, middle, prefix, suffix

_UNUSABLE = re.compile(r"[\x00-\x1f\x7f\\]")
_DATE = re.compile(r"[0-9]{8}")


def patient_id(word: str) -> str:
    """An LO with something in it. Raises ValueError saying what is allowed, as all here do."""
    if not word.strip() or len(word) > TEXT_MAX or _UNUSABLE.search(word):
        raise ValueError(f"1 to {TEXT_MAX} characters, not only spaces, no backslash, no control characters")
    return word


def person_name(word: str) -> str:
    groups = word.split("=")
    fits = len(groups) <= GROUPS_MAX and all(
        len(group) <= TEXT_MAX and group.count("^") < COMPONENTS_MAX for group in groups
    )
    if not fits or _UNUSABLE.search(word):
        raise ValueError(f"a name such as Family^Given of at most {TEXT_MAX} characters, no backslash")
    return word


def birth_date(word: str) -> str:
    if not _DATE.fullmatch(word):
        raise ValueError("a date YYYYMMDD")
    try:
        datetime.strptime(word, "%Y%m%d")
    except ValueError:
        raise ValueError("a day of the calendar, YYYYMMDD") from None
    return word
