"""The evaluation of the core, as one command: every set beside what is required and beside scikit-image.

    .venv/bin/python tests/benchmarks/bench_segmentation.py [--jobs 2] [--sets gavet cwru] [--every 4] [--no-peer]

Exit status 1 if a required figure is missed. The reference images are where SPECULAR_SHARED says, or ../shared;
simulated frames are measured everywhere. ECD is the mean absolute density error in %, CV and HEX errors are in points,
F1 counts cells at IoU 0.5; an error is averaged over the answered images, and how many those are stands beside it. The
definitions are in segmentation_judge.py, the figures in segmentation_table.py. Needs requirements-bench.lock.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

if __name__ == "__main__":
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # the processes divide the work; segmentation_speed.py has its own threads

import numpy as np
import numpy.typing as npt
from PIL import Image
from segmentation_judge import SIDE_MIN_PX, Errors, against_dots, against_figures, against_outlines, dice
from segmentation_table import OURS, PEER, Judged, Line, described, lines_of, printed, worst_lines
from segmentation_truth import SETS, SHARED, Asked, Known, images_of, known

from firmware_app.endothelium.measure import measure
from firmware_app.model import Measurement
from firmware_app.report.contours import contour_mask
from firmware_app.report.overlay import draw_overlay

HERE = Path(__file__).resolve().parent
TRUTH_COLOUR = (204, 121, 167)
PICTURE_S, CLASSIC_RATIO, LAG_MS = 0.5, 0.5, 20.0
TIMED_IMAGES = 15


@dataclass(frozen=True, slots=True)
class Task:
    asked: Asked
    with_peer: bool
    overlays: Path | None
    side_px: int


def judge_image(task: Task) -> list[Judged]:
    """Both methods on one image."""
    np.seterr(all="ignore")
    truth = known(task.asked)
    began_s = time.perf_counter()
    measurement = measure(truth.pixels, truth.bits_stored)
    rows = [judged_ours(task, truth, measurement, time.perf_counter() - began_s)]
    if task.overlays is not None:
        draw(task.overlays, task.asked, truth, measurement)
    if task.with_peer:
        from segmentation_peer import peer_pipeline

        began_s = time.perf_counter()
        labels = peer_pipeline(truth.pixels)
        seconds = time.perf_counter() - began_s
        rows.append(
            Judged(
                task.asked.set_name,
                task.asked.image,
                truth.kind,
                PEER,
                labels is not None,
                seconds,
                errors_of(labels, truth, task.side_px),
            )
        )
    return rows


def judged_ours(task: Task, truth: Known, measurement: Measurement, seconds: float) -> Judged:
    asked = task.asked
    mosaic, numbers, grade = measurement.mosaic, measurement.morphometry, measurement.quality.grade
    if mosaic is None or numbers is None:
        reason = measurement.refusal.reason if measurement.refusal else "neither numbers nor a refusal"
        return Judged(asked.set_name, asked.image, truth.kind, OURS, False, seconds, grade=grade, reason=reason)
    found = None
    if truth.guttae is not None:
        found = dice(np.zeros_like(truth.guttae) if mosaic.guttae is None else mosaic.guttae, truth.guttae)
    errors = errors_of(mosaic.labels.astype(np.uint16).astype(np.int32), truth, task.side_px)
    if numbers.hex_percent is None:  # too few complete rings: HEX is not given, and so not judged
        errors = replace(errors, hex_points=None)
    return Judged(
        asked.set_name,
        asked.image,
        truth.kind,
        OURS,
        True,
        seconds,
        errors,
        numbers.n,
        grade,
        "; ".join(numbers.warnings),
        found,
    )


def errors_of(labels: npt.NDArray[np.int32] | None, truth: Known, side_px: int) -> Errors:
    if labels is None:
        return Errors()
    if truth.outlines is not None:
        return against_outlines(labels, truth.outlines, side_px)
    if truth.figures is None:
        return Errors()
    if truth.patch is not None:
        return against_dots(labels, truth.figures.area_px, truth.patch)
    return against_figures(labels, truth.figures)


def draw(folder: Path, asked: Asked, truth: Known, measurement: Measurement) -> None:
    """Our overlay twice as large as the picture, with the outlines of the truth over it."""
    rows, columns = truth.pixels.shape
    picture = draw_overlay(truth.pixels, truth.bits_stored, measurement, (2 * columns, 2 * rows)).copy()
    if truth.outlines is not None:
        picture[contour_mask(truth.outlines.repeat(2, axis=0).repeat(2, axis=1))] = TRUTH_COLOUR
    target = folder / asked.set_name / f"{asked.image.replace('/', '_')}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(target)


def judge(tasks: Sequence[Task], jobs: int) -> Iterator[Judged]:
    """In order, whatever the number of processes."""
    if jobs == 1:
        for task in tasks:
            yield from judge_image(task)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for rows in pool.map(judge_image, tasks):
            yield from rows


def speed(mode: str, threads: int, images: Sequence[Path]) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command = [sys.executable, str(HERE / "segmentation_speed.py"), mode, *map(str, images)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def speed_lines(with_peer: bool) -> Iterator[Line]:
    folder = SHARED / "data" / "endothelium"
    sp1p, gavet = (sorted((folder / name / "images").glob("*.png"))[:TIMED_IMAGES] for name in ("sp1p", "gavet"))
    once = speed("picture", 2, sp1p)
    yield speed_line(
        "240x528, all included, 2 threads, s", once["seconds"], PICTURE_S, "1.2", f"first {once['first_s']:.2f}"
    )
    if with_peer:
        ratio = speed("classic", 1, gavet)
        network = f"network {ratio['network_s']:.3f} s" if ratio["network_found"] else "no network found"
        beside = f"{ratio['ours_s']:.3f} s / {ratio['peer_s']:.3f} s, {network}"
        yield speed_line("classic stages / scikit-image, gavet", ratio["ratio"], CLASSIC_RATIO, "-", beside)
    lag = speed("lag", 2, [*sp1p, *gavet])
    beside = f"median {lag['median_ms']:.1f}, idle {lag['idle_ms']:.1f}"
    yield speed_line("event loop's worst lag, ms", lag["worst_ms"], LAG_MS, "-", beside)


def speed_line(name: str, value: float, limit: float, published: str, beside: str) -> Line:
    passed = value <= limit
    cells = (name, "-", published, f"<= {limit:g}", f"{value:.3g}", "-", beside, "pass" if passed else "FAIL")
    return Line(cells, passed)


def write_csv(path: Path, rows: Sequence[Judged]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        flat = [{**{k: v for k, v in asdict(row).items() if k != "errors"}, **asdict(row.errors)} for row in rows]
        writer.writerow(flat[0].keys())
        writer.writerows([each.values() for each in flat])


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, metavar="NAME", help=", ".join(SETS))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every n-th reference image of each set")
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="simulated heads, two eyes each")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--no-peer", action="store_true", help="without scikit-image")
    parser.add_argument("--no-speed", action="store_true", help="without times and lag (alone: --sets simulated)")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="name the worst N images of each set")
    parser.add_argument("--overlays", type=Path, metavar="DIR", help="write DIR/SET/IMAGE.png")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a row per image and method")
    text = "pixel edges that two neighbours share at least, of both sides: how far HEX depends on it"
    parser.add_argument("--side-px", type=int, default=SIDE_MIN_PX, metavar="N", help=text)
    return parser.parse_args()


def main() -> int:
    chosen = options()
    with_peer = not chosen.no_peer
    asked = list(images_of(chosen.sets, chosen.every, chosen.seeds))
    there = {each.set_name for each in asked}
    for name in chosen.sets:
        if name not in there:
            print(f"{name} is not here: {SHARED / 'data' / 'endothelium' / name}", file=sys.stderr)
    rows = []
    tasks = [Task(each, with_peer, chosen.overlays, chosen.side_px) for each in asked]
    for row in judge(tasks, chosen.jobs):
        rows.append(row)
        if sys.stderr.isatty():
            print(f"\r\x1b[K{len({(r.set_name, r.image) for r in rows})}/{len(asked)}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    lines = lines_of(rows, sorted(there))
    if not chosen.no_speed and SHARED.is_dir():
        lines += speed_lines(with_peer)
    print(printed(lines, chosen.markdown))
    for row in rows:
        if row.method == OURS and row.kind == "uncountable" and row.answered:
            print(f"answered though uncountable: {described(row)}")
    print("\n".join(worst_lines(rows, chosen.worst)))
    if chosen.csv is not None and rows:
        write_csv(chosen.csv, rows)
    return 1 if any(line.passed is False for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
