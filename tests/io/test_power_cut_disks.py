"""The host's part of deploy/power-cuts on a disk without a machine: made, written, cut, repaired, opened, compared."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
import trio
from peer_programs import peer_program
from power_log import SECTOR, Made, flush, log_bytes
from records_material import CAPTURED, exam_of, frame_of

sys.path.append(str(Path(__file__).resolve().parents[2]))

from deploy.power_cuts.acknowledgements import ExamBegun, Promise, Told
from deploy.power_cuts.cut_states import Cut, Patch, choose_cuts
from deploy.power_cuts.examination import Examination, Examined
from deploy.power_cuts.file_system import BLOCK_BYTES, ImageWriter
from deploy.power_cuts.verdict import failures, is_whole, table
from deploy.power_cuts.write_log import read_write_log
from firmware_app.records.store import open_records

pytestmark = pytest.mark.peer("e2fsprogs")
DISK_BYTES = 128 << 20
TOLD: list[Told] = [ExamBegun("exam-1", "ID-1")]


async def record(state: Path) -> list[Told]:
    async with open_records(state) as records:
        await records.begin_exam(exam_of(1))
        await records.save_capture(exam_of(1), frame_of(1), **CAPTURED)
    return TOLD


def make_disk(image: Path) -> None:
    """As the image's data partition is made; the tables at once, so that the log has the service's writes alone."""
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    program = peer_program("mke2fs")
    assert program is not None
    options = ["-q", "-F", "-t", "ext4", "-b", str(BLOCK_BYTES), "-E", "lazy_itable_init=0,lazy_journal_init=0"]
    subprocess.run([program, *options, image], check=True)


def copy_in(image: Path, state: Path) -> None:
    """The state folder into the disk's file system, as a kernel would leave it after unmounting."""
    commands = []
    for path in sorted(state.rglob("*")):
        inside = f"/specular/{path.relative_to(state)}"
        commands.append(f"mkdir {inside}" if path.is_dir() else f"write {path} {inside}")
    script = "\n".join(["mkdir /specular", *commands])
    program = peer_program("debugfs")
    assert program is not None
    subprocess.run([program, "-w", "-f", "-", str(image)], input=script, text=True, capture_output=True, check=True)


def differing_writes(before: bytes, after: bytes) -> Iterator[Made]:
    """One write for each run of blocks that differ."""
    starts = range(0, len(before), BLOCK_BYTES)
    for differs, run in groupby(starts, lambda at: before[at : at + BLOCK_BYTES] != after[at : at + BLOCK_BYTES]):
        blocks = list(run)
        data = after[blocks[0] : blocks[-1] + BLOCK_BYTES]
        if differs:
            yield blocks[0] // SECTOR, len(data) // SECTOR, 0, data


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[Made]]:
    """The empty disk and a log: everything written, then a flush; promised is it when the log has ended."""
    folder = tmp_path_factory.mktemp("disk")
    state, image = folder / "state", folder / "disk.img"
    assert trio.run(record, state) == TOLD
    make_disk(image)
    before = image.read_bytes()
    copy_in(image, state)
    return before, [*differing_writes(before, image.read_bytes()), flush()]


def examined(before: bytes, entries: list[Made], *cuts: Cut) -> list[Examined]:
    promises = [Promise(len(entries), told) for told in TOLD]
    return list(Examination(read_write_log(log_bytes(entries)), bytearray(before), promises, cuts).run())


def test_what_was_flushed_before_it_was_promised_is_there(disk: tuple[bytes, list[Made]]) -> None:
    before, entries = disk
    writes = len(entries) - 1
    nothing_yet, everything, promised = examined(
        before, entries, Cut(writes, "none"), Cut(writes, "all", tuple(range(writes))), Cut(writes + 1, "none")
    )
    assert is_whole(everything) and is_whole(promised)
    assert (nothing_yet.told, promised.told) == (0, 1)
    assert not nothing_yet.corrupt and not nothing_yet.survivors.lost, "nothing had been promised"
    assert failures([promised]) == []


def test_what_was_promised_before_the_flush_is_lost(disk: tuple[bytes, list[Made]]) -> None:
    before, entries = disk
    without_flush = [entry for entry in entries if entry != flush()]
    (lost,) = examined(before, without_flush, Cut(len(without_flush), "none"))
    assert lost.survivors.lost == ("ExamBegun: no exam exam-1",)
    assert failures([lost]) == [f"cut at {len(without_flush)}, none of the later writes: ExamBegun: no exam exam-1"]
    head, none, *_, in_all = table([lost]).splitlines()
    assert head.split()[-5:] == ["something", "most", "lost", "of", "acknowledged"]
    assert none.split() == ["none", "1", "0", "0", "1", "1", "1"]
    assert in_all.split() == ["in", "all", "1", "0", "0", "1", "1", "1"]


def test_a_file_system_that_was_half_written_in_place_is_seen_to_be_broken(
    disk: tuple[bytes, list[Made]],
) -> None:
    """debugfs keeps no journal, as the kernel does: the check of a file system can fail."""
    before, entries = disk
    writes = entries[:-1]
    log = read_write_log(log_bytes(writes))
    cuts = [cut for cut in choose_cuts(log, 30, random.Random(1)) if cut.kind == "some"]
    found = list(Examination(log, bytearray(before), [], cuts).run())
    assert any(each.corrupt or each.survivors.damaged for each in found)


def test_an_image_is_sparse_and_whole(disk: tuple[bytes, list[Made]], tmp_path: Path) -> None:
    before, _ = disk
    content, patch = bytearray(before), Patch(DISK_BYTES - SECTOR, SECTOR, b"z" * SECTOR)
    path = tmp_path / "image"
    ImageWriter(content, []).write(path, content, [patch])
    assert path.read_bytes() == before[:-SECTOR] + b"z" * SECTOR
    assert path.stat().st_blocks * 512 < DISK_BYTES // 2
