"""Words typed behind `edit` and `method` -> the change they mean. Pure; `ValueError` says what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from firmware_app.endothelium.edits import (
    Add,
    Change,
    CountDots,
    CountFrame,
    Merge,
    MoveBorder,
    Point,
    Remove,
    SetRegion,
    Split,
)
from firmware_app.endothelium.fixed_frame import CountingFrame


def typed_edit(action: str, values: Sequence[float]) -> Change:
    """`action` is one of `EDITS`."""
    return _MAKERS[action][1](values)


def typed_frame(values: Sequence[float]) -> CountFrame:
    if len(values) != 4:
        raise ValueError("frame: TOP LEFT HEIGHT WIDTH in px are expected")
    top, left, height, width = (_whole(value, "frame") for value in values)
    return CountFrame(CountingFrame(top, left, height, width))


def typed_dots(method: Literal["centre", "flex-centre"], values: Sequence[float]) -> CountDots:
    return CountDots(method, _points(values, method, 1))


def _points(values: Sequence[float], action: str, at_least: int) -> tuple[Point, ...]:
    if len(values) % 2 or len(values) < 2 * at_least:
        raise ValueError(f"{action}: {_usage(action)} is expected, a row and a column of at least {at_least} points")
    return tuple((values[index], values[index + 1]) for index in range(0, len(values), 2))


def _whole(value: float, action: str) -> int:
    if value != int(value):
        raise ValueError(f"{action}: {value:g} is not a whole number")
    return int(value)


def _cells(values: Sequence[float], action: str, at_least: int) -> tuple[int, ...]:
    if len(values) < at_least:
        raise ValueError(f"{action}: {_usage(action)} is expected")
    return tuple(_whole(value, action) for value in values)


def _usage(action: str) -> str:
    return _MAKERS[action][0] if action in _MAKERS else "R1 C1 R2 C2 ..."


def _remove(values: Sequence[float]) -> Change:
    return Remove(_cells(values, "remove", 1))


def _merge(values: Sequence[float]) -> Change:
    return Merge(_cells(values, "merge", 2))


def _split(values: Sequence[float]) -> Change:
    (cell,) = _cells(values[:1], "split", 1)
    return Split(cell, _points(values[1:], "split", 2))


def _border(values: Sequence[float]) -> Change:
    first, second = _cells(values[:2], "border", 2)
    return MoveBorder(first, second, _points(values[2:], "border", 2))


def _add(values: Sequence[float]) -> Change:
    return Add(_points(values, "add", 3))


def _fill(values: Sequence[float]) -> Change:
    (seed,) = _points(values[:2], "fill", 1)
    return Add(_points(values[2:], "fill", 3) if len(values) > 2 else (), seed)


def _region(values: Sequence[float]) -> Change:
    return SetRegion(_points(values, "region", 3))


_MAKERS: dict[str, tuple[str, Callable[[Sequence[float]], Change]]] = {
    "remove": ("remove CELL...", _remove),
    "merge": ("merge CELL CELL...", _merge),
    "split": ("split CELL R1 C1 R2 C2 ...", _split),
    "border": ("border CELL CELL R1 C1 R2 C2 ...", _border),
    "add": ("add R1 C1 R2 C2 R3 C3 ...", _add),
    "fill": ("fill R C [R1 C1 R2 C2 R3 C3 ...]", _fill),
    "region": ("region R1 C1 R2 C2 R3 C3 ...", _region),
}
EDITS = tuple(_MAKERS)
EDIT_USAGES = tuple(usage for usage, _ in _MAKERS.values())
