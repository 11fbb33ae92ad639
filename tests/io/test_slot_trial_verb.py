"""What `specular slot-trial` tells RAUC and systemd, who are played by scripts that note how they were called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware_app import __version__
from firmware_app.cli import main
from firmware_app.device.trial import Trial
from firmware_app.device.trial_files import TrialFiles
from firmware_app.services import last_update

STATUS = {
    "booted": "B",
    "slots": [
        {"rootfs.0": {"bootname": "A", "boot_status": "good"}},
        {"rootfs.1": {"bootname": "B", "boot_status": "bad"}},
        {"kernel.1": {"bootname": None}},
    ],
}
SCRIPT = """\
#!/bin/sh
echo "$(basename "$0") $*" >>{calls}
case "$*" in
*{refused}*) echo "no answer" >&2; exit 1 ;;
*json*) cat {status} ;;
*Active*) printf 'ActiveState=activating\\nSubState=auto-restart\\nNRestarts=7\\n' ;;
*unit*) echo "RuntimeError: broken" ;;
esac
"""
ON_TRIAL = Trial("B", __version__, "A", "0.0.1", "installed")


@dataclass
class Machine:
    folder: Path
    files: TrialFiles
    told: Path

    def calls(self) -> list[str]:
        """Without the questions."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if "json" not in line and "show" not in line and "journalctl" not in line]

    def stage(self, stage: str) -> int:
        return main(["slot-trial", stage, "--folder", str(self.files.trial.parent)])


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / "status").write_text(json.dumps(STATUS))
    (tmp_path / "calls").touch()
    refuse(tmp_path, "nothing at all")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(last_update, "FILE", tmp_path / "last-update")
    return Machine(tmp_path, TrialFiles(tmp_path / "update"), tmp_path / "last-update")


def refuse(folder: Path, words: str) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    quoted = words.replace(" ", "\\ ")
    text = SCRIPT.format(calls=folder / "calls", status=folder / "status", refused=quoted)
    for name in ("rauc", "systemctl", "journalctl"):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)


def test_an_ordinary_start_marks_the_slot_and_tells_nothing(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.stage("start") == 0
    assert machine.calls() == ["rauc status mark-good booted"]
    assert capsys.readouterr().out == ""


def test_a_trial_that_ends_well(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.files.write(ON_TRIAL)
    assert machine.stage("start") == 0
    assert machine.calls() == []
    assert "is on trial (start 1)" in machine.told.read_text()
    assert machine.stage("keep") == 0
    assert machine.calls() == ["rauc status mark-good booted"]
    assert machine.files.read() is None
    assert machine.told.read_text() == f"{__version__} in slot B is kept: it is in working order; before it: 0.0.1\n"
    assert "is kept" in capsys.readouterr().out


def test_a_trial_whose_time_is_up(machine: Machine) -> None:
    machine.files.write(ON_TRIAL)
    assert machine.stage("time-is-up") == 0
    assert machine.calls() == ["rauc status mark-bad booted", "systemctl --no-block reboot"]
    ended = machine.files.read()
    assert ended is not None
    assert "specular.service is activating (auto-restart), restarted 7 times; last it said: RuntimeE" in ended.reason


def test_back_in_the_slot_before(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.files.write(Trial("A", "9.0.0", "B", __version__, "installed"))
    assert machine.stage("start") == 0
    assert machine.calls() == ["rauc status mark-good booted", "rauc status mark-bad other"]
    assert machine.files.read() is None
    assert (
        f"fell back from 9.0.0 in slot A: it did not start; {__version__} in slot B goes on" in capsys.readouterr().out
    )


def test_the_boot_loader_is_told_where_nothing_can_be_written_down(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk that takes nothing must not leave a good slot unmarked."""
    machine.files.write(ON_TRIAL)
    machine.told.mkdir()
    assert machine.stage("keep") == 0
    assert machine.calls() == ["rauc status mark-good booted"]
    assert "cannot be written down" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["status --output", "mark-good"])
def test_a_rauc_that_does_not_answer(machine: Machine, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    refuse(machine.folder, words)
    assert machine.stage("start") == 1
    assert capsys.readouterr().err.startswith("specular slot-trial: rauc status ")
