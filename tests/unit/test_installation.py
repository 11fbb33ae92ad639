"""What deploy/install puts onto a machine: every file of systemd/ is placed, or known to be the image's."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))

from deploy.installation import machine, program
from deploy.installation.__main__ import renew_program
from deploy.installation.commands import CannotInstall, succeeds
from deploy.installation.machine import place_files
from deploy.installation.placement import PLACES, UNITS, Placed, placements

ROOT = Path(__file__).resolve().parents[2]
# They make a whole machine ours.
OF_THE_IMAGE = {
    "systemd/journald.conf.d/50-specular.conf",
    "systemd/nftables/closed.nft",
    "systemd/ssh/50-specular.conf",
    "systemd/sudoers.d/specular",
    "systemd/sysctl.d/50-specular.conf",
    "systemd/sysusers.d/specular-admin.conf",
    "systemd/timesyncd.conf.d/50-specular.conf",
}


def test_every_file_is_placed_or_known_to_be_of_the_image_alone() -> None:
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "systemd").rglob("*") if path.is_file()}
    there = {name for name in there if not name.startswith("systemd/image/")}
    assert there == OF_THE_IMAGE | {name for name in PLACES if name.startswith("systemd/")}
    assert all(placed.source.is_file() for placed in placements(ROOT, has_ssh=True))


def test_no_two_files_have_the_same_place() -> None:
    targets = [placed.target for placed in placements(ROOT, has_ssh=True)]
    assert len(set(targets)) == len(targets)


def test_without_an_ssh_server_nothing_of_it_is_placed() -> None:
    assert not any("ssh" in str(placed.target) for placed in placements(ROOT, has_ssh=False))


def test_every_unit_can_be_enabled_and_its_programs_are_where_the_installation_puts_them() -> None:
    for name in UNITS:
        text = (ROOT / "systemd" / name).read_text()
        assert "[Install]" in text
        for started in re.findall(r"^Exec\w+=-?(\S*specular\S*)", text, re.M):
            assert started == "/opt/specular/bin/specular"


def test_only_what_is_different_is_written(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("a")
    placed = [Placed(source, tmp_path / "etc" / "target")]
    assert place_files(placed) == [tmp_path / "etc" / "target"]
    assert place_files(placed) == []
    source.write_text("b")
    assert place_files(placed) == [tmp_path / "etc" / "target"]
    assert (tmp_path / "etc" / "target").stat().st_mode & 0o777 == 0o644


def test_a_first_configuration_that_is_wrong_keeps_no_better_one_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "opt/bin/specular"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m firmware_app "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(machine, "PROGRAM", tmp_path / "opt")
    monkeypatch.setattr(machine, "CONFIGURATION", tmp_path / "etc")
    given, target = tmp_path / "first.toml", tmp_path / "etc/specular.toml"
    given.write_text("x = 1\n")
    with pytest.raises(CannotInstall, match=r"first\.toml: x: unknown key"):
        machine.place_configuration(given)
    assert not target.exists()
    given.write_text('[network]\ninterface = "lo"\n')
    assert machine.place_configuration(given) and target.read_text() == given.read_text()
    given.write_text("")
    assert not machine.place_configuration(given) and target.read_text() != ""
    assert f"{given} is not taken" in capfd.readouterr().err


def test_a_program_that_is_not_there_does_not_succeed() -> None:
    assert not succeeds("no-such-program-of-specular")


@pytest.mark.parametrize("runs", [True, False])
def test_a_new_version_that_does_not_come_leaves_the_old_one_as_it_was(
    runs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    commands = {
        "systemctl": f'echo "$1" >>{said}; test "$1" != is-active || exit {0 if runs else 3}',
        "python3": "echo no network >&2; exit 1",
    }
    for name, text in commands.items():
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\n{text}\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(program, "PROGRAM", tmp_path / "specular")
    (tmp_path / "specular").mkdir()
    (tmp_path / "specular/old").write_text("")
    with pytest.raises(CannotInstall, match="no network"):
        renew_program(None)
    assert (tmp_path / "specular/old").exists()
    assert said.read_text().splitlines() == ["is-active", "stop", *["start"] * runs]
