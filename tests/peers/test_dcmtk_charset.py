"""DCMTK reads the names of our objects: another decoder's opinion of every character set that we write."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from objects_samples import PATIENT, SCHEDULED, build, camera
from peers_material import program

from firmware_app.objects.encoding import encode_part10
from firmware_app.profiles import load_profile

pytestmark = pytest.mark.peer("dcmtk")
ACCEPTED = load_profile().character_sets.accepted
# glibc's iconv lacks the first two; DCMTK 3.6.7 is older than the third.
NOT_IN_DCMTK = frozenset({"ISO 2022 IR 87", "ISO 2022 IR 159", "ISO_IR 203"})
NAMES: dict[tuple[str, ...], str] = {
    ("ISO_IR 100",): "Buc^Jérôme",
    ("ISO_IR 101",): "Wałęsa^Łukasz",
    ("ISO_IR 109",): "Ħal^Ġorġ",
    ("ISO_IR 110",): "Bērziņš^Jānis",
    ("ISO_IR 126",): "Διονυσιος",
    ("ISO_IR 127",): "قباني^لنزار",
    ("ISO_IR 138",): "שרון^דבורה",
    ("ISO_IR 144",): "Люкceмбypг",
    ("ISO_IR 148",): "Çavuşoğlu^Işıl",
    ("ISO_IR 166",): "นามสกุล^ชื่อ",
    ("ISO_IR 192",): "Wang^XiaoDong=王^小東",
    ("GB18030",): "Wang^XiaoDong=王^小东",
    ("GBK",): "Wang^XiaoDong=王^小东",
    ("ISO_IR 13",): "ﾔﾏﾀﾞ^ﾀﾛｳ",
    ("", "ISO 2022 IR 87"): "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ("ISO 2022 IR 6", "ISO 2022 IR 87"): "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ("ISO 2022 IR 13", "ISO 2022 IR 87"): "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ("", "ISO 2022 IR 87", "ISO 2022 IR 159"): "Yamada=山田^丂",
    ("ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 159"): "ﾔﾏﾀﾞ=山田^丂",
    ("ISO_IR 203",): "Œuvre^€ŠŽ",
    ("", "ISO 2022 IR 149"): "Hong^Gildong=洪^吉洞=홍^길동",
    ("ISO 2022 IR 6", "ISO 2022 IR 149"): "Hong^Gildong=洪^吉洞=홍^길동",
    ("", "ISO 2022 IR 58"): "Zhang^XiaoDong=张^小东",
    ("ISO 2022 IR 6", "ISO 2022 IR 58"): "Zhang^XiaoDong=张^小东",
}


def test_every_accepted_set_is_here() -> None:
    assert set(ACCEPTED) - {("ISO_IR 6",)} == set(NAMES)


@pytest.mark.parametrize("terms", NAMES, ids="/".join)
def test_dcmtk_reads_the_same_name(terms: tuple[str, ...], tmp_path: Path) -> None:
    patient = replace(PATIENT, name=NAMES[terms])
    assert SCHEDULED.worklist_item is not None
    item = replace(SCHEDULED.worklist_item, patient=patient, specific_character_set=terms)
    ours, theirs = tmp_path / "ours.dcm", tmp_path / "theirs.dcm"
    instance = build(camera(), replace(SCHEDULED, patient=patient, worklist_items=(item,)))
    ours.write_bytes(encode_part10(instance.dataset))
    written = pydicom.dcmread(ours).SpecificCharacterSet
    assert ((written,) if isinstance(written, str) else tuple(written)) == terms
    if NOT_IN_DCMTK.intersection(terms):  # pydicom reads them
        assert str(pydicom.dcmread(ours).PatientName) == NAMES[terms]
        return
    done = subprocess.run(
        [program("dcmconv"), "+U8", str(ours), str(theirs)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    converted = pydicom.dcmread(theirs)
    assert converted.SpecificCharacterSet == "ISO_IR 192"
    assert str(converted.PatientName) == NAMES[terms]
