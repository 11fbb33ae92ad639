"""Reading the text of one identifier that a peer sent, and collecting what is wrong with it.

Nothing a peer sends loses the item: what is missing, over-long, badly coded or broken is kept as far as it can be read
and named in `problems`. UIDs and accession numbers lose only their padding; they go out again exactly as they came.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

from firmware_app.dicom.charset import DEFAULT_FALLBACKS, TextDecoder
from firmware_app.dicom.elements import Elements, tag_words
from firmware_app.dicom.text_encoder import TextEncoder, Unencodable
from firmware_app.model import Patient


class Attribute(NamedTuple):
    tag: int
    vr: str
    name: str
    keyword: str


SPECIFIC_CHARACTER_SET = Attribute(0x00080005, "CS", "Specific Character Set", "SpecificCharacterSet")
PATIENT_NAME = Attribute(0x00100010, "PN", "Patient's Name", "PatientName")
PATIENT_ID = Attribute(0x00100020, "LO", "Patient ID", "PatientID")
# Field of the model -> attribute.
PATIENT_FIELDS = {
    "name": PATIENT_NAME,
    "patient_id": PATIENT_ID,
    "issuer_of_patient_id": Attribute(0x00100021, "LO", "Issuer of Patient ID", "IssuerOfPatientID"),
    "birth_date": Attribute(0x00100030, "DA", "Patient's Birth Date", "PatientBirthDate"),
    "sex": Attribute(0x00100040, "CS", "Patient's Sex", "PatientSex"),
    "weight_kg": Attribute(0x00101030, "DS", "Patient's Weight", "PatientWeight"),
    "ethnic_group": Attribute(0x00102160, "SH", "Ethnic Group", "EthnicGroup"),
}

CODED_TEXT = frozenset({"LO", "PN", "SH"})  # the VRs that Specific Character Set governs (PS3.5 6.1.2.3)
MAX_CHARACTERS = {"AE": 16, "CS": 16, "DS": 16, "LO": 64, "PN": 64, "SH": 16, "UI": 64}
UID_FORM = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
TIME_FORM = re.compile(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?")
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
BACKSLASH = b"\\"
# What ASCII text may have that needs a second look: code extensions, several values, empty component groups.
SPECIAL = re.compile(rb"[\x1b\\]|=$")


class Repertoire(NamedTuple):
    """How the text of a data set, or of an item that declares its own sets, is read."""

    decoder: TextDecoder
    encoder: TextEncoder


@lru_cache(maxsize=64)
def repertoire_of(terms: tuple[str, ...], fallbacks: tuple[str, ...]) -> Repertoire:
    """Kept: a worklist has thousands of items in one or two character sets."""
    return Repertoire(TextDecoder(terms, fallbacks), TextEncoder(terms))


class ItemReading:
    """One identifier. What it finds is in `problems`, `undecoded` and `as_received`, as in the model."""

    def __init__(self, elements: Elements, fallbacks: Sequence[str] = DEFAULT_FALLBACKS) -> None:
        self._fallbacks = tuple(fallbacks)
        self.problems: list[str] = []
        self.undecoded: list[tuple[str, str]] = []
        self.as_received: dict[str, bytes] = {}
        self.terms = read_character_set(elements)
        self._outer = self._current = self._repertoire(self.terms)

    def _repertoire(self, terms: tuple[str, ...]) -> Repertoire:
        repertoire = repertoire_of(terms, self._fallbacks)
        problem = repertoire.decoder.problem
        if problem and problem not in self.problems:
            self.problems.append(problem)
        return repertoire

    @contextmanager
    def inside(self, item: Elements) -> Iterator[None]:
        """Read by the sets of this item of a sequence, where it has its own (PS3.3 C.12.1.1.2)."""
        before = self._current
        if SPECIFIC_CHARACTER_SET.tag in item:
            self._current = self._repertoire(read_character_set(item))
        try:
            yield
        finally:
            self._current = before

    def patient(self, elements: Elements) -> Patient:
        return Patient(**{name: self.text(elements, one) for name, one in PATIENT_FIELDS.items()})

    def require(self, elements: Elements, attributes: Sequence[Attribute]) -> None:
        for attribute in attributes:
            if not elements.get(attribute.tag, b""):
                self.note(attribute, "is missing")

    def text(self, elements: Elements, attribute: Attribute, parent: str = "") -> str:
        value = elements.get(attribute.tag, b"")
        if isinstance(value, list):
            self.note(attribute, "is a sequence")
            return ""
        if not value:
            return ""
        is_name = attribute.vr == "PN"
        octets = value.rstrip(b" \0") if is_name else value.strip(b" \0")
        if attribute.vr not in CODED_TEXT:
            text = octets.decode("latin-1")
        elif octets.isascii() and not SPECIAL.search(octets):
            text = octets.decode("ascii")
        else:
            text = self._coded_text(octets, attribute, parent)
        problem = check_form(attribute.vr, text)
        if problem:
            self.note(attribute, problem)
        return text

    def _coded_text(self, octets: bytes, attribute: Attribute, parent: str) -> str:
        decoder, encoder = self._current
        is_name = attribute.vr == "PN"
        decoded = decoder.decode(octets, person_name=is_name)
        if decoded.problem:
            self.note(attribute, decoded.problem)
        if decoded.undecodable or (decoder.problem and not octets.isascii()):
            self.undecoded.append((f"{parent}{attribute.keyword}", octets.hex().upper()))
        elif not decoded.problem and self._current is self._outer:
            self._keep_spelling(decoded.text, octets, encoder, is_name)
        count = len(decoder.values(octets)) if BACKSLASH in octets and not decoded.undecodable else 1
        if count > 1:
            self.note(attribute, f"has {count} values instead of one")
        return decoded.text

    def _keep_spelling(self, text: str, octets: bytes, encoder: TextEncoder, is_name: bool) -> None:
        key = text.rstrip("=") if is_name else text
        if text.isascii() and octets.isascii() and len(key) == len(octets):
            return
        try:
            same = encoder.encode(key, person_name=is_name) == octets
        except Unencodable:
            same = False
        if not same:
            self.as_received.setdefault(key, octets)

    def note(self, attribute: Attribute, problem: str) -> None:
        self.problems.append(f"{attribute.name} {tag_words(attribute.tag)} {problem}")

    def findings(self) -> dict[str, tuple[object, ...]]:
        """The fields of the model that say how the texts came."""
        return {
            "specific_character_set": self.terms,
            "problems": tuple(self.problems),
            "undecoded": tuple(self.undecoded),
            "as_received": tuple((text, octets.hex().upper()) for text, octets in self.as_received.items()),
        }


def read_character_set(elements: Elements) -> tuple[str, ...]:
    value = elements.get(SPECIFIC_CHARACTER_SET.tag, b"")
    if isinstance(value, list) or not value.strip(b" \0"):
        return ()
    return tuple(term.strip(" \0") for term in value.decode("latin-1").split("\\"))


def check_form(vr: str, text: str) -> str | None:
    """What PS3.5 table 6.2-1 has against the value, if anything; the value is kept all the same."""
    limit = MAX_CHARACTERS.get(vr)
    longest = max(map(len, text.split("="))) if vr == "PN" else len(text)
    if limit is not None and longest > limit:
        return f"has {longest} characters, {limit} are allowed"
    if CONTROL_CHARACTERS.search(text):
        return "contains control characters"
    if not text:
        return None
    if vr == "DA" and not is_date(text):
        return f"is not a date: {text!r}"
    if vr == "TM" and not TIME_FORM.fullmatch(text):
        return f"is not a time: {text!r}"
    if vr == "UI" and not UID_FORM.fullmatch(text):
        return f"is not a UID: {text!r}"
    return None


def is_date(text: str) -> bool:
    """YYYYMMDD of a day that exists."""
    if len(text) != 8 or not text.isascii() or not text.isdigit():
        return False
    try:
        datetime.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True
