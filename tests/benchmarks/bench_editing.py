"""Edits of a mosaic of 500 cells in a picture of 640 x 480, new numbers and inverse included.

    .venv/bin/python tests/benchmarks/bench_editing.py [--cells 500] [--each 40]

Beside them what it costs to measure the whole mosaic again, in the same run. Exit status 1 if an edit's median takes
longer than 20 ms. Deterministic but for the times.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator

if __name__ == "__main__":
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np

from firmware_app.endothelium.edits import Add, Change, CountFrame, Merge, MoveBorder, Remove, SetRegion, Split
from firmware_app.endothelium.fixed_frame import CountingFrame
from firmware_app.endothelium.history import History, changed, undone
from firmware_app.endothelium.morphometry import morphometry
from firmware_app.endothelium.mosaic import build_mosaic, whole_regions
from firmware_app.endothelium.parameters import Parameters
from firmware_app.model import Measurement, Mosaic, Quality
from hw.sim.mosaic import FIELD_UM, Window
from hw.sim.mosaic import build_mosaic as simulated

LIMIT_MS = 20.0
WHOLE = "whole mosaic again"
UM_PER_PX = 0.85
SHAPE = (480, 640)
Drawing = Callable[[np.random.Generator, Mosaic], Change]


def picture(cells: int) -> Measurement:
    """About so many whole cells, with region and guttae as the analysis gives them."""
    model = simulated(6, cd_per_mm2=1.15e6 * cells / (FIELD_UM[0] * FIELD_UM[1]))
    labels = model.label_raster(Window(0, 0, *SHAPE, UM_PER_PX))
    mosaic = build_mosaic(labels, whole_regions(labels, np.ones(SHAPE, bool)), Parameters().side_length_min_px)
    guttae = np.zeros(SHAPE, bool)
    guttae[:40, :40] = True
    mosaic = Mosaic(
        mosaic.labels, mosaic.area_px, mosaic.sides, mosaic.centroid_px, (mosaic.labels > 0) & ~guttae, guttae
    )
    return Measurement(Quality("A", 1, 1, 1), mosaic, morphometry(mosaic, UM_PER_PX, Parameters()))


def neighbour(mosaic: Mosaic, cell: int) -> int:
    right = mosaic.labels[:, 1:][mosaic.labels[:, :-1] == cell]
    others = right[(right != cell) & (right != 0)]
    return int(others[0]) if others.size else 0


def drawn(rng: np.random.Generator, mosaic: Mosaic) -> Iterator[tuple[str, Change]]:
    while True:
        cell = int(rng.integers(1, mosaic.n + 1))
        other = neighbour(mosaic, cell)
        if other:
            break
    row, column = (float(each) for each in mosaic.centroid_px[cell - 1])
    next_row, next_column = (float(each) for each in mosaic.centroid_px[other - 1])
    middle = ((row + next_row) / 2, (column + next_column) / 2)
    across = (middle[0] + next_column - column, middle[1] - next_row + row)
    yield "remove", Remove((cell,))
    yield "merge", Merge((cell, other))
    yield "split", Split(cell, ((row, column), (row + 1.0, column + float(rng.normal()))))
    yield "border", MoveBorder(cell, other, (middle, _within(across)))
    corners = [(row - 9, column - 9), (row - 9, column + 9), (row + 9, column + 9), (row + 9, column - 9)]
    yield "add", Add(tuple(_within(each) for each in corners))
    yield "region", SetRegion(((20.0, 20.0), (15.0, 600.0), (460.0, 610.0), (455.0, 30.0)))
    yield "frame", CountFrame(CountingFrame(80, 80, 320, 480))


def _within(point: tuple[float, float]) -> tuple[float, float]:
    return min(max(point[0], 0.0), SHAPE[0] - 1.0), min(max(point[1], 0.0), SHAPE[1] - 1.0)


def timed_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def measure_edits(start: Measurement, each: int) -> dict[str, list[float]]:
    assert start.mosaic is not None
    rng = np.random.default_rng(1)
    times: dict[str, list[float]] = {"undo": [], WHOLE: []}
    keep = np.append(False, np.ones(start.mosaic.n, bool))
    for _ in range(each):
        for name, change in drawn(rng, start.mosaic):
            measurement, history = start, History()
            if name == "add":  # where the cell was, there is now a hole
                assert isinstance(change, Add)
                inside = start.mosaic.labels[int(change.outline[0][0]) + 9, int(change.outline[0][1]) + 9]
                if not inside:
                    continue
                measurement, history = entered(start, history, Remove((int(inside),)))
            began = time.perf_counter()
            measurement, history = entered(measurement, history, change)
            times.setdefault(name, []).append(1000 * (time.perf_counter() - began))
            latest = measurement, history
            times["undo"].append(timed_ms(lambda latest=latest: undone(*latest, who="a", when="b", shape=SHAPE)))

        def again() -> object:
            assert start.mosaic is not None
            mosaic = build_mosaic(start.mosaic.labels, keep, Parameters().side_length_min_px)
            return morphometry(mosaic, UM_PER_PX, Parameters())

        times[WHOLE].append(timed_ms(again))
    return times


def entered(measurement: Measurement, history: History, change: Change) -> tuple[Measurement, History]:
    return changed(measurement, history, change, who="a", when="b", shape=SHAPE, um_per_px=UM_PER_PX)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--each", type=int, default=40)
    arguments = parser.parse_args()
    start = picture(arguments.cells)
    print(f"{start.mosaic.n if start.mosaic else 0} cells, {SHAPE[1]}x{SHAPE[0]} px; ms")
    print(f"{'':20s} median  worst  times")
    slow = []
    for name, times in measure_edits(start, arguments.each).items():
        print(f"{name:20s} {np.median(times):6.2f} {max(times):6.2f} {len(times):6d}")
        if name != WHOLE and np.median(times) > LIMIT_MS:
            slow.append(name)
    if slow:
        print(f"slower than {LIMIT_MS:g} ms: {', '.join(slow)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
