"""Data sets are written with our own octets; text that was read from a file stays as it was."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from firmware_app.dicom.text_encoder import Unencodable
from firmware_app.net.attributes import decode_attributes, encode_attributes
from firmware_app.objects.encoding import encode_part10

SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_kind_of_text(syntax: str) -> None:
    inner = Dataset()
    inner.CodeMeaning = "田"
    own = Dataset()
    own.SpecificCharacterSet, own.CodeMeaning = "ISO_IR 100", "é"
    data_set = Dataset()
    data_set.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    data_set.InstitutionName, data_set.PatientName = "山", "A^B=山"
    data_set.OtherPatientNames = ["A=山", "B=田"]
    data_set.ImageComments = "山\r\n田"
    data_set.PatientID, data_set.StationName, data_set.PatientComments = "", None, ""
    data_set.Rows, data_set.RequestedProcedureCodeSequence = 3, [inner, own]
    octets = encode_attributes(data_set, syntax)
    for text in (
        b"\x1b$B;3\x1b(B",
        b"A^B=\x1b$B;3\x1b(B",
        b"A=\x1b$B;3\x1b(B\\B=\x1b$BED\x1b(B",
        b"\x1b$B;3\x1b(B\r\n\x1b$BED\x1b(B",
        b"\xe9 ",
    ):
        assert text in octets
    read = decode_attributes(octets, syntax)
    assert (read.Rows, read.PatientID, read.StationName) == (3, "", "")
    assert [str(each) for each in read.OtherPatientNames] == ["A=山", "B=田"]
    assert [each.CodeMeaning for each in read.RequestedProcedureCodeSequence] == ["田", "é"]
    assert len(octets) % 2 == 0


def test_what_its_set_lacks_is_refused_by_attribute() -> None:
    data_set = Dataset()
    data_set.PatientName = "Jérôme"
    with pytest.raises(Unencodable, match=r"^PatientName: U\+00E9 is not in ascii"):
        encode_attributes(data_set, ImplicitVRLittleEndian)
    data_set.SpecificCharacterSet = "ISO_IR 100"
    assert b"J\xe9r\xf4me" in encode_attributes(data_set, ImplicitVRLittleEndian)


def test_octets_as_received_are_those_of_the_outer_set() -> None:
    inner = Dataset()
    inner.SpecificCharacterSet, inner.CodeMeaning = "ISO_IR 192", "é"
    data_set = Dataset()
    data_set.SpecificCharacterSet = ["ISO 2022 IR 100", "ISO 2022 IR 144"]
    data_set.InstitutionName, data_set.RequestedProcedureCodeSequence = "é", [inner]
    octets = encode_attributes(data_set, ImplicitVRLittleEndian, {"é": b"\x1b-A\xe9"})
    assert b"\x04\0\0\0\x1b-A\xe9" in octets  # the needless designation that came with it
    assert "é".encode() in octets


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_file_that_nobody_changed_keeps_what_it_has(syntax: str) -> None:
    """A foreign file may break its own character set: that is not ours to mend, nor to refuse."""
    data_set = Dataset()
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID = SecondaryCaptureImageStorage
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID = generate_uid()
    inner = Dataset()
    inner.CodeMeaning = "XYXYXY"
    data_set.PatientName, data_set.RequestedProcedureCodeSequence = "XYXYXYXY", [inner]
    octets = encode_part10(data_set).replace(b"XY", b"\xff\x5c")
    for other in SYNTAXES:
        read = pydicom.dcmread(BytesIO(octets))
        read.file_meta.TransferSyntaxUID = other
        written = encode_part10(read)
        assert written.count(b"\xff\x5c") == 7
    assert read.SOPInstanceUID == data_set.SOPInstanceUID
