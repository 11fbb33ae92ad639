"""Text elements of a pydicom data set as octets of our own, so that pydicom writes them as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firmware_app.dicom.text_encoder import TextEncoder, Unencodable

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

CODED_TEXT = frozenset({"SH", "LO", "ST", "LT", "UC", "UT", "PN"})  # PS3.5 6.1.2.3
CHARACTER_SET = 0x00080005
LATIN_9 = ("ISO_IR 203", "ISO 2022 IR 203")


def with_text_octets(
    data_set: Dataset, *, implicit_vr: bool, as_received: Mapping[str, bytes] | None = None
) -> Dataset:
    """A shallow copy for writing in that syntax. Raises `text_encoder.Unencodable` naming the attribute.

    Text that was read from a file and that nobody has looked at stays the octets it was.
    """
    from pydicom.charset import python_encoding
    from pydicom.filewriter import correct_ambiguous_vr

    for term in LATIN_9:  # PS3.3 has had it since 2021, pydicom 3.0 not yet: it would warn of each element
        python_encoding.setdefault(term, "iso8859_15")
    return _converted(correct_ambiguous_vr(data_set, True), implicit_vr, as_received, ())


def _converted(
    data_set: Dataset, implicit_vr: bool, as_received: Mapping[str, bytes] | None, inherited: tuple[str, ...]
) -> Dataset:
    from pydicom.dataset import Dataset

    terms = _terms(data_set, inherited)
    # The octets are those of the outer character set: an item may declare another (PS3.3 C.12.1.1.2).
    encoder = TextEncoder(terms, as_received if terms == inherited or not inherited else None)
    converted = Dataset()
    for tag in data_set.keys():  # noqa: SIM118  # iterating gives elements, and decodes those that were read
        untouched = data_set.get_item(tag)
        if untouched.is_raw and isinstance(untouched.value, bytes) and _vr(untouched) in CODED_TEXT:
            converted[tag] = _raw(tag, _vr(untouched), untouched.value, implicit_vr)
            continue
        element = data_set[tag]
        if element.VR == "SQ":
            items = [_converted(item, implicit_vr, as_received, terms) for item in element.value]
            converted.add_new(tag, "SQ", items)
        elif element.VR in CODED_TEXT and not element.is_empty:
            converted[tag] = _raw(tag, element.VR, _octets(element, encoder), implicit_vr)
        else:
            converted[tag] = element
    # What a data set was read as is what pydicom copies without looking at it.
    converted.set_original_encoding(implicit_vr, True, converted._character_set)
    if hasattr(data_set, "file_meta"):
        converted.file_meta = data_set.file_meta
    return converted


def _terms(data_set: Dataset, inherited: tuple[str, ...]) -> tuple[str, ...]:
    if CHARACTER_SET not in data_set:
        return inherited
    value = data_set[CHARACTER_SET].value
    return (value,) if isinstance(value, str) else tuple(value or ())


def _vr(element: Any) -> str:
    """Of an element as it was read; Implicit VR leaves it to the dictionary."""
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    return element.VR or (dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else "UN")


def _octets(element: DataElement, encoder: TextEncoder) -> bytes:
    values = element.value if element.VM > 1 else [element.value]
    try:
        return b"\\".join(encoder.encode(str(value), person_name=element.VR == "PN") for value in values)
    except Unencodable as error:
        raise Unencodable(f"{element.keyword or element.tag}: {error}") from None


def _raw(tag: Any, vr: str, octets: bytes, implicit_vr: bool) -> Any:
    from pydicom.dataelem import RawDataElement

    octets += b" " * (len(octets) % 2)
    return RawDataElement(tag, vr, len(octets), octets, 0, implicit_vr, True, True)
