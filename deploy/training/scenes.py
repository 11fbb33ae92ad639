"""A picture of endothelium with its truth: tissue, how it reflects, what lies over it, optics, light, sensor, file.

Everything is drawn from wide ranges: the network is to read any instrument's pictures, so no instrument is imitated.
Lengths are px of the finished picture; `T` stands for the spacing of the rows of cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from deploy.training.artefacts import (
    Cover,
    burnt_in_marks,
    flash_band,
    frame_and_vignette,
    grow_guttae,
    not_endothelium,
    specks,
    streaks,
    strokes,
)
from deploy.training.sensor import develop
from deploy.training.tissue import Image, Raster, Tissue, lay, smooth_noise

SPACINGS_PX = (13.0, 31.0)
BORDER_SIGMA_PX = 1.3  # of the border's truth
SEEN = 0.85  # structure over noise at which half of the observers would still count the cells
GUESSED = 0.3  # at which they would still guess where the borders run: the network is to guess there too
SEEN_SLOPE = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """`grey` (rows, columns) float32 0..255 as read from a file; the truths are 0..1 float32 of the same shape.

    `weight` says how much an error of `border` and `depth` counts there.
    """

    grey: Image
    border: Image
    depth: Image
    trust: Image
    guttae: Image
    weight: Image


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_scenes(tissues: Sequence[Tissue], rng: np.random.Generator, side_px: int, pictures: int) -> list[Scene]:
    """Several pictures of one piece of tissue: laying it out costs more than taking another picture of it."""
    spacing = log_uniform(rng, *SPACINGS_PX)
    raster = lay(tissues[rng.integers(len(tissues))], rng, side_px, spacing)
    return [picture(raster, rng) for _ in range(pictures)]


def picture(raster: Raster, rng: np.random.Generator) -> Scene:
    side, T = raster.cell.shape[0], raster.spacing_px  # noqa: N806 - T is the field's letter for the spacing
    structure, texture = reflectance(raster, rng)
    nothing = rng.random() < 0.1
    visible = visibility(rng, side, T) if not nothing else np.zeros((side, side), np.float32)
    guttae = grow_guttae(rng, side, T) if rng.random() < 0.33 else Cover.nowhere(side)
    structure, texture = blurred(rng, [structure, texture], T, side)
    other = not_endothelium(rng, side, T, nothing)
    structure *= visible * (1 - guttae.share)
    rest = texture * (1 - guttae.share) + other * (1 - visible) + guttae.light * guttae.share
    rest += streaks(rng, side, T) + specks(rng, side, T)
    contrast = log_uniform(rng, 0.05, 0.3)
    light = illumination(rng, side) * frame_and_vignette(rng, side)
    band = flash_band(rng, side, T)
    level = 1 + contrast * (structure + rest)
    noisy = light * level + band
    noisy, marks = burnt_in_marks(rng, noisy, T)
    signal_change = light * contrast * structure
    grey, seen = develop(rng, noisy, signal_change, light * contrast * rest, T)
    free = (1 - guttae.share) * (1 - marks)
    trust, guessed = (seen_at(least, signal_change, seen, T) * free for least in (SEEN, GUESSED))
    return Scene(
        grey=grey,
        border=np.exp(-((raster.border_px / BORDER_SIGMA_PX) ** 2)).astype(np.float32),
        depth=raster.depth,
        trust=trust.astype(np.float32),
        guttae=guttae.share.astype(np.float32) * (light > 0.03),
        weight=np.clip(0.03 + 0.6 * trust + 0.6 * guessed, 0, 1).astype(np.float32),
    )


def seen_at(least: float, signal_change: Image, noise: Image, T: float) -> Image:  # noqa: N803
    """0..1: how well borders stand out over what else varies at their scale, about a cell around; 0.5 at `least`."""
    window = 0.7 * T
    strength = np.sqrt(gaussian_filter(signal_change**2, window) + 1e-12)
    ratio = strength / (noise + 1e-6)
    seen: Image = 1 / (1 + (ratio / least) ** -SEEN_SLOPE)
    return seen.astype(np.float32)


def reflectance(raster: Raster, rng: np.random.Generator) -> tuple[Image, Image]:
    """What shows the cells, and what only fills them; the first has an SD of about 1."""
    T, d = raster.spacing_px, raster.border_px  # noqa: N806
    side = d.shape[0]
    line = rng.uniform(0.035, 0.11) * T
    faint = np.exp(rng.normal(0, rng.uniform(0, 0.45), 4096)).astype(np.float32)
    faint /= faint.mean()
    strength = faint[raster.side] if rng.random() < 0.85 else np.ones((side, side), np.float32)
    if rng.random() < 0.5:  # borders that fade along their way: what is left of them still says that they are there
        fading = smooth_noise(rng, side, rng.uniform(0.2, 0.7) * T, 1)[..., 0]
        strength = strength * np.clip(1 + rng.uniform(0.2, 0.9) * fading, 0.02, None).astype(np.float32)
    structure = -strength * np.exp(-((d / line) ** 2)) * rng.uniform(0.6, 1.4)
    if rng.random() < 0.5:  # a rim of the other sign inside the border, as beside every edge out of best focus
        rim, width = rng.uniform(1.6, 3.0) * line, rng.uniform(0.8, 1.5) * line
        structure += rng.uniform(-0.25, 0.6) * np.exp(-(((d - rim) / width) ** 2)) * strength
        if rng.random() < 0.4:
            structure -= rng.uniform(0, 0.35) * np.exp(-(((d - 2 * rim) / width) ** 2))
    dome = 1 - np.exp(-d / (rng.uniform(0.08, 0.3) * T))
    structure += rng.uniform(0, 1.0) * dome
    if rng.random() < 0.45:  # relief: light from one side, stronger in some places, as at the edge of the slit
        angle = rng.uniform(0, 2 * np.pi)
        height = gaussian_filter(dome, rng.uniform(0.03, 0.1) * T)
        slope = np.cos(angle) * np.gradient(height, axis=0) + np.sin(angle) * np.gradient(height, axis=1)
        where = np.clip(0.5 + smooth_noise(rng, side, side / 2, 1)[..., 0], 0, 1.5)
        structure += rng.uniform(0.3, 1.5) * 0.25 * T * slope * where
    structure = structure.astype(np.float32)
    structure -= structure.mean()
    structure /= structure.std() + 1e-6
    texture = filling(raster, rng)
    if rng.random() < 0.1:  # hardly anything but the borders, as in drawings, phantoms and long exposures
        texture *= rng.uniform(0, 0.2)
    return structure, texture


def filling(raster: Raster, rng: np.random.Generator) -> Image:
    """Brightness of whole cells, grain, nuclei, rings and dots inside them, in units of the structure's SD."""
    T, side = raster.spacing_px, raster.cell.shape[0]  # noqa: N806
    cells = int(raster.cell.max()) + 1
    out = (rng.normal(0, rng.uniform(0, 0.5), cells))[raster.cell].astype(np.float32)
    grain = smooth_noise(rng, side, log_uniform(rng, 0.04, 0.22) * T, 1)[..., 0]
    out += log_uniform(rng, 0.05, 0.9) * grain.astype(np.float32)
    if rng.random() < 0.5:
        deep = raster.depth
        kind = rng.random(cells)[raster.cell]
        share = rng.choice([0.03, 0.1, 0.4])
        size, sign = rng.uniform(0.15, 0.5), rng.choice([-1.0, 1.0])
        mark = np.exp(-(((1 - deep) / size) ** 2)) if rng.random() < 0.6 else np.exp(-(((deep - 0.5) / 0.15) ** 2))
        out += (kind < share) * sign * rng.uniform(0.5, 2.0) * mark
    if rng.random() < 0.5:  # mottled by what lies above and below
        length = log_uniform(rng, 0.25, 1.0) * T
        out += rng.uniform(0, 0.5) * smooth_noise(rng, side, length, 1)[..., 0].astype(np.float32)
    if rng.random() < 0.3:
        out += strokes(rng, side, T)
    if rng.random() < 0.2:
        out += ripples(raster, rng)
    if rng.random() < 0.35:  # granules
        dots = (rng.random((side, side)) < rng.uniform(0.1, 0.6) / T**2).astype(np.float32)
        spot = gaussian_filter(dots, rng.uniform(0.05, 0.1) * T)
        out += rng.choice([-1.0, 1.0, 1.0]) * rng.uniform(1, 4) * spot / (spot.max() + 1e-6)
    return out.astype(np.float32)


