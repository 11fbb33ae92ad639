"""`specular object` as it is typed: exit status, lines, and what is refused before anything is read."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pydicom
import pytest
from mpps_samples import OTHER_ITEM
from objects_samples import ITEM
from PIL import Image

from firmware_app.cli import main

PATIENT = ["--patient-id", "P-1", "--patient-name", "Doe^Jane", "--birth-date", "19500102", "--sex", "F"]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "eye.png"
    Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)).save(file)  # 12 bits
    return file


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[str], list[str]]:
    try:
        status = main(["object", *map(str, words)])
    except SystemExit as end:
        status = int(str(end.code))
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err.splitlines()


def test_one_line_for_each_object(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.dcm"
    status, lines, errors = run(capsys, "op", image, "-o", out, "--laterality", "R", *PATIENT)
    assert (status, errors) == (0, [])
    dataset = pydicom.dcmread(out)
    assert lines == [
        f"{out}: Ophthalmic Photography 16 Bit Image Storage, 64x48, 16 bits, Implicit VR Little Endian, "
        f"{dataset.SOPInstanceUID}"
    ]
    assert (str(dataset.PatientName), dataset.PatientID, dataset.PatientSex) == ("Doe^Jane", "P-1", "F")


def test_json_has_every_key_and_a_refusal_is_a_row_too(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"x")
    status, lines, errors = run(
        capsys, "sc", bad, image, "-o", tmp_path / "out", "--json", "--transfer-syntax", "jpeg-2000-lossless"
    )
    refused, made = (json.loads(line) for line in lines)
    assert status == 1
    assert errors == [f"specular object: {bad}: the file is none of PNG, TIFF, JPEG and DICOM"]
    assert refused.keys() == made.keys()
    assert (refused["status"], refused["object"]) == ("refused", None)
    assert (made["object"], made["transfer_syntax"]) == (str(tmp_path / "out" / "eye.dcm"), "JPEG 2000 Lossless")


def test_a_folder_is_made_where_one_is_named(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "cr", image, "-o", f"{tmp_path}/made/")[0] == 0
    assert (tmp_path / "made" / "eye.dcm").is_file()


def test_the_configuration_names_instrument_profile_and_syntax(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = tmp_path / "site.toml"
    configuration.write_text(
        'profile = "sp-1p"\n[instrument]\ndevice_serial_number = "SN-7"\n'
        '[storage]\ntransfer_syntax = "explicit-vr-little-endian"\n'
    )
    out = tmp_path / "out.dcm"
    status, _, errors = run(capsys, "sc", image, "-o", out, "--laterality", "L", "--config", configuration)
    assert (status, errors) == (0, [])
    dataset = pydicom.dcmread(out)
    assert dataset.DeviceSerialNumber == "SN-7"
    assert dataset.file_meta.ImplementationVersionName == "TOPCON_SP1P_360"
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    words = ("sc", image, "-o", tmp_path / "2.dcm", "--profile", "kodakqc")
    assert run(capsys, *words) == (2, [], ["specular object: the profile kodakqc has no object sc, only cr"])
    told = "specular object: --profile and --config exclude each other: the file names its profile"
    assert run(capsys, *words, "--config", configuration) == (2, [], [told])


def test_the_object_of_a_worklist_item_answers_its_request(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "items.json"
    lines.write_bytes(b"\n".join(map(msgspec.json.encode, (ITEM, OTHER_ITEM))))
    out = tmp_path / "out.dcm"
    words = ("op", image, "-o", out, "--laterality", "R", "--worklist-item", lines)
    status, _, errors = run(capsys, *words)
    assert (status, errors) == (0, [])
    dataset = pydicom.dcmread(out)
    assert (dataset.PatientID, dataset.StudyInstanceUID) == (ITEM.patient.patient_id, ITEM.study_instance_uid)
    steps = [item.ScheduledProcedureStepID for item in dataset.RequestAttributesSequence]
    assert steps == [ITEM.scheduled_procedure_step_id, OTHER_ITEM.scheduled_procedure_step_id]
    told = "specular object: --worklist-item already says it: --patient-id does not go with it"
    assert run(capsys, *words, "--patient-id", "P") == (2, [], [told])
    lines.write_text("{}x")
    assert "items.json: line 1 is no worklist item" in run(capsys, *words)[2][0]


WRONG = [
    (["xx", "IMAGE", "-o", "OUT"], "invalid choice: 'xx'"),
    (["sc", "IMAGE"], "the following arguments are required: -o/--out"),
    (["sc", "IMAGE", "-o", "OUT", "--birth-date", "19501301"], "'19501301' is not a day of the calendar"),
    (["sc", "IMAGE", "-o", "OUT", "--patient-id", ""], "'' is not 1 to 64 characters"),
    (["sc", "IMAGE", "-o", "OUT", "--patient-name", "A\\B"], "is not a name such as Family^Given"),
    (["sc", "IMAGE", "-o", "OUT", "--accession", "A" * 17], "is not 1 to 16 characters"),
    (["sc", "IMAGE", "-o", "OUT", "--study-uid", "1.02"], "'1.02' is not a UID"),
    (["sc", "IMAGE", "-o", "OUT", "--taken-at", "yesterday"], "'yesterday' is not a time such as"),
    (["sc", "IMAGE", "-o", "OUT", "--sex", "X"], "invalid choice: 'X'"),
    (["sc", "IMAGE", "-o", "OUT", "--kvp", "70"], "--kvp is only for cr"),
    (["cr", "IMAGE", "-o", "OUT", "--kvp", "many"], "'many' is not kilovolts"),
    (["cr", "IMAGE", "-o", "OUT", "--gaze", "up"], "--gaze is only for op"),
    (["sc", "IMAGE", "-o", "OUT", "--profile", "nope"], "profile 'nope' does not exist"),
    (["sc", "IMAGE", "-o", "OUT", "--transfer-syntax", "gif"], "'gif' is none of implicit-vr-little-endian"),
    (["sc", "IMAGE", "-o", "IMAGE"], "exists and is not overwritten"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(words[3:] or words[:1]) for words, _ in WRONG])
def test_wrong_usage_is_told_before_anything_is_read(
    words: list[str], said: str, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"IMAGE": str(image), "OUT": str(tmp_path / "out.dcm")}
    status, lines, errors = run(capsys, *(places.get(word, word) for word in words))
    assert status == 2
    assert lines == []
    assert said in errors[-1]
    assert not (tmp_path / "out.dcm").exists()


def test_a_folder_that_cannot_be_written_ends_with_one_line(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines, errors = run(capsys, "sc", image, "-o", image / "below" / "out.dcm")
    assert (status, lines, len(errors)) == (1, [], 1)
    assert "Not a directory" in errors[0]
