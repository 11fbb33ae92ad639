"""Worklist identifiers: good, odd and broken; an item comes out of any octets."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from firmware_app.dicom.elements import MAX_DEPTH, read_data_set
from firmware_app.dicom.item_reading import check_form
from firmware_app.dicom.part10 import NotAnInstance, meta_length, read_meta
from firmware_app.dicom.worklist_item import read_worklist_item
from firmware_app.model import Code, Patient, ReferencedInstance, WorklistItem


def element(tag: int, value: bytes, vr: bytes = b"") -> bytes:
    if vr in (b"SQ", b"UN"):
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, len(value)) + value
    if vr:
        return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def item(value: bytes) -> bytes:
    return element(0xFFFEE000, value)


def encode(data_set: Dataset, explicit_vr: bool) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, not explicit_vr
    write_dataset(buffer, data_set)
    return bytes(buffer.getvalue())


def whole_data_set(undefined_length: bool) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "L", "Code"
    study = Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.3", "1.2.3.4"
    step = Dataset()
    step.Modality, step.ScheduledStationAETitle = "OP", "SPECULAR"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260105", "083000"
    step.ScheduledPerformingPhysicianName = "DOC^P"
    step.ScheduledProcedureStepDescription, step.ScheduledProcedureStepID = "Both eyes", "S1"
    step.ScheduledProcedureStepLocation = "ROOM"
    step.ScheduledProtocolCodeSequence = [code]
    whole = Dataset()
    whole.SpecificCharacterSet = "ISO_IR 192"
    whole.AccessionNumber, whole.ReferringPhysicianName = "A1", "REF^R"
    whole.ReferencedStudySequence = [study]
    whole.PatientName, whole.PatientID, whole.IssuerOfPatientID = "Müller^Jörg", "P1", "CLINIC"
    whole.PatientBirthDate, whole.PatientSex, whole.PatientWeight = "19600229", "M", "80.5"
    whole.EthnicGroup, whole.StudyInstanceUID = "X", "1.2.3.99"
    whole.RequestingPhysician, whole.RequestedProcedureDescription = "REQ^R", "Endothelium"
    whole.RequestedProcedureCodeSequence = [code]
    whole.CurrentPatientLocation, whole.RequestedProcedureID = "WARD", "RP1"
    whole.ScheduledProcedureStepSequence = [step]
    if undefined_length:
        for sequence in (one for one in whole if one.VR == "SQ"):
            sequence.is_undefined_length = True
            sequence.value[0].is_undefined_length_sequence_item = True
    return whole


WHOLE = WorklistItem(
    patient=Patient("Müller^Jörg", "P1", "CLINIC", "19600229", "M", "X", "80.5"),
    study_instance_uid="1.2.3.99",
    accession_number="A1",
    requested_procedure_id="RP1",
    requested_procedure_description="Endothelium",
    requested_procedure_codes=(Code("1", "L", "Code"),),
    referenced_studies=(ReferencedInstance("1.2.3", "1.2.3.4"),),
    requesting_physician="REQ^R",
    referring_physician="REF^R",
    current_patient_location="WARD",
    scheduled_station_ae_title="SPECULAR",
    scheduled_start_date="20260105",
    scheduled_start_time="083000",
    modality="OP",
    scheduled_performing_physician="DOC^P",
    scheduled_procedure_step_description="Both eyes",
    scheduled_procedure_step_location="ROOM",
    scheduled_procedure_step_id="S1",
    scheduled_protocol_codes=(Code("1", "L", "Code"),),
    specific_character_set=("ISO_IR 192",),
)


@pytest.mark.parametrize("explicit_vr", [False, True])
@pytest.mark.parametrize("undefined_length", [False, True])
def test_every_attribute_arrives(explicit_vr: bool, undefined_length: bool) -> None:
    octets = encode(whole_data_set(undefined_length), explicit_vr)
    assert read_worklist_item(octets, explicit_vr=explicit_vr) == WHOLE


def test_padding_goes_and_nothing_else() -> None:
    octets = b"".join(
        [
            element(0x00080050, b" 00A 1 "),
            element(0x00100010, b"A^B   "),
            element(0x00100020, b"007 "),
            element(0x0020000D, b"1.2.840.1\0\0 "),
            element(0x00400100, item(element(0x00400002, b"20260105  "))),
        ]
    )
    read = read_worklist_item(octets, explicit_vr=False)
    assert (read.accession_number, read.patient.name, read.patient.patient_id) == ("00A 1", "A^B", "007")
    assert (read.study_instance_uid, read.scheduled_start_date) == ("1.2.840.1", "20260105")
    assert read.problems == ()


DELIMITED = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def minimal(*more: bytes, step: bytes = item(b"")) -> bytes:
    required = element(0x00100010, b"A^B ") + element(0x00100020, b"P1") + element(0x0020000D, b"1.2.34")
    return required + b"".join(more) + element(0x00400100, step)


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        (element(0x00100020, b"P1"), "Patient's Name (0010,0010) is missing"),
        (minimal(element(0x0020000D, b"")), "Study Instance UID (0020,000D) is missing"),
        (minimal(element(0x0020000D, b"1.02.x")), "Study Instance UID (0020,000D) is not a UID: '1.02.x'"),
        (minimal(step=b""), "Scheduled Procedure Step Sequence (0040,0100) is missing or empty"),
        (minimal(step=item(b"") * 2), "Scheduled Procedure Step Sequence (0040,0100) has 2 items"),
        (minimal(element(0x00100030, b"19600230")), "Birth Date (0010,0030) is not a date: '19600230'"),
        (minimal(element(0x00100030, b"1960/2/3")), "Birth Date (0010,0030) is not a date"),
        (minimal(step=item(element(0x00400003, b"2561"))), "Start Time (0040,0003) is not a time: '2561'"),
        (minimal(element(0x00080050, b"A" * 18)), "Accession Number (0008,0050) has 18 characters, 16 are allowed"),
        (minimal(element(0x00321060, b"a\x1b[31")), "Requested Procedure Description (0032,1060)"),
        (minimal(element(0x00100010, b"\xe4\xf6")), "Patient's Name (0010,0010) does not fit its character set"),
        (minimal(element(0x00080005, b"ISO_IR 999")), "unknown Specific Character Set 'ISO_IR 999'"),
        (minimal()[:-4], "data set is broken"),
        (minimal() + b"\0\0", "2 octets are no element"),
        (minimal(step=element(0x00100010, b"")), "holds (0010,0010) instead of an item"),
        (minimal(struct.pack("<HHI", 0x0008, 0x0050, 0xFFFFFFFF) + DELIMITED), "Number (0008,0050) is a sequence"),
    ],
)
def test_garbage_is_kept_and_flagged(octets: bytes, problem: str) -> None:
    read = read_worklist_item(octets, explicit_vr=False)
    assert any(problem in one for one in read.problems), read.problems
    assert read.patient.patient_id == "P1"


def test_a_sequence_that_explicit_vr_hides_in_un_is_implicit() -> None:
    inner = item(element(0x00080060, b"OP"))
    octets = element(0x00100010, b"A^", b"PN") + element(0x00400100, inner, b"UN")
    assert read_worklist_item(octets, explicit_vr=True).modality == "OP"


def test_an_element_may_end_inside_its_length() -> None:
    octets = element(0x00100010, b"A^", b"PN") + struct.pack("<HH2sH", 0x0042, 0x0011, b"OB", 0)
    read = read_data_set(octets, explicit_vr=True, sequence_tags=frozenset())
    assert list(read.elements) == [0x00100010]
    assert read.problems == ("data set is broken, read up to here: (0042,0011) ends inside its length",)


def test_nesting_is_bounded() -> None:
    octets = b""
    for _ in range(MAX_DEPTH + 3):
        octets = element(0x00400100, item(octets))
    (problem,) = read_data_set(octets, explicit_vr=False, sequence_tags=frozenset({0x00400100})).problems
    assert "nested more than" in problem


@pytest.mark.parametrize(
    ("vr", "text", "good"),
    [
        ("DA", "20240229", True),
        ("DA", "20230229", False),
        ("DA", "2024.02.29", False),
        ("TM", "08", True),
        ("TM", "0830", True),
        ("TM", "083059.123456", True),
        ("TM", "0830.5", False),
        ("TM", "24", False),
        ("TM", "08:30", False),
        ("UI", "1.2.3", True),
        ("UI", "1.2.", False),
        ("PN", "=".join(["x" * 64] * 3), True),
        ("PN", "x" * 65, False),
        ("LO", "a\nb", False),
        ("SH", "", True),
    ],
)
def test_forms(vr: str, text: str, good: bool) -> None:
    assert (check_form(vr, text) is None) is good


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.booleans(), st.booleans(), st.data())
def test_an_item_comes_out_of_any_octets(explicit_vr: bool, undefined_length: bool, data: st.DataObject) -> None:
    octets = bytearray(ENCODED[explicit_vr, undefined_length])
    for _ in range(data.draw(st.integers(0, 8))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    octets = octets[: data.draw(st.integers(0, len(octets)))]
    assert isinstance(read_worklist_item(bytes(octets), explicit_vr=explicit_vr), WorklistItem)


ENCODED = {(vr, length): encode(whole_data_set(length), vr) for vr in (False, True) for length in (False, True)}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.booleans())
def test_an_item_comes_out_of_noise(octets: bytes, explicit_vr: bool) -> None:
    assert isinstance(read_worklist_item(octets, explicit_vr=explicit_vr), WorklistItem)


# ------------------------------------------------------------------ files

META = b"".join(
    [
        element(0x00020001, b"\0\0\0\0\0\1", b"UN"),
        element(0x00020002, b"1.2.3\0", b"UI"),
        element(0x00020003, b"1.2.3.4\0", b"UI"),
        element(0x00020010, b"1.2.840.10008.1.2\0", b"UI"),
    ]
)


def front(length: int) -> bytes:
    return bytes(128) + b"DICM" + element(0x00020000, struct.pack("<I", length), b"UL")


def test_file_meta_information() -> None:
    assert meta_length(front(len(META))) == len(META)
    meta = read_meta(META)
    assert (meta.sop_class_uid, meta.sop_instance_uid) == ("1.2.3", "1.2.3.4")
    assert meta.transfer_syntax_uid == "1.2.840.10008.1.2"


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"", "no DICM prefix"),
        (bytes(144), "no DICM prefix"),
        (bytes(128) + b"DICM" + bytes(12), "group length"),
        (front(0xFFFFFFFF), "at most"),
    ],
)
def test_a_front_that_is_no_dicom_file(octets: bytes, message: str) -> None:
    with pytest.raises(NotAnInstance, match=message):
        meta_length(octets)


@pytest.mark.parametrize("octets", [b"", META[:-10], META[:40]])
def test_meta_information_without_what_sending_needs(octets: bytes) -> None:
    with pytest.raises(NotAnInstance):
        read_meta(octets)
