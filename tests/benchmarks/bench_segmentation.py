"""The core beside scikit-image's spectrum + marker watershed, on the same frames in the same run.

    .venv/bin/python tests/benchmarks/bench_segmentation.py [--seeds 20] [--every 1]

Simulated frames are always measured; the reference images where they are present (SPECULAR_SHARED, or ../shared).
Density error in %, CV and HEX errors in points, F is the share of cells found at IoU 0.5 as F1. A counted cell is
judged if three quarters of it lie in the annotated patch. For dots: the centre method (Voronoi cells of the dots).
Needs requirements-bench.lock.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial import Delaunay, QhullError, Voronoi
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from firmware_app.endothelium.measure import measure
from firmware_app.endothelium.mosaic import build_mosaic, whole_regions
from firmware_app.model import Eye, Mosaic
from hw.sim.eye import SimulatedHead

SHARED = Path(os.environ.get("SPECULAR_SHARED", Path(__file__).resolve().parents[3] / "shared"))
OUTLINED = ("gavet", "confoscan52", "cwru", "specular7", "alizarine")
CELLS_MIN, COUNTABLE_DOTS, UNCOUNTABLE_DOTS = 30, 20, 10
SIDE_MIN_PX = 0.6
Labels = npt.NDArray[np.int32]
Method = Callable[[npt.NDArray[np.generic]], Mosaic | None]


def our_core(pixels: npt.NDArray[np.generic]) -> Mosaic | None:
    return measure(pixels, 8 * pixels.dtype.itemsize).mosaic


def peer_pipeline(pixels: npt.NDArray[np.generic]) -> Mosaic | None:
    """What one writes with scikit-image: spacing from the spectrum, smoothed minima as markers, watershed, refined."""
    image = pixels.astype(np.float32)
    image -= gaussian_filter(image, 20)
    image /= np.sqrt(gaussian_filter(image**2, 20)) + 1e-3
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    power = np.abs(np.fft.fft2(image * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1])[None, :])
    edges = np.geomspace(1 / 80, 1 / 8, 60)
    ring = np.digitize(frequency, edges)
    means = np.bincount(ring.ravel(), power.ravel(), 61) / np.maximum(np.bincount(ring.ravel(), minlength=61), 1)
    tilted = gaussian_filter(means[1:-1] * edges[:-1] ** 1.5, 1.0)  # untilted it locks onto shading; about our own tilt
    spacing = 1 / edges[int(np.argmax(tilted))]
    smooth = gaussian_filter(image, 0.20 * spacing)
    peaks = peak_local_max(smooth, min_distance=max(1, int(0.25 * spacing)), exclude_border=False)
    markers = np.zeros(image.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-gaussian_filter(image, 0.10 * spacing), markers).astype(np.int32)
    mosaic = build_mosaic(labels, whole_regions(labels, np.ones(labels.shape, bool)), SIDE_MIN_PX)
    return mosaic if mosaic.n >= CELLS_MIN else None


METHODS: dict[str, Method] = {"specular": our_core, "scikit-image": peer_pipeline}


@dataclass
class Tally:
    """What one method did on one set. Rows of errors: density %, CV points, HEX points, F1."""

    asked: int = 0
    errors: list[tuple[float, ...]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def line(self, name: str, method: str) -> str:
        if not self.errors:
            return f"{name:12s} {method:13s} {0:3d}/{self.asked:<3d}"
        table = np.array(self.errors, dtype=float)
        shown = " ".join(mean_of_known(column) for column in np.abs(table[:, :3]).T)
        found = f"{np.nanmean(table[:, 3]):6.3f}" if not np.isnan(table[:, 3]).all() else "     -"
        median, within = np.median(np.abs(table[:, 0])), 100 * np.mean(np.abs(table[:, 0]) <= 10)
        answered = f"{len(self.errors):3d}/{self.asked:<3d}"
        pace = f"{np.mean(self.seconds):7.3f}"
        return f"{name:12s} {method:13s} {answered} {shown} {found} {median:8.2f} {within:7.0f} {pace}"


def mean_of_known(errors: np.ndarray) -> str:
    """Dots give no areas and some pictures no HEX: those count for nothing, not as zero."""
    known = errors[~np.isnan(errors)]
    return f"{known.mean():7.2f}" if known.size else "      -"


HEADER = f"{'set':12s} {'method':13s} answer  ECD %  CV pp  HEX pp  F@0.5   median  in 10%  s/image"


def three(area: npt.NDArray[np.float64], sides: npt.NDArray[np.int32]) -> tuple[float, float, float]:
    ringed = sides[sides > 0]
    hexagons = 100 * float(np.mean(ringed == 6)) if ringed.size >= 5 else float("nan")
    return float(area.mean()), 100 * float(area.std() / area.mean()), hexagons


def against_outlines(mosaic: Mosaic, outlines: Labels) -> tuple[float, ...] | None:
    total = np.bincount(mosaic.labels.ravel(), minlength=mosaic.n + 1)
    inside = np.bincount(mosaic.labels.ravel(), (outlines > 0).ravel(), minlength=mosaic.n + 1)
    judged = (inside >= 0.75 * total)[1:]
    if np.count_nonzero(judged) < 5:
        return None
    truth = build_mosaic(outlines, whole_regions(outlines, np.ones(outlines.shape, bool)), SIDE_MIN_PX)
    area, cv, hexagons = three(mosaic.area_px[judged], mosaic.sides[judged])
    true_area, true_cv, true_hexagons = three(truth.area_px, truth.sides)
    cells = int(outlines.max()) + 1
    overlap = np.bincount(mosaic.labels.ravel() * cells + outlines.ravel(), minlength=(mosaic.n + 1) * cells)
    overlap = overlap.reshape(mosaic.n + 1, cells)[1:, 1:]
    outlined = np.bincount(outlines.ravel(), minlength=cells)[1:]
    union = total[1:, None] + outlined[None, :] - overlap
    hits = np.count_nonzero((overlap >= 0.5 * union) & judged[:, None])
    f1 = 2 * hits / (np.count_nonzero(judged) + np.count_nonzero(outlined))
    return 100 * (true_area / area - 1), cv - true_cv, hexagons - true_hexagons, f1


def dotted_area(dots: npt.NDArray[np.float64]) -> float | None:
    """Mean Voronoi area of the dots inside the dotted patch; None below 20 such dots. Gaps are not bridged."""
    try:
        triangles, voronoi = Delaunay(dots), Voronoi(dots)
    except (QhullError, ValueError):
        return None
    sides = [(a, b) for a, b in ((0, 1), (1, 2), (0, 2))]
    corners = dots[triangles.simplices]
    lengths = np.stack([np.linalg.norm(corners[:, a] - corners[:, b], axis=1) for a, b in sides], axis=1)
    short = triangles.simplices[lengths.max(axis=1) <= 2.2 * np.median(lengths)]
    pairs = np.sort(np.concatenate([short[:, [a, b]] for a, b in sides]), axis=1)
    unique, count = np.unique(pairs, axis=0, return_counts=True)
    inner = np.setdiff1d(unique, unique[count == 1])
    areas = []
    for dot in inner:
        region = voronoi.regions[voronoi.point_region[dot]]
        if region and -1 not in region:
            x, y = voronoi.vertices[region].T
            areas.append(0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))
    return float(np.mean(areas)) if len(areas) >= COUNTABLE_DOTS else None


def grey(path: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("L"))


def outlined_images(name: str, every: int) -> Iterator[tuple[npt.NDArray[np.uint8], Labels]]:
    for path in sorted((SHARED / "data" / "endothelium" / name / "images").iterdir())[::every]:
        labels = path.parents[1] / "labels" / f"{path.stem}.png"
        if labels.exists():
            yield grey(path), np.asarray(Image.open(labels)).astype(np.int32)


def dotted_images(every: int) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]]:
    for path in sorted((SHARED / "data" / "endothelium" / "specular385" / "images").iterdir())[::every]:
        lines = (path.parents[1] / "points" / f"{path.stem}.tsv").read_text().splitlines()[1:]
        dots = [[float(word) for word in line.split("\t")[1:3]] for line in lines]
        yield grey(path), np.array(dots).reshape(-1, 2)


def timed(method: Method, pixels: npt.NDArray[np.generic], tally: Tally) -> Mosaic | None:
    began = time.perf_counter()
    mosaic = method(pixels)
    tally.seconds.append(time.perf_counter() - began)
    tally.asked += 1
    return mosaic


def simulated(seeds: int) -> None:
    tallies = {name: Tally() for name in METHODS}
    for seed in range(1, seeds + 1):
        head = SimulatedHead(seed)
        for eye in Eye:
            truth = head.truth(eye)
            pixels = head.render(head.focus(eye), 1.0, 8)
            for name, method in METHODS.items():
                mosaic = timed(method, pixels, tallies[name])
                if mosaic is not None:
                    area, cv, hexagons = three(mosaic.area_px, mosaic.sides)
                    density = 1e6 / (area * 0.85**2)
                    error = 100 * (density / truth.cd_per_mm2 - 1)
                    row = (error, cv - truth.cv_percent, hexagons - truth.hex_percent, float("nan"))
                    tallies[name].errors.append(row)
    for name, tally in tallies.items():
        print(tally.line("simulated", name), flush=True)


def outlined(name: str, every: int) -> None:
    tallies = {method: Tally() for method in METHODS}
    for pixels, outlines in outlined_images(name, every):
        for method, run in METHODS.items():
            mosaic = timed(run, pixels, tallies[method])
            row = None if mosaic is None else against_outlines(mosaic, outlines)
            if row is not None:
                tallies[method].errors.append(row)
    for method, tally in tallies.items():
        print(tally.line(name, method), flush=True)


def dotted(every: int) -> None:
    countable = {method: Tally() for method in METHODS}
    uncountable = {method: Tally() for method in METHODS}
    false_reports = dict.fromkeys(METHODS, 0)
    for pixels, dots in dotted_images(every):
        true_area = dotted_area(dots) if len(dots) >= UNCOUNTABLE_DOTS else None
        for method, run in METHODS.items():
            if len(dots) < UNCOUNTABLE_DOTS:
                false_reports[method] += timed(run, pixels, uncountable[method]) is not None
            elif true_area is not None:
                mosaic = timed(run, pixels, countable[method])
                if mosaic is not None:
                    error = 100 * (true_area / float(mosaic.area_px.mean()) - 1)
                    countable[method].errors.append((error, float("nan"), float("nan"), float("nan")))
    for method, tally in countable.items():
        print(tally.line("specular385", method), flush=True)
    for method, reports in false_reports.items():
        print(f"{'uncountable':12s} {method:13s} {reports:3d}/{uncountable[method].asked:<3d} reported, 0 is right")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--every", type=int, default=1, help="only every n-th reference image")
    arguments = parser.parse_args()
    np.seterr(all="ignore")
    print(HEADER)
    simulated(arguments.seeds)
    if not SHARED.is_dir():
        print(f"reference images are not here: {SHARED}")
        return 0
    for name in OUTLINED:
        outlined(name, arguments.every)
    dotted(arguments.every)
    return 0


if __name__ == "__main__":
    sys.exit(main())
