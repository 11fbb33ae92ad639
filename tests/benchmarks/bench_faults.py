"""Every fault at every step of an exam on the simulated instrument's ports, and what stops take of each stage.

`tests/fault_matrix.py` says what is asked, `tests/fault_cells.py` of which stages. Prints a line a cell, a table a kind
of stage and a line a stop; exit 1 where a cell failed or a stop took too long to act. Half an hour on a machine that
does nothing else; `--kind` and `--only` for some of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # as in the suite
    os.environ.setdefault(name, "1")
sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import trio  # noqa: E402
from fault_bench import Hospital, fault_bench, hospital  # noqa: E402
from fault_cells import KINDS, STEPS, Cells, diagonal, matrix  # noqa: E402
from fault_matrix import Outcome, run_exam  # noqa: E402
from stop_times import REQUIRED_S, Stop, measure_stops  # noqa: E402

from hw.sim.settings import SimSettings  # noqa: E402
from hw.sim.stage_kinds import KINDS as SIMULATED  # noqa: E402


async def run(kind: str, exams: list[Cells], outcomes: list[Outcome], peer: Hospital) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = SimSettings(seed=3, stage=kind, link_dir=Path(folder) / "ports")
        async with fault_bench(Path(folder), settings, KINDS[kind].lamps, peer) as bench:
            for number, faults in enumerate(exams):
                for outcome in await run_exam(bench, faults, number):
                    outcomes.append(outcome)
                    print(f"{kind:15} {outcome.line}", flush=True)


def chosen(exam: Cells, words: list[str]) -> Cells:
    return {step: fault for step, fault in exam.items() if any(word in f"{fault.name} {step}" for word in words)}


def table(kind: str, outcomes: list[Outcome]) -> str:
    """Seconds to recovery of each fault in each step; `+` where the step failed and was done again."""
    width = max(map(len, STEPS)) + 1
    cells = {(each.fault, each.step): _cell(each) for each in outcomes}
    names = [fault.name for fault in KINDS[kind].faults if any(name == fault.name for name, _ in cells)]
    rows = [f"{name:18}" + "".join(f"{cells.get((name, step), '-'):>{width}}" for step in STEPS) for name in names]
    head = f"{kind:18}" + "".join(f"{step:>{width}}" for step in STEPS)
    return "\n".join([head, *rows])


def _cell(outcome: Outcome) -> str:
    if outcome.problem:
        return "FAILED"
    return f"{outcome.recovered_s:.1f}{'+' if outcome.reason else ' '}"


def stops_of(kind: str) -> list[Stop]:
    with tempfile.TemporaryDirectory() as folder:
        stops = trio.run(measure_stops, kind, Path(folder))
    print("\n".join(stop.line for stop in stops), flush=True)
    return stops


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], help="cells whose fault or step holds one of these texts")
    parser.add_argument("--kind", nargs="+", choices=[*KINDS], default=[*KINDS], help="of these stages")
    parser.add_argument("--diagonal", action="store_true", help="every fault, step and kind, but not every cell")
    parser.add_argument("--no-stops", action="store_true")
    arguments = parser.parse_args()
    everything = diagonal() if arguments.diagonal else [(kind, exam) for kind in KINDS for exam in matrix(kind)]
    wanted = [
        (kind, cells) for kind, exam in everything if kind in arguments.kind and (cells := chosen(exam, arguments.only))
    ]
    began = time.perf_counter()
    outcomes: list[Outcome] = []
    tables: list[str] = []
    with tempfile.TemporaryDirectory() as folder, hospital(Path(folder)) as peer:
        for kind in arguments.kind:
            first = len(outcomes)
            trio.run(run, kind, [cells for of, cells in wanted if of == kind], outcomes, peer)
            tables.append(table(kind, outcomes[first:]))
    print("\n\n".join(tables))
    stops = [] if arguments.no_stops else [stop for kind in SIMULATED for stop in stops_of(kind)]
    failed = [each for each in outcomes if each.problem]
    recovered = [each.recovered_s for each in outcomes if not each.problem]
    print(
        f"{len(outcomes) - len(failed)} of {len(outcomes)} cells as they must be; recovery at most "
        f"{max(recovered, default=0):.2f} s; {time.perf_counter() - began:.0f} s on this machine"
    )
    late = [stop for stop in stops if stop.braking_s > REQUIRED_S]
    if stops:
        worst_s = max(stop.braking_s for stop in stops)
        print(f"a stop acts after {1000 * worst_s:.1f} ms at most (required {1000 * REQUIRED_S:.0f})")
    return 1 if failed or late or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
