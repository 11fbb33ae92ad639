"""What is typed behind `edit` and `method`."""

from __future__ import annotations

import pytest

from firmware_app.endothelium.edits import (
    Add,
    Change,
    CountDots,
    CountFrame,
    Merge,
    MoveBorder,
    Remove,
    SetRegion,
    Split,
)
from firmware_app.endothelium.fixed_frame import CountingFrame
from firmware_app.services.editing_words import EDITS, typed_dots, typed_edit, typed_frame

TYPED = [
    ("remove 12", Remove((12,))),
    ("remove 12 13", Remove((12, 13))),
    ("merge 3 4", Merge((3, 4))),
    ("split 5 1 2 3 4.5", Split(5, ((1.0, 2.0), (3.0, 4.5)))),
    ("border 3 4 1 2 3 4 5 6", MoveBorder(3, 4, ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)))),
    ("add 1 2 3 4 5 6", Add(((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)))),
    ("fill 1 2", Add((), (1.0, 2.0))),
    ("fill 1 2 3 4 5 6 7 8", Add(((3.0, 4.0), (5.0, 6.0), (7.0, 8.0)), (1.0, 2.0))),
    ("region 1 2 3 4 5 6", SetRegion(((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)))),
]


def typed(line: str) -> Change:
    action, *values = line.split()
    return typed_edit(action, [float(value) for value in values])


@pytest.mark.parametrize(("line", "change"), TYPED)
def test_every_edit_can_be_typed(line: str, change: Change) -> None:
    assert typed(line) == change


def test_every_action_is_tried_here() -> None:
    assert {line.split()[0] for line, _ in TYPED} == set(EDITS)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("remove", r"remove: remove CELL\.\.\. is expected"),
        ("remove 1.5", "remove: 1.5 is not a whole number"),
        ("merge 3", "merge CELL CELL"),
        ("split", "split CELL"),
        ("split 5 1 2", "at least 2 points"),
        ("split 5 1 2 3", "at least 2 points"),
        ("border 3 1 2 3 4", "at least 2 points"),
        ("add 1 2 3 4", "at least 3 points"),
        ("fill 1", "fill R C"),
        ("fill 1 2 3 4", "at least 3 points"),
        ("region", "at least 3 points"),
    ],
)
def test_what_is_missing_is_told_with_the_usage(line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        typed(line)


def test_frames_and_dots() -> None:
    assert typed_frame([1, 2, 30, 40]) == CountFrame(CountingFrame(1, 2, 30, 40))
    assert typed_dots("flex-centre", [1, 2, 3.5, 4]) == CountDots("flex-centre", ((1, 2), (3.5, 4)))
    for wrong in ([1, 2, 3], [1, 2, 3, 4.5]):
        with pytest.raises(ValueError, match="frame:"):
            typed_frame(wrong)
    with pytest.raises(ValueError, match="centre: R1 C1 R2 C2"):
        typed_dots("centre", [1, 2, 3])
