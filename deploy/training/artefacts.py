"""What lies over the cells or beside them: guttae, streaks, flecks, flash band, black frame, marks, other tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw
from scipy.ndimage import gaussian_filter

from deploy.training.tissue import Image, smooth_noise


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """`share` 0..1 of each pixel that is covered; the `light` of what covers it, in units of the cells' contrast."""

    share: Image
    light: Image

    @staticmethod
    def nowhere(side: int) -> Cover:
        return Cover(np.zeros((side, side), np.float32), np.zeros((side, side), np.float32))


def grow_guttae(rng: np.random.Generator, side: int, T: float) -> Cover:  # noqa: N803
    """Dark warts of half a cell to several cells, single or grown together, some with a bright point on top."""
    rows, columns = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    ragged = smooth_noise(rng, side, rng.uniform(0.25, 0.7) * T, 1)[..., 0] * rng.uniform(0.05, 0.3) * T
    inside = np.full((side, side), -np.inf, np.float32)
    light = np.full((side, side), -rng.uniform(1.6, 4.5), np.float32)
    light += rng.uniform(0, 0.6) * smooth_noise(rng, side, rng.uniform(0.1, 0.3) * T, 1)[..., 0].astype(np.float32)
    number = int(rng.integers(1, 4)) if rng.random() < 0.6 else int(rng.integers(4, 16))
    peaks = rng.random() < 0.3
    for _ in range(number):
        row, column = rng.uniform(-0.05, 1.05, 2) * side
        radius = T * float(np.exp(rng.uniform(np.log(0.45), np.log(2.6))))
        squeeze = rng.uniform(0.8, 1.25)
        away = np.hypot((rows - row) * squeeze, (columns - column) / squeeze)
        inside = np.maximum(inside, radius - away)
        if peaks:
            light += rng.uniform(2, 7) * np.exp(-((away / (rng.uniform(0.1, 0.3) * T)) ** 2)).astype(np.float32)
    soft = rng.uniform(0.05, 0.18) * T
    share = 1 / (1 + np.exp(-(inside + ragged) / soft))
    return Cover((share * rng.uniform(0.8, 1.0)).astype(np.float32), light)


def not_endothelium(rng: np.random.Generator, side: int, T: float, alone: bool) -> Image:  # noqa: N803
    """What is seen where no endothelium is: nothing, clouds, cell-sized grain, fibres, bright flecks.

    In units of the cells' contrast. Where it is `alone` it is never empty for long: it must be told from cells.
    """
    out = np.zeros((side, side), np.float32)
    if rng.random() < (0.9 if alone else 0.5):
        length = float(np.exp(rng.uniform(np.log(0.12), np.log(1.2)))) * T
        out += rng.uniform(0.2, 1.3) * smooth_noise(rng, side, length, 1)[..., 0].astype(np.float32)
    if rng.random() < 0.25:
        across = gaussian_filter(
            rng.standard_normal((side, side)), (rng.uniform(0.6, 2) * T, rng.uniform(0.1, 0.3) * T)
        )
        across /= across.std()
        out += rng.uniform(0.2, 1.0) * (across if rng.random() < 0.5 else across.T).astype(np.float32)
    if rng.random() < (0.5 if alone else 0.2):
        dots = (rng.random((side, side)) < rng.uniform(0.2, 2.0) / T**2).astype(np.float32)
        spot = gaussian_filter(dots, (rng.uniform(0.06, 0.3) * T, rng.uniform(0.06, 0.3) * T))
        out += rng.uniform(1, 5) * spot / (spot.max() + 1e-6)
    return out


def streaks(rng: np.random.Generator, side: int, T: float) -> Image:  # noqa: N803
    """Folds, scratches and the stripes of a slit: long and thin, along one axis, dark or bright."""
    out = np.zeros((side, side), np.float32)
    if rng.random() < 0.2:
        profile = gaussian_filter(rng.standard_normal(side), rng.uniform(0.05, 0.6) * T)
        profile *= rng.uniform(0.1, 0.8) / (profile.std() + 1e-9)
        wander = 1 + 0.5 * smooth_noise(rng, side, side / 3, 1)[..., 0]
        out += (profile[None, :] * wander).astype(np.float32)
    if rng.random() < 0.12:  # a sensor read line by line
        out += (rng.uniform(0.05, 0.5) * rng.standard_normal(side)[None, :]).astype(np.float32)
    return out if rng.random() < 0.5 else out.T


