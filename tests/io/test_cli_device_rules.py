"""`specular device-rules`: the files that are written at boot, and the list of what they open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware_app.cli import main
from firmware_app.device.rendering import DEVICE_NAMES, INTERFACE, LISTENS, PACKET_FILTER, PORT_LIMITS, SERVICE_LIMITS

CONFIG = """
[network]
interface = "eth0"
[storage]
ip_address = "192.0.2.30"
port = 104
ae_title = "PACS"
"""
SETTINGS = '[network]\ninterface = "eth0"\naddress = "192.0.2.5/24"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "specular.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "system.toml"
    path.write_text(SETTINGS)
    return path


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_files_of_a_configuration_are_written_and_those_of_the_one_before_go(
    config: Path, settings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ["device-rules", "--config", str(config), "--out", str(out), "--whole-machine"]
    assert main([*words, "--system", str(settings)]) == 0
    assert files_below(out) == {SERVICE_LIMITS, PORT_LIMITS, INTERFACE, DEVICE_NAMES, PACKET_FILTER, LISTENS}
    assert "policy drop" in (out / PACKET_FILTER).read_text()
    config.write_text(CONFIG + "[instrument]\nport = 0\n")
    assert main([*words, "--system", str(tmp_path / "none.toml")]) == 0
    assert files_below(out) == {SERVICE_LIMITS, DEVICE_NAMES, PACKET_FILTER}


def test_with_a_wrong_configuration_the_device_can_be_reached_and_nothing_else_is_opened(
    config: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(CONFIG + "[instrumnet]\nport = 0\n")
    words = ["device-rules", "--config", str(config), "--system", str(settings), "--out", str(tmp_path / "run")]
    assert main(words) == 2
    assert files_below(tmp_path / "run") == {INTERFACE}
    assert "instrumnet" in capsys.readouterr().err


def test_wrong_settings_are_told_with_their_file_and_key(
    config: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.write_text("[network]\ndhcp = 1\n")
    words = ["device-rules", "--config", str(config), "--system", str(settings), "--out", str(tmp_path / "run")]
    assert main(words) == 2
    assert f"{settings}: network.dhcp: " in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_a_failure_in_one_line(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").write_text("")
    assert main(["device-rules", "--config", str(config), "--out", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_every_port_is_listed_for_programs(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device-rules", "--config", str(config), "--explain", "--whole-machine", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["direction"], row["port"], row["peers"]) for row in rows] == [
        ("in", 22, "any"),
        ("in", 64001, "any"),
        ("out", 104, ["192.0.2.30"]),
    ]


def test_every_port_is_listed_for_people(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device-rules", "--config", str(config), "--explain"]) == 0
    said = capsys.readouterr().out
    assert "out tcp   104  to 192.0.2.30 by specular: DICOM to PACS: storage ([storage])" in said
    assert "accepted_addresses is empty" in said and " 22 " not in said
