"""Pictures at another size keep their field, their brightness and their symmetry, and do not alias."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_app.endothelium.resample import kernel_matrix, resized


@pytest.mark.parametrize("sizes", [(50, 20), (20, 50), (37, 36), (64, 64), (5, 1), (1, 5)])
def test_every_new_pixel_is_a_mean_of_old_ones(sizes: tuple[int, int]) -> None:
    matrix = kernel_matrix(*sizes)
    assert matrix.shape == sizes[::-1]
    assert matrix.sum(axis=1) == pytest.approx(np.ones(sizes[1]), abs=1e-5)
    assert matrix == pytest.approx(matrix[::-1, ::-1], abs=1e-6)


@pytest.mark.parametrize("shape", [(30, 80), (75, 41)])
def test_a_slope_stays_where_it_was(shape: tuple[int, int]) -> None:
    rows, columns = np.meshgrid((np.arange(60) + 0.5) / 60, (np.arange(50) + 0.5) / 50, indexing="ij")
    out = resized((rows + 2 * columns).astype(np.float32), shape)
    new_rows, new_columns = np.meshgrid(
        (np.arange(shape[0]) + 0.5) / shape[0], (np.arange(shape[1]) + 0.5) / shape[1], indexing="ij"
    )
    inner = (slice(6, -6), slice(6, -6))
    assert out[inner] == pytest.approx((new_rows + 2 * new_columns)[inner], abs=0.01)


def test_stripes_too_fine_for_the_new_size_become_grey() -> None:
    stripes = np.tile(np.array([0, 100], np.float32), (40, 50))
    assert resized(stripes, (40, 30))[:, 3:-3] == pytest.approx(np.full((40, 24), 50.0), abs=4)


def test_the_same_size_is_the_same_picture() -> None:
    image = np.ones((4, 5), np.float32)
    assert resized(image, (4, 5)) is image
