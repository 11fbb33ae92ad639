"""How the texts of an identifier came is kept beside them: what was undecodable, and what was spelled otherwise."""

from __future__ import annotations

import struct

import pytest

from firmware_app.dicom.found_patient import read_found_patient
from firmware_app.dicom.worklist_item import read_worklist_item
from firmware_app.model import Code, FoundPatient, Patient, WorklistItem

CHARACTER_SET, NAME, PATIENT_ID, CODE_MEANING = 0x00080005, 0x00100010, 0x00100020, 0x00080104
PROCEDURE_CODES, STEPS, STEP_DESCRIPTION = 0x00321064, 0x00400100, 0x00400007


def element(tag: int, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def sequence(tag: int, *elements: bytes) -> bytes:
    return element(tag, element(0xFFFEE000, b"".join(elements)))


def found(terms: bytes, name: bytes, patient_id: bytes = b"1") -> FoundPatient:
    octets = element(CHARACTER_SET, terms) + element(NAME, name) + element(PATIENT_ID, patient_id)
    return read_found_patient(octets, explicit_vr=False)


def worklist(*elements: bytes) -> WorklistItem:
    return read_worklist_item(b"".join(elements), explicit_vr=False)


def test_a_patient_of_a_query() -> None:
    octets = element(NAME, b"A^B") + element(PATIENT_ID, b"P1") + element(0x00100030, b"19600229")
    octets += element(0x00100040, b"F") + element(0x00102160, b"X")
    expected = Patient("A^B", "P1", birth_date="19600229", sex="F", ethnic_group="X")
    assert read_found_patient(octets, explicit_vr=False) == FoundPatient(expected)
    assert read_found_patient(b"", explicit_vr=False).problems == (
        "Patient's Name (0010,0010) is missing",
        "Patient ID (0010,0020) is missing",
    )


@pytest.mark.parametrize(
    ("terms", "octets", "text"),
    [
        (b"", b"J\xe9", "Jé"),
        (b"", "山田".encode(), "山田"),
        (b"ISO_IR 192", b"J\xe9", "Jé"),
        (b"\\ISO 2022 IR 87", "山田".encode("shift_jis"), "\x8eR\x93c"),
        (b"KLINGON", b"J\xe9", "Jé"),
        (b"ISO_IR 100", "Jérôme".encode(), "JÃ©rÃ´me"),  # shown as declared, and doubted
        (b"ISO_IR 148", "Işıl".encode(), "IÅ\x9fÄ±l"),
    ],
)
def test_octets_that_are_no_text_of_their_set_are_kept(terms: bytes, octets: bytes, text: str) -> None:
    read = found(terms, octets)
    assert read.patient.name == text
    assert read.undecoded == (("PatientName", octets.hex().upper()),)
    assert any("character" in problem.lower() for problem in read.problems)
    assert read.as_received == ()


@pytest.mark.parametrize(
    ("terms", "octets"),
    [
        (b"ISO_IR 100", b"J\xe9r\xf4me^\xc4\xd6"),
        (b"ISO_IR 101", "PÓŁTORAK".encode("iso8859_2")),  # would be UTF-8 too
        (b"ISO_IR 144", "ТАТА".encode("iso8859_5")),
        (b"ISO_IR 192", "山田".encode()),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B"),
        (b"", b"Doe^John"),
    ],
)
def test_text_of_its_set_leaves_nothing_to_keep(terms: bytes, octets: bytes) -> None:
    read = found(terms, octets)
    assert (read.problems, read.undecoded, read.as_received) == ((), (), ())


@pytest.mark.parametrize(
    ("terms", "octets", "text"),
    [
        (b"\\ISO 2022 IR 149", b"\x1b$)C\xb1\xe8\x1b(B", "김"),
        (b"ISO 2022 IR 13\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", "山田"),
        (b"ISO_IR 192", "王^小東=".encode(), "王^小東"),
        (b"", b"Wang=", "Wang"),
    ],
)
def test_another_spelling_of_the_same_text_is_kept(terms: bytes, octets: bytes, text: str) -> None:
    read = found(terms, octets)
    assert (read.problems, read.undecoded) == ((), ())
    assert read.patient.name.rstrip("=") == text
    assert read.as_received == ((text, octets.hex().upper()),)


def test_an_item_may_have_a_character_set_of_its_own() -> None:
    """As in pydicom's chrSQEncoding.dcm: UTF-8 outside, Japanese inside; without one the outer set goes on."""
    kanji = element(CODE_MEANING, b"\x1b$B;3ED\x1b(B")  # and not ESC ( J, as we would write it there
    inner = element(CHARACTER_SET, b"ISO 2022 IR 13\\ISO 2022 IR 87")
    read = worklist(
        element(CHARACTER_SET, b"ISO_IR 192"),
        element(NAME, "é".encode()),
        element(PATIENT_ID, b"1"),
        element(0x0020000D, b"1.2"),
        sequence(PROCEDURE_CODES, inner, kanji),
        sequence(STEPS, element(STEP_DESCRIPTION, "ö".encode())),
    )
    assert (read.requested_procedure_codes, read.problems) == ((Code("", "", "山田"),), ())
    assert (read.patient.name, read.scheduled_procedure_step_description) == ("é", "ö")
    assert read.as_received == ()  # those are octets of another set than the item's
    read = worklist(element(CHARACTER_SET, b"\\ISO 2022 IR 87"), sequence(PROCEDURE_CODES, kanji))
    assert read.requested_procedure_codes == (Code("", "", "山田"),)


def test_the_path_of_an_inner_text_is_told() -> None:
    codes = sequence(0x00400008, element(CODE_MEANING, b"\xff"))
    read = worklist(sequence(STEPS, element(STEP_DESCRIPTION, b"\xfe"), codes))
    step = "ScheduledProcedureStepSequence"
    assert read.undecoded == (
        (f"{step}.ScheduledProcedureStepDescription", "FE"),
        (f"{step}.ScheduledProtocolCodeSequence.CodeMeaning", "FF"),
    )


@pytest.mark.parametrize(
    ("terms", "octets", "count"),
    [
        (b"", b"A\\B", 2),
        (b"ISO_IR 13", b"\xb1\\\xb2\\", 3),  # yen signs to a reader of JIS X 0201
        (b"GBK", b"\x81\x5c", 1),
        (b"\\ISO 2022 IR 87", b"\x1b$B!\\\x1b(B", 1),
    ],
)
def test_a_backslash_makes_values_only_by_itself(terms: bytes, octets: bytes, count: int) -> None:
    read = found(terms, b"A", octets)
    problem = f"Patient ID (0010,0020) has {count} values instead of one"
    assert read.problems == ((problem,) if count > 1 else ())
    assert found(terms, b"A", octets).undecoded == ()
