"""Files in every transfer syntax of ours, made uncompressed for an archive that takes nothing else."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from objects_samples import ITEM, SCHEDULED, build, camera, report
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.picture import Picture
from firmware_app.objects.transcoding import transcode

LOSSLESS = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless]
TARGETS = [ImplicitVRLittleEndian, ExplicitVRLittleEndian]
PICTURES = {"8bit": camera(8), "12bit": camera(12), "report": report()}


def file_of(picture: Picture, syntax: str, **options: object) -> bytes:
    return encode_part10(build(picture, transfer_syntax_uid=syntax, **options).dataset)


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(data))


@pytest.mark.parametrize("target", TARGETS, ids=["implicit", "explicit"])
@pytest.mark.parametrize("source", LOSSLESS, ids=lambda uid: uid.name.split(" ")[0])
@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_lost_and_the_instance_is_the_same(name: str, source: str, target: str) -> None:
    picture = PICTURES[name]
    before = file_of(picture, source)
    after = read(transcode(before, target))
    assert after.file_meta.TransferSyntaxUID == target
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID == read(before).SOPInstanceUID
    assert np.array_equal(after.pixel_array, picture.pixels)
    assert after.LossyImageCompression == "00"
    assert after.PhotometricInterpretation == ("RGB" if picture.pixels.ndim == 3 else "MONOCHROME2")
    # What is not about the encoding of pixels is what an uncompressed instance has from the beginning.
    plain = read(file_of(picture, target))
    assert {element.tag: element.value for element in after} == {element.tag: element.value for element in plain}


@pytest.mark.parametrize("target", TARGETS, ids=["implicit", "explicit"])
@pytest.mark.parametrize("name", ["8bit", "report"])
def test_what_was_lossy_stays_marked(name: str, target: str) -> None:
    before = file_of(PICTURES[name], JPEGBaseline8Bit)
    after = read(transcode(before, target))
    assert after.LossyImageCompression == "01"
    assert after.LossyImageCompressionRatio == read(before).LossyImageCompressionRatio
    assert after.LossyImageCompressionMethod == "ISO_10918_1"
    assert after.PhotometricInterpretation == ("RGB" if name == "report" else "MONOCHROME2")
    assert np.array_equal(after.pixel_array, read(before).pixel_array)


def test_a_file_is_read_from_disk_and_named_when_it_is_broken(tmp_path: Path) -> None:
    file = tmp_path / "instance.dcm"
    file.write_bytes(file_of(camera(8), RLELossless))
    assert np.array_equal(read(transcode(file, ImplicitVRLittleEndian)).pixel_array, camera(8).pixels)
    file.write_bytes(b"no DICOM at all")
    with pytest.raises(ObjectError, match=r"instance\.dcm cannot be transcoded: "):
        transcode(file, ImplicitVRLittleEndian)
    with pytest.raises(ObjectError, match=r"nothing\.dcm cannot be transcoded: "):
        transcode(tmp_path / "nothing.dcm", ImplicitVRLittleEndian)


def test_names_keep_their_octets() -> None:
    item = replace(ITEM, specific_character_set=("ISO 2022 IR 13", "ISO 2022 IR 87"))
    patient = replace(SCHEDULED.patient, name="ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう")
    exam = replace(SCHEDULED, patient=patient, worklist_items=(item,))
    before = file_of(camera(8), RLELossless, exam=exam)
    after = transcode(before, ImplicitVRLittleEndian)
    name = read(before).get_item("PatientName").value
    assert name in after
    assert read(after).get_item("PatientName").value == name


def test_octets_that_no_character_set_explains_stay_too() -> None:
    odd = file_of(camera(8), RLELossless).replace(b"Doe^Jane", b"D\xf6\xff^Jane"[:8])
    assert b"D\xf6\xff^Jane"[:8] in transcode(odd, ExplicitVRLittleEndian)


@pytest.mark.parametrize("target", [RLELossless, JPEGBaseline8Bit, "1.2.840.10008.1.2.2", ""])
def test_only_little_endian_is_a_target(target: str) -> None:
    with pytest.raises(ObjectError, match="is not one that files are transcoded to"):
        transcode(file_of(camera(8), RLELossless), target)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGBaseline8Bit])
@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_file_is_an_object_error_or_a_file(syntax: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    octets = bytearray(file_of(camera(8), syntax))
    if seed % 3 == 0:
        octets = octets[: int(random.integers(140, len(octets)))]
    else:
        # In every other one only the header, where a lie does more.
        for position in random.integers(132, len(octets) if seed % 2 else 600, 8):
            octets[position] = int(random.integers(256))
    try:
        made = transcode(bytes(octets), ImplicitVRLittleEndian)
    except ObjectError:
        return
    assert made[128:132] == b"DICM"
