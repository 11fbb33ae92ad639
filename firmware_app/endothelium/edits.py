"""What a person can do to a mosaic, as values: frozen, and msgspec writes and reads them (the `type` tells them apart).

Cells are named by their ids, 1..n; points are (row, column) in px.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from firmware_app.endothelium.fixed_frame import CountingFrame

Point = tuple[float, float]


class Remove(msgspec.Struct, frozen=True, tag="remove"):
    """These cells are none, or not to be counted."""

    cells: tuple[int, ...]


class Add(msgspec.Struct, frozen=True, tag="add"):
    """A cell where there was none: the free pixels inside `outline`, or those that can be reached from `seed`.

    Neighbours lose nothing: where the outline laps over them it is cut back. With both, the outline bounds the flood;
    with a seed alone, the neighbours do.
    """

    outline: tuple[Point, ...] = ()
    seed: Point | None = None


class Merge(msgspec.Struct, frozen=True, tag="merge"):
    """These cells are one: the border between them was none."""

    cells: tuple[int, ...]


class Split(msgspec.Struct, frozen=True, tag="split"):
    """This cell is two, divided by `line`, which is prolonged straight at both ends."""

    cell: int
    line: tuple[Point, ...]


class MoveBorder(msgspec.Struct, frozen=True, tag="border"):
    """The border between these two cells runs along `line`, prolonged straight at both ends."""

    first: int
    second: int
    line: tuple[Point, ...]


class SetRegion(msgspec.Struct, frozen=True, tag="region"):
    """Only what lies inside `outline` is judged: cells that are not at least 75 % inside no longer count."""

    outline: tuple[Point, ...]


class CellNumbers(msgspec.Struct, frozen=True, array_like=True):
    """One row of a mosaic's arrays."""

    cell: int
    area_px: float
    sides: int
    row: float
    column: float


class Masks(msgspec.Struct, frozen=True):
    """Region and guttae, each as its packed bits, compressed; None where there is none."""

    region: bytes | None
    guttae: bytes | None


class Restore(msgspec.Struct, frozen=True, tag="restore"):
    """What was different in another mosaic of the same image: any edit's inverse.

    `pixels` are runs (start, length, label) of the flattened label image, int32, compressed; `masks` is None where
    region and guttae were the same.
    """

    n: int
    pixels: bytes
    cells: tuple[CellNumbers, ...]
    masks: Masks | None = None


class CountDots(msgspec.Struct, frozen=True, tag="dots"):
    """The cells are counted anew from these dots."""

    method: Literal["centre", "flex-centre"]
    dots: tuple[Point, ...]


class CountFrame(msgspec.Struct, frozen=True, tag="frame"):
    """The cells in this rectangle are counted."""

    frame: CountingFrame


Edit = Remove | Add | Merge | Split | MoveBorder | SetRegion | Restore
Change = Edit | CountDots | CountFrame


def change_words(change: Change) -> str:
    """What was done, for people."""
    match change:
        case Remove(cells=(cell,)):
            return f"cell {cell} removed"
        case Remove(cells=cells):
            return f"cells {_listed(cells)} removed"
        case Merge(cells=cells):
            return f"cells {_listed(cells)} merged"
        case Split(cell=cell):
            return f"cell {cell} split"
        case MoveBorder(first=first, second=second):
            return f"border between cells {first} and {second} moved"
        case Add():
            return "cell added"
        case SetRegion():
            return "region set"
        case Restore():
            return "restored"
        case CountDots(method=method, dots=dots):
            return f"counted by {method} from {len(dots)} dots"
        case CountFrame(frame=frame):
            at = f"row {frame.top}, column {frame.left}"
            return f"counted in a frame of {frame.height} rows and {frame.width} columns at {at}"


def _listed(cells: tuple[int, ...]) -> str:
    return ", ".join(str(cell) for cell in cells)
