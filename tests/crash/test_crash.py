"""SIGKILL during exams and deliveries against a hospital that fails: the short form of `bench_crash.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_round import Build, crash_round
from under_test import Forks

pytestmark = pytest.mark.timeout(300)
# Between file and row, before and after a name is given, in the log of the database; the rest is drawn by chance.
ON_CALLS = (("rename file.png", 1), ("sync database-wal", 4), ("rename file.dcm", 2))
KILLS = 7


def test_nothing_told_is_lost_and_nothing_is_doubled(short_folder: Path, stage_port: str, build: Build) -> None:
    result = crash_round(short_folder / "r", "short", 20261130, KILLS, stage_port, build, killed_on=ON_CALLS)
    assert result.found == []
    assert result.kills == KILLS + len(ON_CALLS) == result.phases.total()
    for what, _ in ON_CALLS:
        assert result.calls[what]
    assert result.instances > 3
    assert result.captures > 2


# What each broken build does wrong, and a kill that brings it to light.
BROKEN = [
    ("reports-too-early", (("write file.json", 2),), "was reported"),
    ("makes-instances-anew", (("rename file.dcm", 2),), "DOUBLED"),
]


@pytest.mark.parametrize(("broken", "killed_on", "said"), BROKEN)
def test_a_broken_build_is_found_out(
    short_folder: Path, stage_port: str, forks: Forks, broken: str, killed_on: tuple[tuple[str, int], ...], said: str
) -> None:
    build = Build(forks, broken)
    result = crash_round(short_folder / "r", broken, 1, 0, stage_port, build, killed_on=killed_on)
    assert any(said in each for each in result.found), result.found
