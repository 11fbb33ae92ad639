"""Every fault at every step of an exam on the simulated instrument's ports, and what stops take of each stage.

`tests/fault_matrix.py` says what is asked. Prints a line a cell and a line a stop; exit 1 where a cell failed or a stop
took too long to act. A quarter of an hour; `--only` for some of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import trio  # noqa: E402
from fault_bench import fault_bench  # noqa: E402
from fault_matrix import Fault, Outcome, diagonal, matrix, run_exam  # noqa: E402
from stop_times import REQUIRED_S, Stop, measure_stops  # noqa: E402

from hw.sim.settings import SimSettings  # noqa: E402
from hw.sim.stage_kinds import KINDS  # noqa: E402


async def run(exams: list[dict[str, Fault]], outcomes: list[Outcome]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with fault_bench(Path(folder), SimSettings(seed=3, link_dir=Path(folder) / "ports")) as bench:
            for number, faults in enumerate(exams):
                for outcome in await run_exam(bench, faults, number):
                    outcomes.append(outcome)
                    print(outcome.line, flush=True)


def stops_of(kind: str) -> list[Stop]:
    with tempfile.TemporaryDirectory() as folder:
        stops = trio.run(measure_stops, kind, Path(folder))
    print("\n".join(stop.line for stop in stops), flush=True)
    return stops


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], help="cells whose fault or step holds one of these texts")
    parser.add_argument("--diagonal", action="store_true", help="every fault and every step, but not every pair")
    parser.add_argument("--no-stops", action="store_true")
    arguments = parser.parse_args()
    exams = diagonal() if arguments.diagonal else matrix()
    wanted = [
        {step: fault for step, fault in exam.items() if any(text in f"{fault.name} {step}" for text in arguments.only)}
        for exam in exams
    ]
    began = time.perf_counter()
    outcomes: list[Outcome] = []
    trio.run(run, [each for each in wanted if each], outcomes)
    stops = [] if arguments.no_stops else [stop for kind in KINDS for stop in stops_of(kind)]
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
