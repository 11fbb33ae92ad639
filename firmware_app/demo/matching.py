"""C-FIND matching of PS3.4 section C.2.2.2, as a hospital system does it: pure functions over pydicom data sets."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

# They steer the query and match nothing (PS3.4 C.2.2.2, C.4.1.1.3.1).
CONTROL_KEYWORDS = frozenset({"SpecificCharacterSet", "QueryRetrieveLevel", "TimezoneOffsetFromUTC"})
WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})


def matches(candidate: Dataset, identifier: Dataset) -> bool:
    """Whether `candidate` fulfils every key of the request's identifier."""
    return all(_key_matches(candidate, key) for key in _keys(identifier))


def answer(candidate: Dataset, identifier: Dataset) -> Dataset:
    """The response: exactly the requested keys, zero length where the candidate has none (PS3.4 C.4.1.1.3.2)."""
    response = Dataset()
    for key in _keys(identifier):
        if key.tag not in candidate:
            response.add(DataElement(key.tag, key.VR, [] if key.VR == "SQ" else None))
        elif key.VR == "SQ" and key.value:
            items = [answer(item, key.value[0]) for item in candidate[key.tag].value]
            response.add(DataElement(key.tag, "SQ", items))
        else:
            response.add(candidate[key.tag])
    return response


def with_character_set(response: Dataset, candidate: Dataset) -> Dataset:
    """The response names the repertoire its text is encoded in (PS3.4 C.4.1.1.3.2)."""
    if "SpecificCharacterSet" in candidate:
        response.SpecificCharacterSet = candidate.SpecificCharacterSet
    return response


def _keys(identifier: Dataset) -> Iterator[DataElement]:
    return (element for element in identifier if element.keyword not in CONTROL_KEYWORDS)


def _key_matches(candidate: Dataset, key: DataElement) -> bool:
    if key.VR == "SQ":
        if not key.value or not any(True for _ in _keys(key.value[0])):
            return True
        items = candidate[key.tag].value if key.tag in candidate else []
        return any(matches(item, key.value[0]) for item in items or [Dataset()])
    wanted = _texts(key)
    if not any(wanted):
        return True
    values = (_texts(candidate[key.tag]) if key.tag in candidate else []) or [""]
    return any(_value_matches(key.VR, pattern, value) for pattern in wanted for value in values)


def _texts(element: DataElement) -> list[str]:
    value = element.value
    if value is None:
        return []
    values = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    return [str(single).strip(" \0") for single in values]


def _value_matches(vr: str, pattern: str, value: str) -> bool:
    if vr == "PN":
        return _name_matches(pattern, value)
    if vr in ("DA", "TM", "DT"):
        return _in_range(vr, pattern, value)
    if vr in WILDCARD_VRS:
        return _wildcard(pattern).fullmatch(value) is not None
    return pattern == value


def _wildcard(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    # "[" is an ordinary character to DICOM and a set to fnmatch.
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")), flags)


def _name_matches(pattern: str, value: str) -> bool:
    """A name is found by any one of its component groups, in either case (PS3.4 C.2.2.2.1, note 4)."""
    expression = _wildcard(pattern.rstrip("^="), re.IGNORECASE)
    groups = [value, *value.split("=")]
    return any(expression.fullmatch(group.rstrip("^=")) is not None for group in groups)


def _in_range(vr: str, pattern: str, value: str) -> bool:
    """Single value or range; an end that is left out is open (PS3.4 C.2.2.2.5)."""
    if not value:
        return pattern == "*"
    low, dash, high = pattern.partition("-")
    if not dash:
        high = low
    return (not low or _earliest(vr, low) <= _earliest(vr, value)) and (
        not high or _earliest(vr, value) <= _latest(vr, high)
    )


def _earliest(vr: str, value: str) -> str:
    return _filled(value, {"DA": "00000101", "TM": "000000.000000", "DT": "00000101000000.000000"}[vr])


def _latest(vr: str, value: str) -> str:
    return _filled(value, {"DA": "99991231", "TM": "235959.999999", "DT": "99991231235959.999999"}[vr])


def _filled(value: str, template: str) -> str:
    """Digits that were left out mean the whole minute, hour, month: "0830" covers 083000 to 083059.999999."""
    return value + template[len(value) :]
