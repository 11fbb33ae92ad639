"""`specular analyze --scheduler` on a Dask cluster of this machine: scheduler and workers as processes of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from analysis_material import archive, numbers_of, specular

from firmware_app.cli import main

TIMEOUT_S = 60.0
REPOSITORY = Path(__file__).resolve().parents[2]
# The core of another release, as far as anybody can tell from outside.
OTHER_SOFTWARE = """
import sys
from firmware_app.services import analysis_cluster
from firmware_app.cli import main
analysis_cluster.software = lambda: "0.0+other"
sys.exit(main(sys.argv[1:]))
"""

SHORT_PATIENCE = """
import sys
from firmware_app.services import analysis_cluster
from firmware_app.cli import main
analysis_cluster.CONNECT_TIMEOUT_S = 0.5
sys.exit(main(sys.argv[1:]))
"""


def python(*words: object, folder: Path) -> subprocess.Popen[bytes]:
    """Dask's own configuration of whoever runs the tests is none of theirs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    environment |= {"DASK_CONFIG": str(folder / "no-configuration"), "PYTHONPATH": str(REPOSITORY)}
    with (folder / "cluster.log").open("ab") as log:
        return subprocess.Popen([sys.executable, *map(str, words)], cwd=folder, env=environment, stdout=log, stderr=log)


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait(TIMEOUT_S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Of a scheduler without workers."""
    file = folder / "scheduler.json"
    words = ("--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--no-show", "--scheduler-file", file)
    with ended(python("-m", "distributed.cli.dask_scheduler", *words, folder=folder)) as scheduler:
        deadline = time.monotonic() + TIMEOUT_S
        while not file.exists():
            assert scheduler.poll() is None, (folder / "cluster.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield str(json.loads(file.read_text())["address"])


def worker(address: str, folder: Path) -> subprocess.Popen[bytes]:
    words = ("--host", "127.0.0.1", "--no-dashboard", "--no-nanny", "--nthreads", 1, "--local-directory", folder)
    return python("-m", "distributed.cli.dask_worker", address, *words, folder=folder)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def here(images: Path, folder: Path) -> list[dict[str, Any]]:
    pictures = ("--labels", folder / "labels here", "--overlay", folder / "overlays here")
    return rows_of(specular("analyze", images, images / "absent.png", "--json", *pictures).stdout)


def rows_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def pictures_in(place: Path) -> dict[str, bytes]:
    return {str(file.relative_to(place)): file.read_bytes() for file in sorted(place.rglob("*.png"))}


def test_a_cluster_says_and_draws_the_same(
    address: str, folder: Path, images: Path, here: list[dict[str, Any]], tmp_path: Path
) -> None:
    pictures = ("--labels", tmp_path / "l", "--overlay", tmp_path / "o")
    with ended(worker(address, folder)):
        done = specular("analyze", images, images / "absent.png", "--json", *pictures, "--scheduler", address)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"specular analyze: {images}/flat.png: ")
    assert numbers_of(rows_of(done.stdout)) == numbers_of(here)
    assert pictures_in(tmp_path / "l") == pictures_in(folder / "labels here")
    assert pictures_in(tmp_path / "o") == pictures_in(folder / "overlays here")


def test_a_worker_that_is_lost_costs_nothing(
    address: str, folder: Path, images: Path, here: list[dict[str, Any]]
) -> None:
    """Its images are given to the next worker that comes."""
    command = [sys.executable, "-m", "firmware_app", "analyze", str(images), str(images / "absent.png"), "--json"]
    with ended(worker(address, folder)) as first:
        running = subprocess.Popen([*command, "--scheduler", address], stdout=subprocess.PIPE, text=True)
        assert running.stdout is not None
        begun = running.stdout.readline()
        first.kill()
        first.wait(TIMEOUT_S)
    with ended(worker(address, folder)):
        rest, _ = running.communicate(timeout=TIMEOUT_S)
    assert numbers_of(rows_of(begun + rest)) == numbers_of(here)


def test_a_worker_with_other_software_is_not_used(address: str, folder: Path, images: Path) -> None:
    with ended(worker(address, folder)):
        done = specular("analyze", images, "--scheduler", address, python=("-c", OTHER_SOFTWARE))
    assert (done.returncode, done.stdout) == (1, "")
    assert "must have specular 0.0+other; it has 0." in done.stderr.splitlines()[-1]


def test_no_scheduler_is_one_line(images: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers here
        taken.bind(("127.0.0.1", 0))
        closed_port = taken.getsockname()[1]
        words = ("analyze", images / "a.png", "--scheduler", f"127.0.0.1:{closed_port}")
        done = specular(*words, python=("-c", SHORT_PATIENCE))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"specular analyze: no Dask scheduler answers on 127.0.0.1:{closed_port}: ")
    assert done.stderr.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    status = main(["analyze", str(images / "a.png"), "--scheduler", "127.0.0.1:1"])
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert said.err.startswith("specular analyze: --scheduler needs the extra `batch` (pip install specular[batch]): ")
    assert said.err.count("\n") == 1
