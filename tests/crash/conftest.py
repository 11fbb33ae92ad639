"""A simulated stage and a process to fork services from, for all tests of this folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from crash_round import Build
from place import stages
from under_test import Forks


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Consoles listen in it, and the path of a Unix socket has at most 107 octets."""
    folder = Path(tempfile.mkdtemp(prefix="sp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def stage_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stages(1, tmp_path_factory.mktemp("stage")) as (port,):
        yield port


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with closing(Forks(tmp_path_factory.mktemp("forks") / "log")) as forks:
        yield forks


@pytest.fixture
def build(forks: Forks) -> Build:
    return Build(forks)
