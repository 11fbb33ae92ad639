"""DCMTK reads the names we write and decodes our JPEG and RLE; its RLE becomes what ours was."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from objects_samples import PATIENT, SCHEDULED, build, camera, frame, report
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.picture import Picture
from firmware_app.objects.transcoding import transcode

pytestmark = pytest.mark.peer("dcmtk")

# ISO 2022 IR 87 and 13 are checked against the bytes of PS3.5 annex H instead: glibc's iconv cannot convert them.
NAMES = [
    (("ISO_IR 100",), "Buc^Jérôme"),
    (("ISO_IR 101",), "Wałęsa^Łukasz"),
    (("ISO_IR 126",), "Διονυσιος"),
    (("ISO_IR 144",), "Люкceмбypг"),
    (("ISO_IR 148",), "Çavuşoğlu^Işıl"),
    (("ISO_IR 192",), "Wang^XiaoDong=王^小東"),
    (("GB18030",), "Wang^XiaoDong=王^小东"),
    (("", "ISO 2022 IR 149"), "Hong^Gildong=洪^吉洞=홍^길동"),
]


@pytest.mark.parametrize(("terms", "name"), NAMES)
def test_the_name_is_read_as_it_was_meant(terms: tuple[str, ...], name: str, tmp_path: Path) -> None:
    item = SCHEDULED.worklist_item
    assert item is not None
    patient = replace(PATIENT, name=name)
    exam = replace(SCHEDULED, patient=patient, worklist_items=(replace(item, specific_character_set=terms),))
    file = tmp_path / "named.dcm"
    file.write_bytes(encode_part10(build(camera(), exam).dataset))
    dump = subprocess.run(["dcmdump", "-q", "+U8", "+P", "0010,0010", str(file)], capture_output=True, timeout=60)
    assert f"[{name}]" in dump.stdout.decode(), dump.stderr


@pytest.mark.parametrize("picture", [camera(8), camera(12), report()], ids=["8bit", "12bit", "report"])
def test_the_jpeg_is_decoded(picture: object, tmp_path: Path) -> None:
    jpeg = JPEGBaseline8Bit
    source, decoded = tmp_path / "jpeg.dcm", tmp_path / "plain.dcm"
    source.write_bytes(encode_part10(build(picture, transfer_syntax_uid=jpeg).dataset))  # type: ignore[arg-type]
    subprocess.run(["dcmdjpeg", str(source), str(decoded)], check=True, capture_output=True, timeout=60)
    dataset = pydicom.dcmread(decoded)
    assert dataset.pixel_array.shape == picture.pixels.shape  # type: ignore[attr-defined]
    if dataset.SamplesPerPixel == 1:
        expected = frame(8) if "DerivationDescription" not in dataset else frame(12) >> 4
        # Noise is the worst case for JPEG; a wrong scale or sign would be off by tens on average.
        assert float(np.abs(dataset.pixel_array.astype(int) - expected).mean()) < 6


LOSSLESS_OBJECTS = [
    pytest.param("SC", camera(8), id="sc-8"),
    pytest.param("SC", camera(12), id="sc-12"),
    pytest.param("SC", report(), id="sc-colour"),
    pytest.param("OP", camera(8), id="op-8"),
    pytest.param("OP", camera(12), id="op-16"),
    pytest.param("XC", camera(8), id="vl"),
    pytest.param("CR", camera(12), id="cr"),
]


@pytest.mark.parametrize(("setting", "picture"), LOSSLESS_OBJECTS)
def test_the_rle_is_decoded_bit_for_bit(setting: str, picture: Picture, tmp_path: Path) -> None:
    source, decoded = tmp_path / "rle.dcm", tmp_path / "plain.dcm"
    source.write_bytes(encoded(picture, setting, RLELossless))
    subprocess.run(["dcmdrle", str(source), str(decoded)], check=True, capture_output=True, timeout=60)
    theirs = pydicom.dcmread(decoded).pixel_array
    assert np.array_equal(theirs, pydicom.dcmread(source).pixel_array)
    shift = {("OP", 12): 4}.get((setting, picture.bits_stored), 0)
    assert np.array_equal(theirs >> shift, picture.pixels)


@pytest.mark.parametrize(("setting", "picture"), LOSSLESS_OBJECTS)
def test_the_rle_of_dcmtk_is_made_uncompressed(setting: str, picture: Picture, tmp_path: Path) -> None:
    source, theirs = tmp_path / "plain.dcm", tmp_path / "rle.dcm"
    source.write_bytes(encoded(picture, setting, ExplicitVRLittleEndian))
    subprocess.run(["dcmcrle", str(source), str(theirs)], check=True, capture_output=True, timeout=60)
    made = pydicom.dcmread(BytesIO(transcode(theirs, ImplicitVRLittleEndian)))
    assert made.SOPInstanceUID == pydicom.dcmread(source).SOPInstanceUID
    assert np.array_equal(made.pixel_array, pydicom.dcmread(source).pixel_array)


def encoded(picture: Picture, setting: str, syntax: str) -> bytes:
    return encode_part10(build(picture, storage_setting=setting, transfer_syntax_uid=syntax).dataset)
