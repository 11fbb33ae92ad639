"""The suite under the image's own Python, in its tree: the product runs on the developers' 3.11 and on that."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.image.architecture import AMD64
from deploy.image.commands import environment, need, run
from deploy.image.wheels import PYTHON, PYVENV, download

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements-test.lock"
FOLDER = ROOT / "build" / "device-test"
INSIDE = Path("/mnt")  # the working tree, in the container
VENV = FOLDER / f"venv-{PYTHON}"
SITE = VENV / "lib" / f"python{PYTHON}" / "site-packages"
PROCESSES = 3


def packages() -> None:
    """What the tests need, as a virtual environment of the image's Python, below build/. Raises `CannotBuild`."""
    stamp = VENV / "lock"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    log = FOLDER / "packages.log"
    shutil.rmtree(VENV, ignore_errors=True)
    wheels = download(LOCK, AMD64, FOLDER, log)
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-compile"]
    command += ["--target", str(SITE), "--python-version", PYTHON, "--implementation", "cp", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--root-user-action=ignore"]
    for platform in AMD64.wheels:
        command += ["--platform", platform]
    run([*command, *sorted(wheels.glob("*.whl"))], log)
    (VENV / "bin").mkdir()
    (VENV / "bin" / "python3").symlink_to(f"/usr/bin/python{PYTHON}")  # the tree's
    (VENV / "pyvenv.cfg").write_text(PYVENV)
    (SITE / "specular.pth").write_text(f"{INSIDE}\n")  # as an editable installation has it
    stamp.write_text(digest)


def run_suite(tree: Path, arguments: Sequence[str]) -> int:
    """pytest's exit status. Nothing of the tree is written, and there is no network but loopback."""
    need("systemd-nspawn")
    packages()
    variables = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/tmp",
        "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--read-only"]
    command += ["--console=pipe", f"--directory={tree}", f"--bind-ro={ROOT}:{INSIDE}", f"--chdir={INSIDE}"]
    command += ["--tmpfs=/tmp", "--tmpfs=/var/tmp", *(f"--setenv={name}={text}" for name, text in variables.items())]
    python = INSIDE / VENV.relative_to(ROOT) / "bin" / "python3"
    pytest = [str(python), "-m", "pytest", "-q", "-n", str(PROCESSES), "--dist", "loadfile", *arguments]
    return subprocess.run([*command, *pytest], stdin=subprocess.DEVNULL, env=environment(), check=False).returncode
