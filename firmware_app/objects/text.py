"""Values that a data element of its VR may hold (PS3.5 table 6.2-1). What cannot be held is never changed silently.

Free text that is too long is cut and ends in "..."; an identifier is left out instead, because a shortened identifier
may belong to somebody else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from firmware_app.dicom.item_reading import is_date
from firmware_app.objects import charset

MAX_LENGTH = {"SH": 16, "LO": 64, "CS": 16, "AE": 16, "ST": 1024, "LT": 10240, "DS": 16, "IS": 12, "UI": 64, "PN": 64}
TEXT_VRS = frozenset({"SH", "LO", "ST", "LT", "PN"})
SINGLE_LINE_VRS = TEXT_VRS - {"ST", "LT"}
IDENTIFIERS = frozenset(
    {
        "AccessionNumber",
        "CodeValue",
        "CodingSchemeDesignator",
        "DeviceSerialNumber",
        "IssuerOfPatientID",
        "PatientID",
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "StudyID",
    }
)
PATTERNS = {
    "CS": re.compile(r"[A-Z0-9 _]{1,16}"),
    "DS": re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"),
    "DT": re.compile(r"[0-9]{4,14}(\.[0-9]{1,6})?([+-][0-9]{4})?"),
    "IS": re.compile(r"[+-]?[0-9]{1,11}"),
    "TM": re.compile(r"([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9](\.[0-9]{1,6})?)?)?"),
    "UI": re.compile(r"[0-9]+(\.[0-9]+)*"),
}
ELLIPSIS = "..."
CONTROL_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def fit(keyword: str, vr: str, value: str, character_set: Sequence[str]) -> tuple[str, str]:
    """The value as it can be sent, and what was wrong with it in words (empty if nothing was)."""
    if vr not in TEXT_VRS:
        return _fit_form(keyword, vr, value.strip())
    cleaned = _without_controls(vr, value)
    changed = f"{keyword}: control characters and backslashes were replaced" if cleaned != value else ""
    held, unheld = _fit_repertoire(keyword, vr, cleaned, character_set)
    fitted, too_long = _fit_length(keyword, vr, held)
    return fitted, "; ".join(problem for problem in (changed, unheld, too_long) if problem)


def _fit_form(keyword: str, vr: str, value: str) -> tuple[str, str]:
    pattern = PATTERNS.get(vr)
    is_good = (pattern is None or pattern.fullmatch(value)) and len(value) <= MAX_LENGTH.get(vr, len(value))
    if not value or (is_good and (vr != "DA" or is_date(value))):
        return value, ""
    return "", f"{keyword}: {value[:64]!r} is not a value of VR {vr} and was left out"


def _without_controls(vr: str, value: str) -> str:
    refused = {"\\"} if vr in SINGLE_LINE_VRS else set()
    kept = set() if vr in SINGLE_LINE_VRS else {"\r", "\n"}
    return "".join(
        " " if each in refused or (each not in kept and unicodedata.category(each) in CONTROL_CATEGORIES) else each
        for each in value
    )


def _fit_repertoire(keyword: str, vr: str, value: str, character_set: Sequence[str]) -> tuple[str, str]:
    if charset.can_hold(value, character_set):
        return value, ""
    named = "\\".join(character_set)
    if vr == "PN":
        groups = [group if charset.can_hold(group, character_set) else "" for group in value.split("=")]
        if any(groups):
            return "=".join(groups).rstrip(
                "="
            ), f"{keyword}: {named} cannot hold every component group; it was left out"
    return "", f"{keyword}: {named} cannot hold the value; it was left out"


def _fit_length(keyword: str, vr: str, value: str) -> tuple[str, str]:
    limit = MAX_LENGTH[vr]
    if vr == "PN":
        return _fit_person_name(keyword, value, limit)
    if len(value) <= limit:
        return value, ""
    if keyword in IDENTIFIERS:
        return "", f"{keyword}: longer than {limit} characters; it was left out, not cut"
    return value[: limit - len(ELLIPSIS)] + ELLIPSIS, f"{keyword}: longer than {limit} characters; it was cut"


def _fit_person_name(keyword: str, value: str, limit: int) -> tuple[str, str]:
    groups = value.split("=")
    if len(groups) <= 3 and all(len(group) <= limit for group in groups):
        return value, ""
    cut = [group if len(group) <= limit else group[: limit - len(ELLIPSIS)] + ELLIPSIS for group in groups[:3]]
    return "=".join(cut), f"{keyword}: longer than {limit} characters in one of at most 3 component groups; it was cut"
