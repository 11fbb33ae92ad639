"""What one frame of a burst costs to be scored, beside what one would write with scikit-image, in the same run.

    .venv/bin/python tests/benchmarks/bench_frame_score.py [--frames 200]

Milliseconds (median) per 640x480 frame on one core, and how far each score falls with 40 um of defocus, a smear of
14 um and a lid (share of the score in focus; a score that rises cannot choose). The peers only tell sharpness.
Exit status 1 when a frame takes 5 ms or more. Needs requirements-bench.lock for the peers.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

if __name__ == "__main__":
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.sharpness import sharpness
from firmware_app.endothelium.usability import score_frame
from firmware_app.model import Eye
from hw.sim import optics
from hw.sim.eye import SimulatedHead

LIMIT_MS = 5.0
Pixels = npt.NDArray[np.generic]


def frame(defocus_um: float, smear_um: float, bits: int) -> Pixels:
    eye = SimulatedHead(2).eyes[Eye.RIGHT]
    view = optics.View(0.0, 0.0, defocus_um, smear_um, 0.0)
    light = optics.signal(optics.scene(eye.spectrum, view), view, eye.thickness_um, eye.tilt)
    return optics.expose(light, bits, optics.NOMINAL_EXPOSURE_US, 1.0, np.random.default_rng(1))


def lid(bits: int) -> Pixels:
    """A skin in the light: bright, soft, with a few dark lashes."""
    rows, columns = np.mgrid[:480, :640]
    skin = 0.4 + 0.1 * np.sin(rows / 90) + 0.004 * np.random.default_rng(3).normal(size=rows.shape)
    lashes = np.abs((columns + rows // 4) % 160 - 80) < 3
    shown = np.clip(np.where(lashes, 0.05, skin), 0, 1) * (2**bits - 1)
    return shown.astype(np.uint8 if bits == 8 else np.uint16)


def laplacian(pixels: Pixels) -> float:
    image = pixels.astype(np.float32)
    middle = image[1:-1, 1:-1]
    edges = image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:] - 4 * middle
    return float(edges.var() / max(float(image.mean()), 1.0) ** 2)


def methods(bits: int) -> dict[str, Callable[[Pixels], float]]:
    found: dict[str, Callable[[Pixels], float]] = {
        "specular sharpness": sharpness,
        "specular score": lambda pixels: kept_sharpness(pixels, bits),
        "numpy Laplacian": laplacian,
    }
    try:
        from skimage.measure import blur_effect
    except ImportError:
        print("scikit-image is not here: requirements-bench.lock")
        return found
    found["skimage blur_effect"] = lambda pixels: 1.0 - float(blur_effect(pixels))
    return found


def kept_sharpness(pixels: Pixels, bits: int) -> float:
    """As `services.capture` chooses: a frame that is not usable comes after all others."""
    score = score_frame(pixels, bits)
    return score.sharpness * score.is_usable


def median_ms(method: Callable[[Pixels], float], frames: list[Pixels], count: int) -> float:
    seconds = []
    for number in range(count):
        pixels = frames[number % len(frames)]
        began = time.perf_counter()
        method(pixels)
        seconds.append(time.perf_counter() - began)
    return 1e3 * float(np.median(seconds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200)
    arguments = parser.parse_args()
    print(f"{'method':20s} bits  ms/frame  defocus  smear    lid")
    too_slow = False
    for bits in (8, 12):
        sharp, soft, smeared, closed = frame(0, 0, bits), frame(40, 0, bits), frame(0, 14, bits), lid(bits)
        for name, method in methods(bits).items():
            ms = median_ms(method, [sharp, soft, smeared, closed], arguments.frames)
            shares = [100 * method(worse) / method(sharp) for worse in (soft, smeared, closed)]
            print(f"{name:20s} {bits:4d} {ms:9.2f}  " + " ".join(f"{share:5.0f} %" for share in shares), flush=True)
            too_slow |= name.startswith("specular") and ms >= LIMIT_MS
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main())
