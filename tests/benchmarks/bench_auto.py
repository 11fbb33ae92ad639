"""Photographs of many simulated eyes without a hand, in simulated time (`tests/auto_run.py` says which eyes).

Prints each eye, what was reached and what is required; exit 1 where less is reached.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from auto_run import EYES, Outcome, photograph, summary  # noqa: E402


def thickness_words(outcome: Outcome) -> str:
    """Its error, and which way it was measured."""
    if outcome.thickness_error_um is None:
        return "not measured"
    doubt = ", the ways disagree" if outcome.doubt else ""
    return f"{outcome.thickness_error_um:+.1f} +-{outcome.uncertainty_um} um by {outcome.way}{doubt}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eyes", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first eye")
    parser.add_argument("--kind", choices=sorted(EYES), default="usual", help="which eyes, and how high the picture is")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="every step of every eye")
    arguments = parser.parse_args()
    numbers = range(arguments.first, arguments.first + arguments.eyes)
    take = partial(photograph, kind=arguments.kind)
    began = time.perf_counter()
    outcomes = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        results = pool.map(take, numbers) if arguments.jobs > 1 else map(take, numbers)
        for outcome in results:
            outcomes.append(outcome)
            told = outcome.reason or f"CCT {thickness_words(outcome)}"
            if arguments.verbose:
                print("\n".join(outcome.lines))
            print(f"eye {outcome.number}: {outcome.seconds:.2f} s, {told}", flush=True)
    lines, reached = summary(outcomes)
    print("\n".join(lines))
    print(f"{time.perf_counter() - began:.0f} s on this machine")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
