"""The verbs as they end: exit status, what is on stdout, and the one line on stderr."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware_app import __version__
from firmware_app.cli import main


def run(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_echo_to_a_closed_port(closed_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, errors = run("echo", f"PACS@127.0.0.1:{closed_port}", "--timeout", 3, capsys=capsys)
    assert (status, output) == (1, "")
    assert errors.startswith(f"specular echo: node (PACS at 127.0.0.1:{closed_port}): cannot connect: ")
    assert errors.count("\n") == 1


def test_a_configured_node_from_the_configured_interface(
    closed_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = f'[storage]\nip_address = "127.0.0.1"\nport = {closed_port}\nae_title = "PACS"\n'
    config = write(tmp_path / "c.toml", f'[network]\ninterface = "lo"\n{storage}')
    status, _, errors = run("echo", "storage", "--config", config, capsys=capsys)
    assert status == 1
    assert f"storage (PACS at 127.0.0.1:{closed_port})" in errors
    assert "from 127.0.0.1" in errors
    config = write(tmp_path / "c.toml", f'[network]\ninterface = "nosuch0"\n{storage}')
    status, _, errors = run("echo", "storage", "--config", config, capsys=capsys)
    assert (status, errors) == (1, "specular echo: network.interface 'nosuch0': No such device\n")


@pytest.mark.parametrize(
    ("words", "explanation"),
    [
        (["echo", "nowhere"], "specular echo: NODE 'nowhere' is neither a configured node (none is) nor AET@HOST:PORT"),
        (["echo", "A@127.0.0.1:1", "--calling", "A\\B"], "specular echo: --calling: the AE title 'A\\\\B' is not"),
        (["worklist", "A@127.0.0.1:1", "--date", "soon"], "specular worklist: --date 'soon' is not YYYYMMDD"),
    ],
)
def test_wrong_words_are_exit_status_2(words: list[str], explanation: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, errors = run(*words, capsys=capsys)
    assert (status, output) == (2, "")
    assert errors.startswith(explanation)
    assert errors.count("\n") == 1


@pytest.mark.parametrize("verb", [["run"], ["console", "-c", "status"], ["echo", "storage"], ["worklist", "ris"]])
def test_an_unknown_key_stops_every_verb_naming_file_and_key(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write(tmp_path / "c.toml", "[stage]\nbuad = 9600\n")
    status, output, errors = run(*verb, "--config", config, capsys=capsys)
    assert (status, output) == (2, "")
    assert errors == f'specular {verb[0]}: {config}: stage.buad: unknown key; did you mean "baud"?\n'


def test_check_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path / "c.toml", "[stage]\nbuad = 9600\n[log]\nlevel = 'loud'\n")
    status, output, errors = run("check-config", config, capsys=capsys)
    assert (status, output) == (2, "")
    assert [line.split(": ")[2] for line in errors.splitlines()] == ["stage.buad", "log.level"]
    status, output, _ = run("check-config", config, "--json", capsys=capsys)
    assert status == 2
    assert [problem.split(": ")[1] for problem in json.loads(output)["problems"]] == ["stage.buad", "log.level"]
    assert run("check-config", write(config, ""), capsys=capsys) == (0, "no problems\n", "")
    assert run("check-config", config, "--json", capsys=capsys) == (0, f'{{"file":"{config}","problems":[]}}\n', "")
    assert run("check-config", tmp_path / "absent", capsys=capsys)[0] == 2


def test_console_without_a_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path / "c.toml", f'[paths]\nruntime = "{tmp_path}/run"\n')
    status, output, errors = run("console", "-c", "status", "--config", config, capsys=capsys)
    assert (status, output) == (1, "")
    assert errors.startswith(f"specular console: no service answers on {tmp_path}/run/console.sock: ")
    assert errors.count("\n") == 1


def test_analyze_refuses_what_is_no_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = write(tmp_path / "note.png", "not an image")
    flat = tmp_path / "flat.png"
    Image.fromarray(np.full((120, 120), 90, np.uint8)).save(flat)
    status, output, errors = run("analyze", text, flat, "--json", capsys=capsys)
    rows = [json.loads(line) for line in output.splitlines()]
    assert status == 1
    assert [(row["file"], row["status"]) for row in rows] == [(str(text), "refused"), (str(flat), "refused")]
    assert errors.startswith(f"specular analyze: {text}: ")
    assert errors.endswith("(and 1 more refused)\n")
    status, output, errors = run("analyze", text, capsys=capsys)
    assert status == 1
    assert str(text) in output.splitlines()[1]
    assert "more refused" not in errors


def test_analyze_says_where_outputs_clash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / folder / "same.png")
    images = (tmp_path / "a" / "same.png", tmp_path / "b" / "same.png")
    status, output, errors = run("analyze", *images, "--labels", tmp_path / "out", capsys=capsys)
    assert (status, output) == (2, "")
    assert errors.startswith("specular analyze: ")
    assert errors.count("\n") == 1


def test_an_output_that_cannot_be_written_is_named_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "a.png"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(image)
    for words, said in (
        (("analyze", image, "--labels", image), f"specular analyze: {image}: File exists\n"),
        (("analyze", image, "--overlay", image), f"specular analyze: {image}: File exists\n"),
        (("object", "sc", image, "-o", image / "o.dcm"), f"specular object: {image}: "),
        (("conformance", "-o", tmp_path), f"specular conformance: {tmp_path}: cannot be written: Is a directory\n"),
    ):
        status, output, errors = run(*words, capsys=capsys)
        assert (status, output) == (1, "")
        assert errors.startswith(said) and errors.count("\n") == 1 and "Errno" not in errors


def specular(*words: object) -> list[str]:
    return [sys.executable, "-m", "firmware_app", *(str(word) for word in words)]


@pytest.mark.parametrize(("verb", "option"), [("hospital", "--out"), ("sim", "--link-dir")])
def test_a_simulated_world_says_in_one_line_that_it_cannot_begin(verb: str, option: str, tmp_path: Path) -> None:
    taken = write(tmp_path / "taken", "")
    done = subprocess.run(specular(verb, option, taken), capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"specular {verb}: {taken}: ")
    assert done.stderr.count("\n") == 1 and "Errno" not in done.stderr


def test_the_program_itself() -> None:
    done = subprocess.run(specular("--version"), capture_output=True, text=True, check=True)
    assert done.stdout == f"specular {__version__}\n"


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            specular("check-config", write(tmp_path / "c.toml", "")), stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_ctrl_c_ends_a_network_verb_quietly_with_130() -> None:
    """A peer that accepts and says nothing: the echo waits for its answer until it is interrupted."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(30)
        with subprocess.Popen(
            specular("echo", f"SILENT@127.0.0.1:{listening.getsockname()[1]}", "--timeout", 60),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(30)
                assert connection.recv(1) == b"\x01"  # the association request: it is under way
                process.send_signal(signal.SIGINT)
                output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (130, b"", b"")
