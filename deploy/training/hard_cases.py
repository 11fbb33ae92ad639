"""Rendered pictures of the hard kinds, measured and drawn for the documentation.

    python -m deploy.training.hard_cases --folder FOLDER

writes deploy/training/hard_cases/*.jpg: the first picture of each kind that the generator draws, not the best one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from deploy.training.scenes import Scene, picture
from deploy.training.tissue import Raster, lay, load_tissues
from firmware_app.endothelium.measure import measure
from firmware_app.report.review import draw_review

OUT = Path("deploy/training/hard_cases")
SIDE_PX = 400
SHOWN_COLUMNS = 300  # an upright picture has its cells beside it, not below
SEED = 5
PICTURES_MAX = 4000


def spread(raster: Raster) -> float:
    """CV of the pixels of each cell, cells at the edge included."""
    area = np.bincount(raster.cell.ravel())
    area = area[area > 0]
    return float(area.std() / area.mean())


def blinded(scene: Scene) -> float:
    return float(np.mean(scene.grey > 210))


CASES: dict[str, Callable[[Scene, Raster], bool]] = {
    "guttae": lambda scene, _: 0.12 < scene.guttae.mean() < 0.3 and scene.trust.mean() > 0.55,
    "flash_band": lambda scene, _: 0.2 < blinded(scene) < 0.4 and scene.trust.mean() > 0.45,
    "haze": lambda scene, _: 0.4 < scene.trust.mean() < 0.6 and blinded(scene) < 0.01 and scene.guttae.max() < 0.1,
    "polymegathous": lambda scene, raster: spread(raster) > 0.6 and scene.trust.mean() > 0.9,
    "dark": lambda scene, _: np.percentile(scene.grey, 90) < 50 and scene.trust.mean() > 0.6,
    "nothing_to_count": lambda scene, _: scene.trust.mean() < 0.02 and blinded(scene) > 0.2,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the training keeps its mosaics")
    arguments = parser.parse_args()
    tissues = load_tissues(320, arguments.folder / "tissues.npz", 2)
    rng = np.random.default_rng(SEED)
    OUT.mkdir(exist_ok=True)
    missing = dict(CASES)
    for _ in range(PICTURES_MAX):
        raster = lay(tissues[rng.integers(len(tissues))], rng, SIDE_PX, float(rng.uniform(16, 30)))
        scene = picture(raster, rng)
        kind = next((name for name, fits in missing.items() if fits(scene, raster)), None)
        if kind is not None:
            del missing[kind]
            pixels = np.rint(scene.grey).clip(0, 255).astype(np.uint8)[:, :SHOWN_COLUMNS]
            sheet = draw_review(pixels, 8, measure(pixels, 8), f"rendered: {kind.replace('_', ' ')}", None)
            Picture.fromarray(sheet).save(OUT / f"{kind}.jpg", quality=85)
        if not missing:
            return 0
    raise SystemExit(f"no picture of these kinds among {PICTURES_MAX}: {', '.join(missing)}")


if __name__ == "__main__":
    raise SystemExit(main())
