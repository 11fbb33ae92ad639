"""What a person types about a patient who is on no worklist: refused here, while somebody can still correct it.

Later it could only be left out of the objects. The limits are those of PS3.5 table 6.2-1 for LO, PN and DA. Letters
with marks are taken as one character each, as worklists have them, whatever the terminal sends.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime

from firmware_app.dicom.text_encoder import TextEncoder
from firmware_app.model import Patient
from firmware_app.profiles.profile import CharacterSets

TEXT_MAX = 64  # characters of an LO, and of each component group of a PN
GROUPS_MAX, COMPONENTS_MAX = 3, 5  # of a PN: alphabetic, ideographic, phonetic; family, given, middle, prefix, suffix

# Control characters, line and paragraph separators, halves of characters, and what separates values.
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\\\\\u2028\u2029\ud800-\udfff]")
_DATE = re.compile(r"[0-9]{8}")


def patient_id(word: str) -> str:
    """An LO with something in it. Raises ValueError saying what is allowed, as all here do."""
    word = unicodedata.normalize("NFC", word)
    if not word.strip() or len(word) > TEXT_MAX or _UNUSABLE.search(word):
        raise ValueError(f"1 to {TEXT_MAX} characters, not only spaces, no backslash, no control characters")
    return word


def person_name(word: str) -> str:
    word = unicodedata.normalize("NFC", word)
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


def check_writable(patient: Patient, sets: CharacterSets) -> None:
    """Name and ID fit together into one of the profile's character sets. Raises ValueError naming what does not."""
    encoders = [TextEncoder(terms) for terms in (("ISO_IR 6",), *sets.accepted, sets.fallback)]
    if any(encoder.holds(patient.name) and encoder.holds(patient.patient_id) for encoder in encoders):
        return
    raise ValueError(f"{_unwritable(patient, encoders)}: no character set of the profile has all of these characters")


def _unwritable(patient: Patient, encoders: Iterable[TextEncoder]) -> str:
    alone = [text for text in (patient.name, patient.patient_id) if not any(each.holds(text) for each in encoders)]
    return ", ".join(map(repr, alone or (patient.name, patient.patient_id)))
