"""A whole exam by hand, one verb after the other, in the embedded hospital; as the README has it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hospital_process import Hospital, hospital
from PIL import Image

from firmware_app.cli import main


@pytest.fixture(scope="module")
def station_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, station_port: int) -> Iterator[Hospital]:
    with hospital(tmp_path_factory.mktemp("hospital"), "--station-port", str(station_port)) as process:
        yield process


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def verb(*words: object) -> list[dict[str, Any]]:
        status = main([*map(str, words), "--json"])
        captured = capsys.readouterr()
        assert (status, captured.err) == (0, "")
        return [json.loads(line) for line in captured.out.splitlines()]

    return verb


def address(running: Hospital, role: str) -> str:
    node = running.node(role)
    return f"{node.ae_title}@{node.host}:{node.port}"


def test_from_the_worklist_to_the_film(running: Hospital, station_port: int, tmp_path: Path, run: Any) -> None:
    worklist, archive, printer = (address(running, role) for role in ("worklist", "archive", "printer"))
    item, *_ = run("worklist", worklist)
    request = tmp_path / "request.json"
    request.write_text(json.dumps(item))
    for number in (1, 2):
        Image.fromarray(np.full((48, 64), 40 * number, np.uint8)).save(tmp_path / f"{number}.png")

    (begun,) = run("mpps", worklist, "start", "--worklist-item", request)
    pictures = [tmp_path / f"{number}.png" for number in (1, 2)]
    made = run("object", "op", *pictures, "-o", tmp_path / "made", "--worklist-item", request, "--laterality", "R")
    files = [row["object"] for row in made]
    assert [row["category"] for row in run("store", archive, *files)] == ["stored"] * 2
    (ended,) = run("mpps", worklist, "complete", "--uid", begun["sop_instance_uid"], "--files", *files)
    assert ended["step_status"] == "COMPLETED"
    committed = run("commit", archive, *files, "--listen", station_port)
    assert [row["result"] for row in committed] == ["committed"] * 2
    (film,) = run("print", printer, *files, "--layout", "1,2")
    assert film["category"] == "printed"

    for file in files:
        dataset = pydicom.dcmread(file)
        assert dataset.StudyInstanceUID == item["study_instance_uid"] == begun["study_instance_uid"]
        assert dataset.PatientID == item["patient"]["patient_id"]
        assert dataset.AccessionNumber == item["accession_number"]
    found = run("patients", archive, "--id", item["patient"]["patient_id"])
    assert [row["patient"]["name"] for row in found] == [item["patient"]["name"]]


@pytest.mark.peer("dicom3tools")
@pytest.mark.parametrize("kind", ["sc", "op", "vl", "cr"])
def test_what_the_verb_makes_is_faultless(kind: str, running: Hospital, tmp_path: Path, run: Any) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps(run("worklist", address(running, "worklist"))[0]))
    Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)).save(tmp_path / "eye.png")
    words = ("--worklist-item", request, "--laterality", "L", "--um-per-px", "0.85")
    (made,) = run("object", kind, tmp_path / "eye.png", "-o", tmp_path / "made.dcm", *words)
    program = shutil.which("dciodvfy")
    assert program is not None
    said = subprocess.run([program, made["object"]], capture_output=True, text=True, check=False).stderr
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
