"""A bank of rendered pictures from which the training draws. Part of it is painted anew between stretches of training:
rendering and training each want every core, and at the same time they only wait for each other.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deploy.training.scenes import Scene, draw_scenes
from deploy.training.tissue import Tissue, load_tissues
from firmware_app.endothelium.network_input import network_input

SIDE_PX = 192
PICTURES_PER_TISSUE = 3
CHUNK = 60  # pictures painted by one process at a time; their seed is the chunk's number
TRUTHS = ("border", "depth", "trust", "guttae", "weight")
INPUT_STEPS, TRUTH_STEPS = 127, 255


class Bank:
    """`inputs` int8 (capacity, 2, side, side) and `truths` uint8 (capacity, 5, side, side), in files of one folder."""

    def __init__(self, folder: Path, capacity: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.capacity = capacity // CHUNK * CHUNK
        self.inputs = shared_array(folder / "inputs.npy", (self.capacity, 2, SIDE_PX, SIDE_PX), np.int8)
        self.truths = shared_array(folder / "truths.npy", (self.capacity, len(TRUTHS), SIDE_PX, SIDE_PX), np.uint8)
        self.painted = 0

    @property
    def filled(self) -> int:
        return min(self.painted, self.capacity)

    def paint(self, pictures: int, tissues: Path, seed: int, jobs: int) -> None:
        """Replace the oldest pictures by new ones. The same seed gives the same pictures in the same order."""
        chunks = range(self.painted // CHUNK, (self.painted + pictures) // CHUNK)
        with ProcessPoolExecutor(jobs) as pool:
            tasks = [pool.submit(paint_chunk, self.folder, self.capacity, tissues, seed, number) for number in chunks]
            for task in tasks:
                task.result()
        self.painted += len(chunks) * CHUNK

    def put(self, place: int, scene: Scene) -> None:
        planes, _ = network_input(scene.grey)
        self.inputs[place] = np.rint(planes * INPUT_STEPS)
        for index, name in enumerate(TRUTHS):
            self.truths[place, index] = np.rint(getattr(scene, name) * TRUTH_STEPS)


def shared_array(path: Path, shape: tuple[int, ...], dtype: type) -> npt.NDArray[np.generic]:
    if path.exists():
        return np.lib.format.open_memmap(path, mode="r+")
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


@lru_cache(maxsize=1)
def stock(tissues: Path) -> list[Tissue]:
    return load_tissues(0, tissues, 1)


def paint_chunk(folder: Path, capacity: int, tissues: Path, seed: int, number: int) -> None:
    bank = Bank(folder, capacity)
    rng = np.random.default_rng([seed, number])
    place = number * CHUNK % bank.capacity
    for _ in range(CHUNK // PICTURES_PER_TISSUE):
        for scene in draw_scenes(stock(tissues), rng, SIDE_PX, PICTURES_PER_TISSUE):
            bank.put(place, scene)
            place += 1
