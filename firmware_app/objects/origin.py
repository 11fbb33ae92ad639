"""How the texts of an exam came to us: in which character set, spelled how, and which of them nobody could decode."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_app.model import Exam, FoundPatient, WorklistItem

OCTETS_SHOWN = 64  # of one text; the exam's records keep them all


def origins(exam: Exam) -> tuple[WorklistItem | FoundPatient, ...]:
    """Empty for what was typed."""
    if exam.worklist_items:
        return exam.worklist_items
    return (exam.found_patient,) if exam.found_patient else ()


def character_set(exam: Exam) -> tuple[str, ...]:
    """What to write in, if every text of ours fits into it too."""
    return next((each.specific_character_set for each in origins(exam)), ())


def as_received(exam: Exam) -> dict[str, bytes]:
    """Texts and the octets that they came as, under `character_set`."""
    terms = character_set(exam)
    return {
        text: bytes.fromhex(octets)
        for each in origins(exam)
        if each.specific_character_set == terms
        for text, octets in each.as_received
    }


def undecoded(exam: Exam) -> Iterator[str]:
    """What a reader must know: these texts are a guess, and this is what really came."""
    for each in origins(exam):
        declared = "\\".join(each.specific_character_set) or "none declared"
        for path, octets in each.undecoded:
            cut = "..." if len(octets) > 2 * OCTETS_SHOWN else ""
            shown = octets[: 2 * OCTETS_SHOWN] + cut
            yield f"{path}: a guess, because its octets are not of its character set ({declared}): {shown}"