def ripples(raster: Raster, rng: np.random.Generator) -> Image:
    """Fringes across some cells: interference, or the lines of a scan that a moving eye has sheared."""
    T, side = raster.spacing_px, raster.cell.shape[0]  # noqa: N806
    rows, columns = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    angle = rng.uniform(0, np.pi) if rng.random() < 0.5 else rng.choice([0.0, np.pi / 2])
    along = np.cos(angle) * rows + np.sin(angle) * columns
    cells = int(raster.cell.max()) + 1
    start = rng.uniform(0, 2 * np.pi, cells)[raster.cell]
    where = np.clip(smooth_noise(rng, side, rng.uniform(0.4, 1.5) * T, 1)[..., 0] - rng.uniform(-0.5, 1), 0, 1.5)
    fringes = np.sin(along * 2 * np.pi / (rng.uniform(0.09, 0.3) * T) + start)
    out: Image = (rng.uniform(0.2, 1.2) * where * fringes).astype(np.float32)
    return out


def visibility(rng: np.random.Generator, side: int, T: float) -> Image:  # noqa: N803
    """0..1: in how far the endothelium is seen at all; haze and folds hide it in places."""
    if rng.random() < 0.35:
        return np.ones((side, side), np.float32)
    noise = smooth_noise(rng, side, rng.uniform(1.5, 6) * T, 1)[..., 0] + rng.uniform(-0.4, 2.0)
    return (1 / (1 + np.exp(-rng.uniform(2, 6) * noise))).astype(np.float32)


def blurred(rng: np.random.Generator, layers: list[Image], T: float, side: int) -> list[Image]:  # noqa: N803
    """The optics: in focus here, less so there; now and then the eye moved during the exposure."""
    near = log_uniform(rng, 0.015, 0.11) * T
    far = near + rng.uniform(0, 0.16) * T
    share = np.clip(0.5 + smooth_noise(rng, side, rng.uniform(3, 9) * T, 1)[..., 0], 0, 1).astype(np.float32)
    smear = np.zeros(2)
    smear[rng.integers(2)] = rng.uniform(0.05, 0.16) * T * (rng.random() < 0.2)

    def through(layer: Image) -> Image:
        sharp = gaussian_filter(layer, np.hypot(near, smear))
        soft = gaussian_filter(layer, np.hypot(far, smear))
        mixed: Image = sharp + share * (soft - sharp)
        return mixed

    return [through(layer) for layer in layers]


def illumination(rng: np.random.Generator, side: int) -> Image:
    """Light on the tissue: a slope, and something slow and uneven, over a factor of up to about ten."""
    rows, columns = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    angle = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, 1.1) * (np.cos(angle) * rows + np.sin(angle) * columns)
    uneven = rng.uniform(0, 0.35) * smooth_noise(rng, side, rng.uniform(0.15, 0.6) * side, 1)[..., 0]
    light: Image = (log_uniform(rng, 0.1, 0.75) * np.exp(slope + uneven)).astype(np.float32)
    return light
