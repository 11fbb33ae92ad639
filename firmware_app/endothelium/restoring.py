"""The difference of two mosaics of one image as a value, and back: what makes every edit reversible, exactly."""

from __future__ import annotations

import zlib
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.edits import CellNumbers, Masks, Restore
from firmware_app.model import Mosaic

BoolArray = npt.NDArray[np.bool_]
Number = TypeVar("Number", np.float64, np.int32)


def difference(start: Mosaic, goal: Mosaic) -> Restore:
    """What leads from `start` to `goal`, bit by bit: `restored(start, difference(start, goal))` equals `goal`."""
    if start.labels.shape != goal.labels.shape:
        raise ValueError(f"two mosaics of one image: {start.labels.shape} and {goal.labels.shape} are not")
    changed = np.flatnonzero(start.labels.ravel() != goal.labels.ravel())
    return Restore(
        n=goal.n,
        pixels=_runs(changed, goal.labels.ravel()[changed]),
        cells=_cells(start, goal),
        masks=None if _same_masks(start, goal) else Masks(_packed(goal.region), _packed(goal.guttae)),
    )


def restored(mosaic: Mosaic, restore: Restore) -> Mosaic:
    """The mosaic that `difference` was made of; ValueError where `restore` is not of this image."""
    labels = mosaic.labels.copy()
    flat = labels.ravel()
    starts, lengths, values = _unpacked_runs(restore.pixels, flat.size)
    if starts.size and not 0 <= values.min() <= values.max() <= restore.n:
        raise ValueError(f"not an edit of this mosaic: it names cells beyond its {restore.n}")
    ends = np.cumsum(lengths)
    positions = np.repeat(starts - np.concatenate([[0], ends[:-1]]), lengths) + np.arange(ends[-1] if ends.size else 0)
    flat[positions] = np.repeat(values, lengths)
    area, centroid = _resized(mosaic.area_px, restore.n), _resized(mosaic.centroid_px, restore.n)
    sides = _resized(mosaic.sides, restore.n)
    for row in restore.cells:
        if not 1 <= row.cell <= restore.n:
            raise ValueError(f"not an edit of this mosaic: no cell {row.cell} of {restore.n}")
        area[row.cell - 1], sides[row.cell - 1] = row.area_px, row.sides
        centroid[row.cell - 1] = row.row, row.column
    masks = restore.masks
    region = mosaic.region if masks is None else _unpacked(masks.region, labels.shape)
    guttae = mosaic.guttae if masks is None else _unpacked(masks.guttae, labels.shape)
    return Mosaic(labels, area, sides, centroid, region, guttae)


def _runs(positions: npt.NDArray[np.int64], values: npt.NDArray[np.int32]) -> bytes:
    begins = np.ones(positions.size, bool)
    begins[1:] = (np.diff(positions) != 1) | (np.diff(values) != 0)
    first = np.flatnonzero(begins)
    lengths = np.diff(np.append(first, positions.size))
    runs = np.stack([positions[first], lengths, values[first]], axis=1).astype("<i4")
    return zlib.compress(runs.tobytes(), 1)


def _unpacked_runs(data: bytes, pixels: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Starts, lengths, labels: in order, without overlap, on the image."""
    raw = _decompressed(data, 12 * pixels)
    if len(raw) % 12:
        raise ValueError("not an edit of this mosaic: its pixels are not runs of three numbers")
    starts, lengths, values = np.frombuffer(raw, "<i4").reshape(-1, 3).astype(np.int64).T
    begins = np.concatenate([[0], starts + lengths, [pixels]])  # where each run may begin at the earliest
    if (lengths <= 0).any() or (np.concatenate([starts, [pixels]]) < begins[:-1]).any():
        raise ValueError(f"not an edit of this mosaic: its pixels do not fit an image of {pixels}")
    return starts, lengths, values


def _cells(start: Mosaic, goal: Mosaic) -> tuple[CellNumbers, ...]:
    common = min(start.n, goal.n)
    same = np.zeros(goal.n, bool)
    same[:common] = (
        (start.area_px[:common] == goal.area_px[:common])
        & (start.sides[:common] == goal.sides[:common])
        & (start.centroid_px[:common] == goal.centroid_px[:common]).all(axis=1)
    )
    return tuple(
        CellNumbers(
            index + 1,
            float(goal.area_px[index]),
            int(goal.sides[index]),
            float(goal.centroid_px[index, 0]),
            float(goal.centroid_px[index, 1]),
        )
        for index in np.flatnonzero(~same).tolist()
    )


def _resized(array: npt.NDArray[Number], n: int) -> npt.NDArray[Number]:
    made: npt.NDArray[Number] = np.zeros((n, *array.shape[1:]), array.dtype)
    made[: min(n, array.shape[0])] = array[:n]
    return made


def _same_masks(one: Mosaic, other: Mosaic) -> bool:
    return _same(one.region, other.region) and _same(one.guttae, other.guttae)


def _same(one: BoolArray | None, other: BoolArray | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or np.array_equal(one, other)


def _packed(mask: BoolArray | None) -> bytes | None:
    return None if mask is None else zlib.compress(np.packbits(mask).tobytes(), 1)


def _unpacked(data: bytes | None, shape: tuple[int, ...]) -> BoolArray | None:
    if data is None:
        return None
    size = shape[0] * shape[1]
    raw = _decompressed(data, (size + 7) // 8)
    if len(raw) != (size + 7) // 8:
        raise ValueError(f"not an edit of this mosaic: a mask of {8 * len(raw)} pixels, the image has {size}")
    return np.unpackbits(np.frombuffer(raw, np.uint8), count=size).astype(bool).reshape(shape)


def _decompressed(data: bytes, at_most: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(data, at_most + 1)
    except zlib.error as error:
        raise ValueError(f"not an edit of this mosaic: {error}") from error
    if len(raw) > at_most or not stream.eof:
        raise ValueError(f"not an edit of this mosaic: more than {at_most} octets, or cut off")
    return raw
