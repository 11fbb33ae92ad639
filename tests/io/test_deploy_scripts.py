"""deploy/demo and deploy/test on machines where something is missing: one clear line, nothing half done."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON_NAMES = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the scripts need of a clean clone."""
    clone = tmp_path / "a clone"
    shutil.copytree(REPOSITORY / "deploy", clone / "deploy")
    for name in ("pyproject.toml", "requirements.lock", "requirements-test.lock"):
        (clone / name).touch()
    return clone


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def run(script: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run(
        [script], env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize("name", ["demo", "test", "kernel-bench", "power-cuts", "device-test"])
def test_scripts_are_executable_bash(name: str) -> None:
    script = REPOSITORY / "deploy" / name
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script]).returncode == 0


@pytest.mark.parametrize("name", ["demo", "test"])
def test_no_python_new_enough(clone: Path, tmp_path: Path, name: str) -> None:
    for python in PYTHON_NAMES:
        program(tmp_path / "bin", python, "exit 1")
    ended = run(clone / "deploy" / name, tmp_path / "bin")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"deploy/{name}: no Python 3.11 or newer found")
    assert ended.stderr.count("\n") == 1
    assert not (clone / ".venv").exists()


def test_no_venv_module(clone: Path, tmp_path: Path) -> None:
    program(
        tmp_path / "bin",
        "python3.11",
        'case "$2" in *ensurepip*) exit 1;; *%d.%d*) echo 3.11;; *) exit 0;; esac',
    )
    ended = run(clone / "deploy" / "demo", tmp_path / "bin")
    assert ended.returncode == 1
    assert ended.stderr.endswith("python3.11 has no venv module; on Debian: apt install python3.11-venv\n")
    assert ended.stderr.count("\n") == 1


STAND_IN = """
case "$*" in
  *"-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  *"pip install"*) echo install >>"{log}"; {outcome}; cp "$0" "$(dirname "$0")/specular" ;;
  demo*) echo "demo got: $*" ;;
esac
"""


def test_set_up_once_then_leave_alone_then_again_when_the_lock_changes(clone: Path, tmp_path: Path) -> None:
    installs = tmp_path / "installs"
    program(tmp_path / "bin", "python3.11", STAND_IN.format(log=installs, outcome=":"))
    first = run(clone / "deploy" / "demo", tmp_path / "bin")
    assert (first.returncode, first.stdout) == (0, "demo got: demo\n")
    assert "installing the packages of requirements.lock" in first.stderr
    assert installs.read_text().count("install") == 2  # the lock, then the project itself
    second = run(clone / "deploy" / "demo", tmp_path / "bin")
    assert (second.returncode, second.stdout, second.stderr) == (0, "demo got: demo\n", "")
    assert installs.read_text().count("install") == 2
    (clone / "requirements.lock").write_text("changed")
    third = run(clone / "deploy" / "demo", tmp_path / "bin")
    assert third.returncode == 0
    assert installs.read_text().count("install") == 4
    moved = clone.with_name("moved")
    clone.rename(moved)
    fourth = run(moved / "deploy" / "demo", tmp_path / "bin")
    assert fourth.stderr.startswith(f"deploy/demo: creating {moved}/.venv")
    assert installs.read_text().count("install") == 6


def test_a_failed_installation_is_one_line_and_is_tried_again(clone: Path, tmp_path: Path) -> None:
    installs = tmp_path / "installs"
    program(tmp_path / "bin", "python3.11", STAND_IN.format(log=installs, outcome='echo "ERROR: no network"; exit 1'))
    for _ in range(2):
        ended = run(clone / "deploy" / "demo", tmp_path / "bin")
        assert ended.returncode == 1
        assert ended.stderr.splitlines()[-1] == (
            f"deploy/demo: pip could not install what is needed: ERROR: no network "
            f"(everything it said: {clone}/.venv/setup.log)"
        )
    assert installs.read_text().count("install") == 2
