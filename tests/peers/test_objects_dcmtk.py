"""DCMTK reads the names we write and decodes our JPEG."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from objects_samples import PATIENT, SCHEDULED, build, camera, frame, report
from pydicom.uid import JPEGBaseline8Bit

from firmware_app.objects.encoding import encode_part10

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
