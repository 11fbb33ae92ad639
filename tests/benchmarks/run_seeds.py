"""Runs the whole demo for many seeds and prints how far CD, CV and HEX are from the simulator's truth.

    .venv/bin/python tests/benchmarks/run_seeds.py [--seeds 1-20] [--out DIR]

Exit status 0 when every demo succeeded and every eye is within the limits, or refused with a reason.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CD_LIMIT_PERCENT, CV_LIMIT_POINTS, HEX_LIMIT_POINTS = 3.0, 4.0, 8.0
LIMITS = {"cd_per_mm2": CD_LIMIT_PERCENT, "cv_percent": CV_LIMIT_POINTS, "hex_percent": HEX_LIMIT_POINTS}
DEMO_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class EyeError:
    seed: int
    eye: str
    refusal: str | None
    truth: dict[str, Any]
    measured: dict[str, Any]
    difference: dict[str, float | None]

    @property
    def within(self) -> bool:
        if self.refusal is not None:
            return bool(self.refusal)
        return all(
            self.difference[key] is not None and abs(self.difference[key] or 0.0) <= limit
            for key, limit in LIMITS.items()
        )


def run_demo(seed: int, out: Path) -> dict[str, Any] | None:
    """The summary, or None when the demo failed (its words are on stderr then)."""
    command = [sys.executable, "-m", "firmware_app", "demo", "--seed", str(seed), "--out", str(out)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEMO_TIMEOUT_S)
    if ended.returncode != 0:
        print(f"seed {seed}: demo failed with status {ended.returncode}\n{ended.stdout}{ended.stderr}", file=sys.stderr)
        return None
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def eye_errors(summary: dict[str, Any]) -> Iterator[EyeError]:
    for eye, result in summary["eyes"].items():
        refusal = None if result["measured"] else result["reason"] or ""
        yield EyeError(
            summary["seed"], eye, refusal, result["truth"], result["measured"] or {}, result["difference"] or {}
        )


def line(error: EyeError) -> str:
    head = f"{error.seed:4}  {error.eye}  "
    if error.refusal is not None:
        return f"{head}refused: {error.refusal or 'WITHOUT A REASON'}"
    cells = "  ".join(
        f"{error.measured[key] or 0:7.1f} {error.truth[key]:7.1f} {error.difference[key] or 0:+6.1f}" for key in LIMITS
    )
    return f"{head}{cells}  {error.measured['n']:4}  {'ok' if error.within else 'OUT OF LIMITS'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", default="1-20", help="FIRST-LAST (default 1-20)")
    parser.add_argument("--out", type=Path, help="keep every demo's folder in DIR/seed-N")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    print("seed eye  CD /mm2   truth    d %     CV %   truth      d    HEX %   truth      d     N")
    errors: list[EyeError] = []
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in seeds:
            summary = run_demo(seed, (options.out or Path(scratch)) / f"seed-{seed}")
            if summary is None:
                continue
            seconds.append(summary["seconds"])
            for error in eye_errors(summary):
                print(line(error), flush=True)
                errors.append(error)
    return conclude(errors, seconds, len(seeds))


def conclude(errors: list[EyeError], seconds: list[float], demos: int) -> int:
    measured = [error for error in errors if error.refusal is None]
    for key, limit in LIMITS.items():
        worst = max((abs(error.difference[key] or 0.0) for error in measured), default=0.0)
        mean = sum(error.difference[key] or 0.0 for error in measured) / max(len(measured), 1)
        print(f"{key}: mean error {mean:+.2f}, worst {worst:.2f}, limit {limit:g}")
    print(
        f"{len(seconds)} of {demos} demos succeeded, {max(seconds, default=0):.1f} s the slowest; {len(measured)} eyes "
        f"measured, {len(errors) - len(measured)} refused, {sum(not each.within for each in errors)} out of limits"
    )
    return 0 if len(seconds) == demos and all(error.within for error in errors) else 1


if __name__ == "__main__":
    sys.exit(main())
