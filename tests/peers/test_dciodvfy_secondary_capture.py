"""Every kind of Secondary Capture instance in every transfer syntax, judged by dicom3tools."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from objects_samples import PATIENT, SCHEDULED, UNSCHEDULED, build, camera, report
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from firmware_app.model import Eye, Patient
from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.instance import Instance

pytestmark = pytest.mark.peer("dicom3tools")

TRANSFER_SYNTAXES = {"implicit": ImplicitVRLittleEndian, "explicit": ExplicitVRLittleEndian, "jpeg": JPEGBaseline8Bit}
PICTURES = {
    "8bit": lambda: camera(8),
    "12bit": lambda: camera(12, Eye.LEFT),
    "uncalibrated": lambda: camera(8, um_per_px=None),
    "simulated": lambda: camera(8, simulated=True),
    "report": report,
    "simulated-report": lambda: report(simulated=True),
}
NAMES = {
    "kanji": ("Yamada^Tarou=山田^太郎=やまだ^たろう", ("", "ISO 2022 IR 87")),
    "half-width": ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", ("ISO 2022 IR 13", "ISO 2022 IR 87")),
    "gb18030": ("Wang^XiaoDong=王^小东", ("GB18030",)),
    "cyrillic": ("Люкceмбypг", ("ISO_IR 144",)),
    "turkish": ("Çavuşoğlu^Işıl", ("ISO_IR 148",)),
    "latin-1": ("Buc^Jérôme", ("ISO_IR 100",)),
    "utf-8": ("Buc^Jérôme=山田", ("ISO_IR 100",)),
}


def errors_in(instance: Instance, folder: Path) -> list[str]:
    file = folder / "instance.dcm"
    file.write_bytes(encode_part10(instance.dataset))
    verdict = subprocess.run(["dciodvfy", "-new", str(file)], capture_output=True, timeout=60)
    said = (verdict.stdout + verdict.stderr).decode("utf-8", "replace").splitlines()
    assert "SCImage" in said, said
    return [line for line in said if line.startswith("Error")]


@pytest.mark.parametrize("exam", [SCHEDULED, UNSCHEDULED], ids=["scheduled", "unscheduled"])
@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_no_error(exam: object, picture: str, syntax: str, tmp_path: Path) -> None:
    instance = build(PICTURES[picture](), exam, transfer_syntax_uid=TRANSFER_SYNTAXES[syntax])  # type: ignore[arg-type]
    assert errors_in(instance, tmp_path) == []


@pytest.mark.parametrize("setting", ["SC", "OP", "XC", "OT"])
def test_no_error_for_any_modality_setting(setting: str, tmp_path: Path) -> None:
    assert errors_in(build(camera(), storage_setting=setting), tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_error_in_any_character_set(name: str, tmp_path: Path) -> None:
    value, terms = NAMES[name]
    item = SCHEDULED.worklist_item
    assert item is not None
    patient = replace(PATIENT, name=value)
    exam = replace(SCHEDULED, patient=patient, worklist_items=(replace(item, specific_character_set=terms),))
    assert errors_in(build(camera(), exam), tmp_path) == []


def test_no_error_for_an_unknown_patient_and_odd_values(tmp_path: Path) -> None:
    odd = Patient(name="x" * 70, patient_id="9" * 70, birth_date="1.1.1950", sex="female", weight_kg="much")
    assert errors_in(build(camera(), replace(UNSCHEDULED, patient=Patient())), tmp_path) == []
    assert errors_in(build(camera(), replace(UNSCHEDULED, patient=odd)), tmp_path) == []
