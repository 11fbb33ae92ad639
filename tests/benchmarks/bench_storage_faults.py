"""A disk that refuses, at every call by which an exam writes to it: no capture is reported that is not safe.

    .venv/bin/python tests/benchmarks/bench_storage_faults.py [--lanes 3] [--every 1]

Every write, flush, rename, opening, new folder and truncation below the state folder, from the start of an exam to its
last commitment and of a start of the service, fails once, and fails from then on until the disk is mended: ENOSPC, EIO,
EROFS, or half of a write is done and then the disk is full. Injected at the system-call boundary, below Python and
SQLite. After each fault the files are opened as a kill would leave them; then the exam has to be finished. Exit status
1 when anything is lost, not told in words, or does not go on; the folders are kept then.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "crash"), str(HERE.parent.parent)]

from crash_round import Build  # noqa: E402
from long_runs import end_of, words  # noqa: E402
from place import stages  # noqa: E402
from storage_cells import FAULTS, Cell, Outcome, fault_batch  # noqa: E402
from under_test import Forks  # noqa: E402

PER_BATCH = 60


@dataclass
class Tally:
    cells: int = 0
    not_reached: int = 0  # the call that would have failed was not made any more
    unnoticed: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: Outcome, what: str) -> None:
        with self.lock:
            self.cells += 1
            self.not_reached += not outcome.hits
            self.hit.update({f"{outcome.cell.fault}: {outcome.hits[0]}": 1} if outcome.hits else {})
            if outcome.hits and not outcome.noticed:
                self.unnoticed[f"{outcome.cell.fault}: {outcome.hits[0]}"] += 1
        self.find([f"{what}, {outcome.cell}, {outcome.hits[:3]}: {each}" for each in outcome.found])

    def find(self, found: Iterable[str]) -> None:
        with self.lock:
            for each in found:
                self.found.append(each)
                print(f"FOUND: {each[:2000]}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, help="only every n-th call")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faults"))
    began_s = time.monotonic()
    tally = Tally()
    with ExitStack() as stack:
        ports = stack.enter_context(stages(options.lanes, folder / "s"))
        build = Build(stack.enter_context(closing(Forks(folder / "forks.log"))))
        started, calls = start_cells(folder, ports[0], build, tally, options.every)
        cells = list(cells_of(calls, options.every))
        count = -(-len(cells) // PER_BATCH)
        batches = [cells[number::count] for number in range(count)]
        shares = [batches[lane :: options.lanes] for lane in range(options.lanes)]
        pool = stack.enter_context(ThreadPoolExecutor(options.lanes))
        list(pool.map(partial(run_lane, folder, build, tally), range(options.lanes), ports, shares))
    return report(tally, {"start": started, "exam": calls}, folder, time.monotonic() - began_s)


def cells_of(calls: Mapping[str, int], every: int) -> Iterator[Cell]:
    """Every `every`-th of the calls with every fault, once and from then on; half a write only where one is."""
    writes = sum(count for what, count in calls.items() if what.startswith("write"))
    for fault in FAULTS:
        for at in range(1, (writes if fault == "short" else sum(calls.values())) + 1, every):
            yield from (Cell(at, fault, persistent) for persistent in (False, True))


def start_cells(
    folder: Path, stage_port: str, build: Build, tally: Tally, every: int
) -> tuple[Counter[str], Counter[str]]:
    """Faults at every call of a start; returns the calls of an undisturbed start and of an undisturbed exam."""
    with fault_batch(folder / "start", stage_port, build) as batch:
        batch.calls()
        exam = Counter(batch.disk.seen)
        batch.leave_open()
        batch.calls_of_start()
        start = Counter(batch.disk.seen)
        for cell in cells_of(start, every):
            tally.add(batch.start(cell), "start of the service")
        batch.finish_what_is_open()
        tally.find(batch.close(folder / "start" / "journal.jsonl").found)
    return start, exam


def run_lane(
    folder: Path, build: Build, tally: Tally, lane: int, stage_port: str, batches: Iterable[list[Cell]]
) -> None:
    for number, cells in enumerate(batches):
        name = f"l{lane}b{number}"
        began_s, found = time.monotonic(), len(tally.found)
        with fault_batch(folder / name, stage_port, build) as batch:
            for cell in cells:
                tally.add(batch.run(cell), "exam")
            tally.find(f"after {name}: {each}" for each in batch.close(folder / name / "journal.jsonl").found)
        print(f"{name}: {len(cells)} cells in {time.monotonic() - began_s:.0f} s", flush=True)
        if len(tally.found) == found:
            shutil.rmtree(folder / name)


def report(tally: Tally, calls: Mapping[str, Counter[str]], folder: Path, wall_s: float) -> int:
    for name, counted in calls.items():
        print(f"calls of an undisturbed {name}: {sum(counted.values())}, {words(counted)}")
    print(f"cells: {tally.cells} in {wall_s:.0f} s, of which {tally.not_reached} met no call")
    print(f"where the first fault fell: {words(tally.hit)}")
    print(f"nothing was told, and nothing was lost: {words(tally.unnoticed) or 'none'}")
    print(f"lost, not told in words, or not going on: {len(tally.found)}")
    return end_of(folder, tally.found)


if __name__ == "__main__":
    sys.exit(main())
