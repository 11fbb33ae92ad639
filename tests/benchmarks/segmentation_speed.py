"""Seconds of one picture, of the stages without the network beside scikit-image, and the event loop's lag.

A process of its own, since a BLAS reads how many threads it may use when it is loaded; prints one JSON object.

    OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 python tests/benchmarks/segmentation_speed.py picture|classic|lag IMAGE...
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import trio

from firmware_app.endothelium.measure import measure
from firmware_app.services.image_files import ImageFile, read_image

RUNS = 5
TICK_S = 0.005
IDLE_S = 1.0
CORE = "firmware_app.endothelium"
NETWORK = ("firmware_app.endothelium.division", "look")  # whose time is not that of the classic stages


def seconds_of(call: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    call()
    return time.perf_counter() - began_s


def measured(image: ImageFile) -> object:
    return measure(image.pixels, image.bits_stored, image.um_per_px)


def picture(images: list[ImageFile]) -> dict[str, float]:
    """The first measurement of the process (loads what it needs), and the median of the following ones."""
    (image, *_) = images
    first = seconds_of(lambda: measured(image))
    return {"first_s": first, "seconds": statistics.median(seconds_of(lambda: measured(image)) for _ in range(RUNS))}


class Stopwatch:
    """Adds up the seconds spent in one function, wherever the core has a name for it."""

    def __init__(self, module_name: str, function_name: str) -> None:
        self.seconds = 0.0
        self.found = False
        try:
            function = getattr(importlib.import_module(module_name), function_name)
        except (ModuleNotFoundError, AttributeError):
            return
        self.found = True

        def timed(*arguments: object, **options: object) -> object:
            began_s = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - began_s

        for module in core_modules():
            for name, value in list(vars(module).items()):
                if value is function:
                    setattr(module, name, timed)


def core_modules() -> list[ModuleType]:
    return [module for name, module in sys.modules.items() if name.startswith(CORE)]


def classic(images: list[ImageFile]) -> dict[str, object]:
    """Per image the best of three runs of each, one after the other, and the median ratio over the images."""
    from segmentation_peer import peer_pipeline

    network = Stopwatch(*NETWORK)
    measured(images[0]), peer_pipeline(images[0].pixels)
    ours_s, peer_s, network_s = [], [], []
    for image in images:
        rounds = []
        for _ in range(3):
            network.seconds = 0.0
            whole_s = seconds_of(lambda image=image: measured(image))
            rounds.append((whole_s - network.seconds, network.seconds))
        ours_s.append(min(each for each, _ in rounds))
        network_s.append(min(each for _, each in rounds))
        peer_s.append(min(seconds_of(lambda image=image: peer_pipeline(image.pixels)) for _ in range(3)))
    return {
        "ratio": statistics.median(ours / peer for ours, peer in zip(ours_s, peer_s, strict=True)),
        "ours_s": statistics.median(ours_s),
        "network_s": statistics.median(network_s),
        "peer_s": statistics.median(peer_s),
        "network_found": network.found,
    }


async def lags_ms(images: list[ImageFile]) -> dict[str, object]:
    """A ticker of 5 ms beside the measurement in a worker thread, as in the service: its worst lag per image."""
    worst_ms = [0.0]

    async def tick() -> None:
        due_s = trio.current_time() + TICK_S
        while True:
            await trio.sleep_until(due_s)
            now_s = trio.current_time()
            worst_ms[0] = max(worst_ms[0], 1e3 * (now_s - due_s))
            due_s = now_s + TICK_S

    per_image = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        await trio.to_thread.run_sync(measured, images[0])
        worst_ms[0] = 0.0
        await trio.sleep(IDLE_S)
        idle_ms = worst_ms[0]
        for image in images:
            worst_ms[0] = 0.0
            await trio.to_thread.run_sync(measured, image)
            await trio.sleep(2 * TICK_S)
            per_image.append(worst_ms[0])
        nursery.cancel_scope.cancel()
    return {"median_ms": statistics.median(per_image), "worst_ms": max(per_image), "idle_ms": idle_ms}


def main() -> int:
    mode, *names = sys.argv[1:]
    np.seterr(all="ignore")
    images = [read_image(Path(name)) for name in names]
    figures = trio.run(lags_ms, images) if mode == "lag" else {"picture": picture, "classic": classic}[mode](images)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
