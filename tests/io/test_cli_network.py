"""Echo, worklist and store by hand against the embedded hospital, a peer of another make."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from hostile_cases import at_release
from hostile_peer import MAX_LENGTH, RELEASE_RP, accept, item, serve_once
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from firmware_app.cli import main
from firmware_app.config import Config
from firmware_app.net.node import Node
from firmware_app.profiles import load_profile
from firmware_app.services import network_verbs
from firmware_app.services.network_verbs import Peer, Row


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """NODE of each application entity by its name."""
    command = [sys.executable, "-m", "firmware_app", "hospital", "--out", str(tmp_path_factory.mktemp("archive"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        listening = json.loads(process.stdout.readline())
        yield {
            name: f"{listening[name]['ae_title']}@{listening[name]['ip']}:{listening[name]['port']}"
            for name in ("worklist", "archive")
        }
        process.terminate()
        process.communicate(timeout=30)


def run(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def rows(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    data_set = Dataset()
    data_set.SOPClassUID = SecondaryCaptureImageStorage
    data_set.SOPInstanceUID = generate_uid()
    data_set.StudyInstanceUID = generate_uid()
    data_set.SeriesInstanceUID = generate_uid()
    data_set.PatientName = "Test^Instance"
    data_set.PatientID = "T1"
    data_set.Modality = "OT"
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = tmp_path / "instance.dcm"
    data_set.save_as(path, enforce_file_format=True)
    return path


def test_echo(hospital: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    status, output, errors = run("echo", hospital["archive"], "--count", 3, "--json", capsys=capsys)
    (row,) = rows(output)
    assert (status, errors, row["count"], row["ae_title"], row["release_failure"]) == (0, "", 3, "ARCHIVE", None)
    assert row["peer_implementation_version_name"].startswith("PYNETDICOM")
    status, output, _ = run("echo", hospital["archive"], capsys=capsys)
    assert status == 0
    assert "echo in " in output


def test_another_profile_is_another_implementation_on_the_wire(
    hospital: dict[str, str], instance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, output, _ = run("store", hospital["archive"], instance, "--profile", "kodakqc", "--json", capsys=capsys)
    assert (status, [row["category"] for row in rows(output)]) == (0, ["stored"])
    for verb, service in (("patients", "patient query"), ("echo", "verification")):
        status, _, errors = run(verb, hospital["archive"], "--profile", "kodakqc", capsys=capsys)
        assert (status, errors) == (2, f"specular {verb}: the profile kodakqc declares no service {service}\n")


def test_a_profile_that_does_not_exist_or_stands_beside_a_configuration(
    instance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, errors = run("echo", "A@127.0.0.1:9", "--profile", "sp-2p", capsys=capsys)
    assert (status, errors.count("\n")) == (2, 1)
    assert "profile 'sp-2p' does not exist; there is kodakqc, sp-1p, specular" in errors
    (tmp_path / "specular.toml").touch()
    words = ("echo", "A@127.0.0.1:9", "--profile", "sp-1p", "--config", tmp_path / "specular.toml")
    status, _, errors = run(*words, capsys=capsys)
    assert status == 2
    assert "--profile and --config exclude each other" in errors


def test_what_a_peer_calls_itself_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    script = at_release(RELEASE_RP, accepted=accept(user=MAX_LENGTH + item(0x55, b"A\nB\x1b[2J")))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer = threading.Thread(target=serve_once, args=(listening, script))
        peer.start()
        status, output, _ = run("echo", f"PEER@127.0.0.1:{listening.getsockname()[1]}", capsys=capsys)
        peer.join()
    assert status == 0
    assert output.endswith(", A B\N{REPLACEMENT CHARACTER}[2J\n")
    assert output.count("\n") == 1


def test_an_interruption_waits_for_the_next_await() -> None:
    """Between the write and the note that it is whole, it would cost the peer its A-ABORT."""
    steps = []

    async def rows(peer: Peer) -> AsyncGenerator[Row, None]:
        yield Row("one")
        steps.append("resumed")
        await trio.lowlevel.checkpoint()
        steps.append("passed")

    def show(row: Row) -> None:
        signal.raise_signal(signal.SIGINT)
        steps.append("shown")

    peer = Peer(Node("node", "127.0.0.1", 104, "PEER"), Config(), load_profile(), "127.0.0.1", "")
    with pytest.raises(KeyboardInterrupt):
        network_verbs.run(rows, peer, show)
    assert steps == ["shown", "resumed"]


def test_echo_under_a_wrong_name_is_refused(hospital: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "WRONG@" + hospital["archive"].partition("@")[2]
    status, output, errors = run("echo", wrong, "--calling", "SOMEBODY", capsys=capsys)
    assert (status, output) == (1, "")
    assert "association of SOMEBODY rejected permanently" in errors
    assert errors.count("\n") == 1


def test_worklist(hospital: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    status, output, errors = run("worklist", hospital["worklist"], "--name", "Yamada*", "--json", capsys=capsys)
    (item,) = rows(output)
    assert (status, errors) == (0, "")
    assert item["patient"]["name"] == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    status, output, _ = run("worklist", hospital["worklist"], "--id", item["patient"]["patient_id"], capsys=capsys)
    heading, line = output.splitlines()
    assert status == 0
    assert " ".join(heading.split()) == "date time step procedure id accession patient id born sex name"
    assert item["accession_number"] in line
    status, output, _ = run("worklist", hospital["worklist"], "--name", "Nobody", capsys=capsys)
    assert (status, output) == (0, "no scheduled procedure step matches\n")
    assert run("worklist", hospital["worklist"], "--name", "Nobody", "--json", capsys=capsys) == (0, "", "")


def test_the_wrong_kind_of_peer(hospital: dict[str, str], instance: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, errors = run("worklist", hospital["archive"], capsys=capsys)
    assert (status, output) == (1, "")
    assert "abstract syntax not supported" in errors
    status, output, errors = run("store", hospital["worklist"], instance, "--json", capsys=capsys)
    (row,) = rows(output)
    assert (status, row["status"], row["category"]) == (1, None, "permanent")
    assert str(instance) in errors
    assert errors.count("\n") == 1


def test_store_answers_for_every_file(
    hospital: dict[str, str], instance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "note.txt"
    text.write_text("not DICOM")
    status, output, errors = run("store", hospital["archive"], instance, "--json", capsys=capsys)
    (row,) = rows(output)
    assert (status, errors) == (0, "")
    assert (row["file"], row["status"], row["category"], row["reason"]) == (str(instance), "0000", "stored", None)
    status, output, errors = run("store", hospital["archive"], text, instance, "--json", capsys=capsys)
    assert status == 1
    assert [(row["file"], row["category"]) for row in rows(output)] == [
        (str(text), "unreadable"),
        (str(instance), "stored"),
    ]
    assert str(text) in errors
    assert errors.count("\n") == 1
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(instance.read_bytes()[:-10])
    status, output, errors = run("store", hospital["archive"], cut, instance, "--json", capsys=capsys)
    assert (status, [row["category"] for row in rows(output)]) == (1, ["unreadable", "stored"])
    assert errors.startswith(f"specular store: {cut}: truncated: (0020,000E) announces 64 octets, ")
    status, output, _ = run("store", hospital["archive"], instance, capsys=capsys)
    assert (status, output) == (0, f"0000  stored      {instance}\n")