def strokes(rng: np.random.Generator, side: int, T: float) -> Image:  # noqa: N803
    """Short lines that look like pieces of borders and are none: folds of the membrane, edges of organelles."""
    out = np.zeros((side, side), np.float32)
    rows, columns = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    for _ in range(int(rng.uniform(0.02, 0.2) * (side / T) ** 2)):
        row, column = rng.uniform(0, side, 2)
        angle, half, wide = rng.uniform(0, np.pi), rng.uniform(0.1, 0.4) * T, rng.uniform(0.03, 0.09) * T
        reach = int(half + 4 * wide) + 2
        box = (
            slice(max(0, int(row) - reach), int(row) + reach + 1),
            slice(max(0, int(column) - reach), int(column) + reach + 1),
        )
        dr, dc = rows[box] - row, columns[box] - column
        along, across = dr * np.cos(angle) + dc * np.sin(angle), dc * np.cos(angle) - dr * np.sin(angle)
        bent = across + rng.uniform(-0.3, 0.3) * along**2 / half
        beyond = np.maximum(np.abs(along) - half, 0)
        out[box] += rng.choice([-1.5, -1.0, 1.0]) * rng.uniform(0.3, 1.5) * np.exp(-(bent**2 + beyond**2) / wide**2)
    return out


def specks(rng: np.random.Generator, side: int, T: float) -> Image:  # noqa: N803
    """A few bright deposits or dark debris, anywhere."""
    out = np.zeros((side, side), np.float32)
    if rng.random() < 0.3:
        rows, columns = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
        for _ in range(int(rng.integers(1, 9))):
            row, column = rng.uniform(0, side, 2)
            tall, wide = rng.uniform(0.05, 0.35, 2) * T
            spot = np.exp(-(((rows - row) / tall) ** 2) - ((columns - column) / wide) ** 2)
            out += rng.choice([-3.0, 3.0, 8.0]) * rng.uniform(0.3, 1.0) * spot.astype(np.float32)
    return out


def flash_band(rng: np.random.Generator, side: int, T: float) -> Image:  # noqa: N803
    """The epithelium's reflex along one side: blinding, with a ragged edge and a glow beyond it. Light to be added."""
    if rng.random() > 0.22:
        return np.zeros((side, side), np.float32)
    edge = rng.uniform(-0.1, 0.6) * side
    wander = rng.uniform(0.2, 0.9) * T * smooth_noise(rng, side, rng.uniform(0.5, 3) * T, 1)[..., 0][:, :1]
    beyond = np.arange(side)[None, :] - edge - wander
    band = 1.2 / (1 + np.exp(np.clip(beyond / (rng.uniform(0.03, 0.4) * T), -40, 40)))
    glow = rng.uniform(0, 0.4) * np.exp(-np.maximum(beyond, 0) / (rng.uniform(1, 4) * T))
    return np.rot90((band + glow).astype(np.float32), int(rng.integers(4)))


def frame_and_vignette(rng: np.random.Generator, side: int) -> Image:
    """1 inside, 0 in a black frame along one or more sides, falling off slowly or at once."""
    out = np.ones((side, side), np.float32)
    if rng.random() < 0.25:
        for turn in range(4):
            if rng.random() < 0.4:
                edge, soft = rng.uniform(0, 0.2) * side, float(np.exp(rng.uniform(np.log(0.3), np.log(10))))
                ramp = 1 / (1 + np.exp(-np.clip((np.arange(side) - edge) / soft, -40, 40)))
                out *= np.rot90(np.tile(ramp.astype(np.float32), (side, 1)), turn)
    if rng.random() < 0.05:
        axis = np.linspace(-1, 1, side)
        away = np.hypot(axis[:, None] - rng.uniform(-0.6, 0.6), axis[None, :] - rng.uniform(-0.6, 0.6))
        out *= (away < rng.uniform(0.8, 1.3)).astype(np.float32)
    return out


def burnt_in_marks(rng: np.random.Generator, image: Image, T: float) -> tuple[Image, Image]:  # noqa: N803
    """Arrows, letters and frames drawn into the picture, and where they are (0 or 1)."""
    side = image.shape[0]
    if rng.random() > 0.12:
        return image, np.zeros((side, side), np.float32)
    canvas = Picture.new("L", (side, side))
    draw = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(1, 4))):
        x, y = (float(v) for v in rng.uniform(0, side, 2))
        size = rng.uniform(0.4, 1.5) * T
        kind = rng.integers(4)
        if kind == 0:
            draw.polygon(
                [(x, y), (x + size / 2, y + size / 2), (x + size / 5, y + size), (x - size / 2, y + size / 2)], 255
            )
        elif kind == 1:
            draw.text((x, y), rng.choice(list("abcLRC+x189")), 255, font_size=size)
        elif kind == 2:
            draw.line(
                [(x, y), (x + rng.uniform(-3, 3) * size, y + rng.uniform(-3, 3) * size)], 255, width=1 + int(size > 12)
            )
        else:
            draw.rectangle([(x, y), (x + 2 * size, y + size)], outline=255, fill=None if rng.random() < 0.5 else 255)
    mask = np.asarray(canvas, np.float32) / 255
    return np.where(mask > 0.3, rng.choice([0.0, 0.9, 1.0]), image).astype(np.float32), mask
