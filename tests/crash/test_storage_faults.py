"""A disk that refuses, at the system-call boundary: the short form of `bench_storage_faults.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_round import Build
from storage_cells import Cell, fault_batch
from under_test import Forks

pytestmark = pytest.mark.timeout(300)
# In the start of an exam, its captures, its end and its delivery.
CELLS = [
    Cell(1, "ENOSPC", False, "mkdir folder"),
    Cell(1, "EIO", True, "sync file.png"),
    Cell(2, "EROFS", True, "open file.json"),
    Cell(2, "short", False, "write file.png"),
    Cell(1, "ENOSPC", True, "rename file.dcm"),
    Cell(9, "EIO", False, "sync database-wal"),
    Cell(30, "short", True, "write database-wal"),
    Cell(150, "ENOSPC", True),
]
START_CELLS = [Cell(2, "EROFS", True), Cell(7, "ENOSPC", True), Cell(12, "EIO", False), Cell(6, "short", True)]


def test_no_capture_is_told_that_is_not_safe(short_folder: Path, stage_port: str, build: Build) -> None:
    with fault_batch(short_folder / "b", stage_port, build) as batch:
        outcomes = [batch.run(cell) for cell in CELLS]
        end = batch.close(short_folder / "b" / "journal.jsonl")
    assert [each.found for each in outcomes] == [[]] * len(CELLS)
    assert all(each.hits for each in outcomes), "each fault met a call"
    assert all(each.noticed for each in outcomes), "and was told in words, with its path"
    assert end.found == []
    assert end.captures == 2 * len(CELLS)


def test_a_start_on_a_disk_that_refuses(short_folder: Path, stage_port: str, build: Build) -> None:
    with fault_batch(short_folder / "b", stage_port, build) as batch:
        batch.leave_open()
        outcomes = [batch.start(cell) for cell in START_CELLS]
        batch.finish_what_is_open()
        end = batch.close(short_folder / "b" / "journal.jsonl")
    assert [each.found for each in outcomes] == [[]] * len(START_CELLS)
    assert all(each.hits for each in outcomes)
    assert outcomes[0].noticed
    assert end.found == []


def test_a_build_that_ignores_the_disk_is_found_out(short_folder: Path, stage_port: str, forks: Forks) -> None:
    with fault_batch(short_folder / "b", stage_port, Build(forks, "ignores-the-disk")) as batch:
        outcomes = [batch.run(Cell(at, "ENOSPC", False, "write file.png")) for at in (1, 2)]
        batch.abandon()
    found = [*batch.told.problems, *(each for outcome in outcomes for each in outcome.found)]
    assert any("not whole" in each or "LOST" in each for each in found), found
