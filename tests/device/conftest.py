"""The device of all cases: booted once for each run. See deploy/device-test."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))

from deploy.device_test.bench import Bench, Started
from deploy.image.vm import VirtualMachine


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--image", type=Path, required=True)
    parser.addoption("--long", action="store_true")
    parser.addoption("--bench", type=Path)
    parser.addoption("--busy-host", action="store_true")


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.getoption("--image"))


@pytest.fixture(scope="session")
def is_long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def busy_host(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--busy-host"))


@pytest.fixture(scope="session")
def tell() -> Callable[[str], None]:
    """Times and figures are printed: they are what a run is for, beside its verdict."""

    def say(words: str) -> None:
        print(f"\n    {words}", end="", flush=True)

    return say


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A socket's path has at most 107 bytes, and pytest's own folders are deep."""
    with tempfile.TemporaryDirectory(prefix="specular-hil-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def bench(
    request: pytest.FixtureRequest, image: Path, short_folder: Path, busy_host: bool, tell: Callable[[str], None]
) -> Iterator[Bench]:
    folder = request.config.getoption("--bench") or short_folder / "device"
    bench = Bench(image, folder, tell, busy_host=busy_host)
    try:
        yield bench
    finally:
        bench.machine.kill()


@pytest.fixture(scope="session")
def started(bench: Bench) -> Started:
    """What was found when everything had started; there is a snapshot of it."""
    return bench.start()


@pytest.fixture
def machine(bench: Bench, started: Started) -> Iterator[VirtualMachine]:
    """From the snapshot, for each case."""
    with bench.case() as machine:
        yield machine
