"""From power-on to READY, in the virtual machine and, without a kernel of its own, in a container."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from deploy.device_test.bench import Started
from deploy.image.container import READY_MAX_S, booted

Tell = Callable[[str], None]
EXPOSURE_MAX = 1.2
CONTAINER_BOOTS = 3  # the best of them: a bound on the service, not on what else the host does


def test_everything_starts_and_nothing_fails(started: Started, tell: Tell) -> None:
    tell(f"specular.service READY {started.ready_s:.1f} s after its start, emulated")
    assert (started.state, started.failed) == ("running", "")


def test_the_serial_console_says_where_the_device_is(started: Started) -> None:
    for pattern in (r"starting slot A", r"addresses: eth0 10\.0\.2\.15", r"open ports: tcp 22, tcp 64001",
                    r"host key: ssh-ed25519 \S+", r"ssh service@ADDRESS is the instrument's console"):  # fmt: skip
        assert re.search(pattern, started.console), pattern
    assert "MISSING" not in started.console


def test_the_exposure_is_within_its_bound(started: Started, tell: Tell) -> None:
    tell(started.exposure)
    found = re.search(r"Overall exposure level for specular\.service: ([0-9.]+)", started.exposure)
    assert found is not None and float(found[1]) <= EXPOSURE_MAX


def test_ready_in_the_container_within_its_bound(image: Path, short_folder: Path, tell: Tell) -> None:
    times = []
    for number in range(CONTAINER_BOOTS):
        with booted(image.parent / "tree", short_folder / f"container-{number}") as container:
            assert container.wait_until_started() == "running"
            times.append(container.ready_after_s())
        tell(f"container: READY {times[-1]:.2f} s after the service's start (at most {READY_MAX_S:g})")
        if times[-1] <= READY_MAX_S:
            return
    assert min(times) <= READY_MAX_S
