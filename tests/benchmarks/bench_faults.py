"""Every fault at every step of an exam, on the simulated instrument's ports (`tests/fault_matrix.py` says what is asked).

Prints a line a cell and what a stop takes; exit 1 where a cell failed. 20 minutes; `--only` for some of it.
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

from hw.sim.settings import SimSettings  # noqa: E402


async def run(exams: list[dict[str, Fault]], outcomes: list[Outcome]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with fault_bench(Path(folder), SimSettings(seed=3, link_dir=Path(folder) / "ports")) as bench:
            for number, faults in enumerate(exams):
                for outcome in await run_exam(bench, faults, number):
                    outcomes.append(outcome)
                    print(outcome.line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], help="cells whose fault or step holds one of these texts")
    parser.add_argument("--diagonal", action="store_true", help="every fault and every step, but not every pair")
    arguments = parser.parse_args()
    exams = diagonal() if arguments.diagonal else matrix()
    names = [" ".join(f"{fault.name} {step}" for step, fault in each.items()) for each in exams]
    wanted = [each for each, name in zip(exams, names, strict=True) if any(text in name for text in arguments.only)]
    began = time.perf_counter()
    outcomes: list[Outcome] = []
    trio.run(run, wanted, outcomes)
    failed = [each for each in outcomes if each.problem]
    recovered = [each.recovered_s for each in outcomes if not each.problem]
    print(
        f"{len(outcomes) - len(failed)} of {len(outcomes)} cells as they must be; recovery at most "
        f"{max(recovered, default=0):.2f} s; {time.perf_counter() - began:.0f} s on this machine"
    )
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
