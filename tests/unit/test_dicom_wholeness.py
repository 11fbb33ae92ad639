"""A data set that broke off is told from one that is whole, wherever the break is."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from firmware_app.dicom.wholeness import break_in


def encoded(*, explicit_vr: bool, undefined: bool) -> bytes:
    """With sequences in sequences, an empty one, and values of short and long VRs."""
    inner, outer, data_set = Dataset(), Dataset(), Dataset()
    inner.CodeValue, inner.CodeMeaning = "1", "one"
    outer.PurposeOfReferenceCodeSequence = Sequence([inner, inner])
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.ReferencedSeriesSequence = Sequence([])
    data_set.SourceImageSequence = Sequence([outer, Dataset()])
    data_set.PatientName = "Doe^Jane"
    data_set.Rows = 2
    data_set.add_new(0x00091010, "OB", b"1234")
    for each in (outer, data_set):
        for element in each:
            element.is_undefined_length = undefined and element.VR == "SQ"
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, not explicit_vr
    write_dataset(buffer, data_set)
    return bytes(buffer.getvalue())


@pytest.mark.parametrize("explicit_vr", [True, False])
@pytest.mark.parametrize("undefined", [True, False])
def test_only_the_whole_is_whole(explicit_vr: bool, undefined: bool) -> None:
    octets = encoded(explicit_vr=explicit_vr, undefined=undefined)
    assert break_in(octets, explicit_vr=explicit_vr) == ""
    assert break_in(memoryview(octets), explicit_vr=explicit_vr) == ""
    rows = octets.rindex(b"\x28\x00\x10\x00")  # the last element, behind the sequences
    name = octets.rindex(b"\x10\x00\x10\x00")
    for length in range(name, len(octets)):
        broken = break_in(octets[:length], explicit_vr=explicit_vr)
        assert bool(broken) == (length not in (name, rows)), length


@pytest.mark.parametrize(
    ("octets", "explicit_vr", "reason"),
    [
        (b"", True, ""),
        (b"\x10\x00\x10\x00PN\x08\x00Doe", True, "(0010,0010) announces 8 octets, 3 are left"),
        (b"\x10\x00\x10\x00\x08\x00\x00\x00Doe", False, "(0010,0010) announces 8 octets, 3 are left"),
        (b"\x10\x00\x10", True, "it ends inside the header of an element, 3 octets after the last"),
        (b"\xe0\x7f\x10\x00OW\x00\x00", True, "it ends inside the header of (7FE0,0010)"),
        (b"\xe0\x7f\x10\x00OW\x00\x00\xff\xff\xff\xff??", True, ""),
        (b"\x10\x00\x10\x00??\x08\x00", True, ""),
    ],
)
def test_how_it_breaks_off(octets: bytes, explicit_vr: bool, reason: str) -> None:
    assert break_in(octets, explicit_vr=explicit_vr) == reason
