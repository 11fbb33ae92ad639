"""Outlines on a grid of pixels: against areas that are known, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from firmware_app.endothelium.polygons import beside, components, largest_part, polygon_mask

SHAPE = (40, 50)


def mask(*points: tuple[float, float]) -> np.ndarray:
    return polygon_mask(np.array(points), SHAPE)


def test_a_rectangle_holds_the_pixels_whose_centres_are_in_it() -> None:
    inside = np.argwhere(mask((9.5, 4.5), (9.5, 14.5), (19.5, 14.5), (19.5, 4.5)))
    assert (inside.min(axis=0).tolist(), inside.max(axis=0).tolist()) == ([10, 5], [19, 14])
    assert len(inside) == 100


def test_two_polygons_with_a_common_side_share_no_pixel_and_leave_none_out() -> None:
    left = mask((0.0, 0.0), (0.0, 20.0), (30.0, 10.0), (30.0, 0.0))
    right = mask((0.0, 20.0), (0.0, 45.0), (30.0, 45.0), (30.0, 10.0))
    both = mask((0.0, 0.0), (0.0, 45.0), (30.0, 45.0), (30.0, 0.0))
    assert not (left & right).any()
    assert np.array_equal(left | right, both)


def test_a_polygon_may_leave_the_image_and_have_a_dent() -> None:
    assert mask((-9.0, -9.0), (-9.0, 99.0), (99.0, 99.0), (99.0, -9.0)).all()
    dented = mask((5.0, 5.0), (5.0, 35.0), (35.0, 35.0), (20.0, 20.0), (35.0, 5.0))
    assert not dented[30, 20]
    assert dented[30, 8]


def test_rows_that_are_next_to_equal_are_no_trouble() -> None:
    assert mask((0.0, 0.0), (0.0, 1.0), (2.3e-309, 0.0)).sum() <= 1


@pytest.mark.parametrize("line", [((20.5, 10.0), (20.5, 11.0)), ((20.5, 11.0), (20.5, 10.0))])
def test_a_line_divides_the_image_where_it_is_prolonged_to(line: tuple[tuple[float, float], ...]) -> None:
    above = np.zeros(SHAPE, bool)
    above[:21] = True
    side = beside(np.array(line), SHAPE)
    assert np.array_equal(side, above) or np.array_equal(side, ~above)


def test_a_bent_line_divides_along_its_bend() -> None:
    side = beside(np.array([(0.0, 20.5), (20.5, 20.5), (20.5, 49.0)]), SHAPE)
    corner = np.zeros(SHAPE, bool)
    corner[:21, 21:] = True
    assert np.array_equal(side, corner) or np.array_equal(side, ~corner)


@settings(deadline=None, derandomize=True)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_parts_are_those_of_a_flood(picture: np.ndarray) -> None:
    found = components(picture)
    assert np.array_equal(found > 0, picture)
    seen = np.zeros(picture.shape, bool)
    sizes = []
    for start in map(tuple, np.argwhere(picture)):
        if seen[start]:
            continue
        waiting, part = [start], {start}
        while waiting:
            row, column = waiting.pop()
            for step in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                inside = 0 <= step[0] < picture.shape[0] and 0 <= step[1] < picture.shape[1]
                if inside and picture[step] and step not in part:
                    part.add(step)
                    waiting.append(step)
        for each in part:
            seen[each] = True
        assert len({int(found[each]) for each in part}) == 1
        sizes.append(len(part))
    assert int(found.max(initial=0)) == len(sizes)
    assert largest_part(picture).sum() == max(sizes, default=0)
