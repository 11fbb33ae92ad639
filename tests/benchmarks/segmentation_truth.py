"""The reference images and what people drew or dotted on them; and simulated frames, whose truth is exact.

What a folder under data/endothelium holds is in its SOURCE.md. Outlines are label images, 0 where nothing is
annotated; for alizarine they fill its roi/ to 99 %, so that the outlines alone say what is annotated. Image 15 of cwru,
whose outlines leak in two places, is not among ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from segmentation_judge import COUNTABLE_DOTS, UNCOUNTABLE_DOTS, Figures, Labels, dotted_cells, dotted_patch

from firmware_app.model import Eye
from firmware_app.services.image_files import ImageFile, read_image
from hw.sim.eye import SimulatedHead

SHARED = Path(os.environ.get("SPECULAR_SHARED", Path(__file__).resolve().parents[3] / "shared"))
OUTLINED = ("gavet", "confoscan52", "cwru", "alizarine", "specular7", "gdocm", "sp3000p")
DOTTED = "specular385"
SIMULATED = "simulated"
SETS = (SIMULATED, *OUTLINED, DOTTED)
EVERY = {"gdocm": 8}  # 160 large images of six corneas: every eighth says the same
SIMULATED_UM_PER_PX = 0.85

AnyPixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Asked:
    """One image that every method is asked about. `path` is None for a simulated frame, named "SEED/EYE"."""

    set_name: str
    image: str
    path: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """An image and its truth: outlines, or the mean cell of dots, or the figures of the simulator.

    `kind` is outlined, simulated, countable, uncountable or between (dots, but too few with a complete ring).
    """

    kind: str
    pixels: AnyPixels
    bits_stored: int
    outlines: Labels | None = None
    guttae: npt.NDArray[np.bool_] | None = None
    figures: Figures | None = None
    patch: npt.NDArray[np.bool_] | None = None  # where the dots of a countable image are


def images_of(sets: Sequence[str], every: int, seeds: int, shared: Path = SHARED) -> Iterator[Asked]:
    """What there is to ask about, in a fixed order. A set that is not there gives nothing."""
    for name in sets:
        if name == SIMULATED:
            yield from (Asked(name, f"{seed}/{eye}") for seed in range(1, seeds + 1) for eye in Eye)
            continue
        folder = shared / "data" / "endothelium" / name
        found = sorted((folder / "images").iterdir()) if folder.is_dir() else []
        for path in found[:: EVERY.get(name, 1) * every]:
            if name == DOTTED or (folder / "labels" / f"{path.stem}.png").is_file():
                yield Asked(name, path.stem, path)


def known(asked: Asked) -> Known:
    if asked.path is None:
        return simulated(asked.image)
    image = read_image(asked.path)
    folder, name = asked.path.parents[1], f"{asked.path.stem}.png"
    if asked.set_name == DOTTED:
        return by_dots(image, read_dots(folder / "points" / f"{asked.path.stem}.tsv"))
    outlines = np.asarray(Image.open(folder / "labels" / name)).astype(np.int32)
    guttae = None
    if (folder / "guttae" / name).is_file():
        guttae = np.asarray(Image.open(folder / "guttae" / name).convert("L")) > 0
    return Known("outlined", image.pixels, image.bits_stored, outlines, guttae)


def by_dots(image: ImageFile, dots: npt.NDArray[np.float64]) -> Known:
    if len(dots) < UNCOUNTABLE_DOTS:
        return Known("uncountable", image.pixels, image.bits_stored)
    cells = dotted_cells(dots)
    if cells.inner.size < COUNTABLE_DOTS:
        return Known("between", image.pixels, image.bits_stored)
    patch = dotted_patch(dots, cells.inner, image.pixels.shape)
    mean = Figures(float(cells.area_px.mean()), None, None)
    return Known("countable", image.pixels, image.bits_stored, patch=patch, figures=mean)


def read_dots(path: Path) -> npt.NDArray[np.float64]:
    """(dots, 2) as x, y; the file has a header and id, x, y, tag."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return np.array([[float(word) for word in line.split("\t")[1:3]] for line in lines]).reshape(-1, 2)


def simulated(name: str) -> Known:
    seed, eye = name.split("/")
    head = SimulatedHead(int(seed))
    truth = head.truth(Eye(eye))
    pixels = head.render(head.focus(Eye(eye)), 1.0, 8)
    area_px = 1e6 / truth.cd_per_mm2 / SIMULATED_UM_PER_PX**2
    return Known("simulated", pixels, 8, figures=Figures(area_px, truth.cv_percent, truth.hex_percent))
