"""A simulated stage and a process to fork services from, for all tests of this folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash_round import Build
from place import helper
from under_test import Forks


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Consoles listen in it, and the path of a Unix socket has at most 107 octets."""
    folder = Path(tempfile.mkdtemp(prefix="sp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def stage_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("stage")
    with helper("stages.py", 1, folder, log=folder / "log") as stages:
        yield str(stages.line()[0])


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    forks = Forks(tmp_path_factory.mktemp("forks") / "log")
    yield forks
    forks.close()


@pytest.fixture
def build(forks: Forks) -> Build:
    return Build(forks)
