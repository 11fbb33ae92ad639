"""SIGKILL at random moments of exams and deliveries, against a hospital that fails at random: nothing lost or doubled.

    .venv/bin/python tests/benchmarks/bench_crash.py [--kills 1000] [--lanes 3] [--seed 1]

The real service process, simulated stages on ptys, a folder of pictures as the camera, an archive and an information
system that refuse, abort, reset, hang, are slow, run out of resources and lose answers. A recorder outside the process
notes every capture that the console reported, with its pixels. Kills fall on moments drawn from the length of an exam
with its delivery, and on single calls that write to the state folder. Exit status 1 when anything was lost, doubled,
changed or out of order; the folders of such a round are kept.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "crash"), str(HERE.parent.parent)]

from crash_round import Build, Round, crash_round  # noqa: E402
from long_runs import end_of, words  # noqa: E402
from place import stages  # noqa: E402
from under_test import Forks  # noqa: E402

PER_ROUND = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--lanes", type=int, default=3, help="instruments at the same time, each with its hospital")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--broken", default="", help="a deliberately broken build of tests/crash/broken_build.py")
    parser.add_argument("--no-forks", action="store_true", help="every service with an interpreter of its own: slower")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crash"))
    began_s = time.monotonic()
    total = Round()
    with ExitStack() as stack:
        ports = stack.enter_context(stages(options.lanes, folder / "s"))
        forks = None if options.no_forks else stack.enter_context(closing(Forks(folder / "forks.log")))
        pool = stack.enter_context(ThreadPoolExecutor(options.lanes))
        lane = partial(run_lane, folder, Build(forks, options.broken), options.seed)
        for result in pool.map(lane, range(options.lanes), ports, shares(options.kills, options.lanes)):
            total.add(result)
    wall_s = time.monotonic() - began_s
    print_table(total, wall_s)
    for what in total.found:
        print(f"FOUND: {what[:2000]}")
    return end_of(folder, total.found)


def shares(kills: int, lanes: int) -> list[list[int]]:
    """Rounds of each lane, each with its number of kills."""
    rounds: list[list[int]] = [[] for _ in range(lanes)]
    for number, begin in enumerate(range(0, kills, PER_ROUND)):
        rounds[number % lanes].append(min(PER_ROUND, kills - begin))
    return rounds


def run_lane(folder: Path, build: Build, seed: int, lane: int, stage_port: str, rounds: list[int]) -> Round:
    total = Round()
    for number, kills in enumerate(rounds):
        name = f"l{lane}r{number}"
        result = crash_round(folder / name, name, seed, kills, stage_port, build)
        print(f"{name}: {kills} kills in {result.wall_s:.0f} s, {len(result.found)} found", flush=True)
        total.add(result)
        if not result.found:
            shutil.rmtree(folder / name)
    return total


def print_table(total: Round, wall_s: float) -> None:
    for name, value in rows(total, wall_s):
        print(f"{name:58} {value}")


def rows(total: Round, wall_s: float) -> Iterator[tuple[str, object]]:
    yield "kills", total.kills
    yield "wall time, s", round(wall_s)
    yield "longest undisturbed exam with delivery, from start, s", round(total.length_s, 1)
    yield "exams", total.exams
    yield "captures reported", total.captures
    yield "instances in the archive, each once and committed to", total.instances
    yield "times that the archive got the same instance again", total.sent_again
    yield "MPPS messages that arrived", total.messages
    yield "kills while the instrument was", words(total.phases)
    yield "kills on a call", words(total.calls)
    yield "connections that met", words(total.misfortunes)
    yield "lost, doubled, changed or out of order", len(total.found)


if __name__ == "__main__":
    sys.exit(main())
