"""A disk that refuses, at the system-call boundary: the short form of `bench_storage_faults.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_round import Build
from fault_cells import Cell, fault_batch
from under_test import Forks

pytestmark = pytest.mark.timeout(300)
# Of about 280 calls of an exam, of which 190 write: in its start, its captures, its end and its delivery.
CELLS = [
    Cell(2, "ENOSPC", False),
    Cell(9, "EIO", True),
    Cell(25, "EROFS", True),
    Cell(40, "short", False),
    Cell(60, "ENOSPC", True),
    Cell(90, "EIO", False),
    Cell(100, "short", True),
    Cell(170, "ENOSPC", True),
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
        outcomes = [batch.run(Cell(at, "ENOSPC", False)) for at in (30, 34, 38)]
        batch.abandon()
    found = [*batch.told.problems, *(each for outcome in outcomes for each in outcome.found)]
    assert any("not whole" in each or "LOST" in each for each in found), found
