"""Which texts of the report no font can draw: said on the page itself, and to whoever keeps the log."""

from __future__ import annotations

from collections.abc import Iterable

from firmware_app.model import Equipment, Exam
from firmware_app.report.content import identity_lines
from firmware_app.report.typeface import INSTALL, missing_characters

NO_FONT = "no font of this system has all of it"
NUMBERS_SHOWN = 6  # of one text


def undrawn(exam: Exam, equipment: Equipment) -> tuple[str, ...]:
    """One entry for each text: its name, and the characters by their numbers."""
    groups = exam.patient.name.split("=")[:2]  # the phonetic one is not on the page
    texts = [
        ("PatientName", "".join(groups)),
        ("InstitutionName", equipment.institution_name),
        *((label, value) for label, value in identity_lines(exam, equipment)),
    ]
    return undrawn_texts(texts)


def undrawn_texts(texts: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The same of any texts with their names."""
    return tuple(f"{label}: {_numbers(missing)}" for label, text in texts if (missing := missing_characters(text)))


def _numbers(missing: tuple[str, ...]) -> str:
    more = f" and {len(missing) - NUMBERS_SHOWN} more" if len(missing) > NUMBERS_SHOWN else ""
    return " ".join(missing[:NUMBERS_SHOWN]) + more


def problems(exam: Exam, equipment: Equipment) -> tuple[str, ...]:
    """As an object tells its problems: the attribute, a colon, and what quotes the patient."""
    entries = (entry.partition(": ") for entry in undrawn(exam, equipment))
    return tuple(f"{label} ({NO_FONT}; {INSTALL}): {numbers}" for label, _, numbers in entries)
