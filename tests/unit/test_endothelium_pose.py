"""Turned and mirrored copies of a picture are brought into one pose, and back."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_app.endothelium.pose import Pose, pose_of

COPIES = [(turn, mirror) for turn in range(4) for mirror in (False, True)]


def copy_of(image: np.ndarray, turn: int, mirror: bool) -> np.ndarray:
    return np.rot90(image[:, ::-1] if mirror else image, turn)


@pytest.mark.parametrize("shape", [(30, 40), (31, 40), (33, 33), (1, 9)])
@pytest.mark.parametrize(("turn", "mirror"), COPIES)
def test_every_copy_comes_into_the_same_pose(shape: tuple[int, int], turn: int, mirror: bool) -> None:
    image = np.random.default_rng(3).integers(0, 256, shape).astype(np.float32)
    turned = copy_of(image, turn, mirror)
    assert np.array_equal(pose_of(turned).taken(turned), pose_of(image).taken(image))


@pytest.mark.parametrize("flags", list(product([False, True], repeat=3)))
def test_a_pose_is_undone(flags: tuple[bool, bool, bool]) -> None:
    image = np.arange(12).reshape(3, 4)
    assert np.array_equal(Pose(*flags).undone(Pose(*flags).taken(image)), image)


def test_the_brightest_quarter_comes_first_and_its_brighter_neighbour_beside_it() -> None:
    image = np.kron(np.array([[1.0, 3.0], [2.0, 9.0]]), np.ones((5, 8)))
    posed = pose_of(image).taken(image)
    assert posed[0, 0] == 9
    assert posed[0, -1] == 3
    assert posed[-1, 0] == 2


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(0, 900))
def test_gain_and_offset_keep_the_pose(seed: int, gain: int, offset: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (20, 26))
    assert pose_of(image * gain + offset) == pose_of(image)
