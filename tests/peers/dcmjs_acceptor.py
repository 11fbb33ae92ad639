"""The second acceptor of performed procedure steps: dcmjs-dimse under node, and what it says it has received."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from peers_material import program

from firmware_app.net.node import Node

SOURCES = Path(__file__).parent / "dcmjs_mpps"
PACKAGE_FILES = ("package.json", "package-lock.json")
INSTALL_S = 110  # below the time-out of a test: npm's own words are the better error


class PackagesMissing(Exception):
    """The acceptor's packages are not here and cannot be had; the text is npm's reason."""


class MppsAcceptor:
    """Where it listens, and its lines so far."""

    def __init__(self, node: Node, output: Path) -> None:
        self.node = node
        self._output = output

    def requests(self, sop_instance_uid: str) -> list[dict[str, Any]]:
        """Every N-CREATE and N-SET for one step: `operation`, `attributes` by keyword, and the answered `status`."""
        lines = [json.loads(line) for line in self._output.read_text().splitlines()]
        return [line for line in lines if line.get("sop_instance_uid") == sop_instance_uid]


def packages_folder() -> Path:
    """The folder of the locked packages, installed once a machine. Raises `PackagesMissing`."""
    locked = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "specular-tests"
    installed = cache / f"dcmjs-{locked[:16]}"
    if not installed.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        _install(cache, installed)
    return installed / "node_modules"


def _install(cache: Path, installed: Path) -> None:
    """Beside its place and then moved there: two test runs at once, or one that is killed, leave nothing half."""
    with tempfile.TemporaryDirectory(dir=cache) as made:
        for name in PACKAGE_FILES:
            shutil.copy(SOURCES / name, made)
        command = [program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            npm = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=INSTALL_S)
        except subprocess.TimeoutExpired:
            raise PackagesMissing(f"npm ci has not ended within {INSTALL_S} s") from None
        if npm.returncode != 0:
            raise PackagesMissing(f"npm ci: {npm.stderr[-500:]}")
        Path(made).chmod(0o755)
        try:
            Path(made).rename(installed)
        except OSError:
            if not installed.is_dir():  # unless somebody else was faster
                raise
        else:
            Path(made).mkdir()  # for its scope to remove
