"""Edits of a mosaic: what each does, that its inverse leads back to the last bit, and that the numbers are right."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mosaic_samples import SIDE_MIN_PX, same, seen

from firmware_app.endothelium.editing import CELL_MIN_PX, ImpossibleEdit, apply, cells_inside
from firmware_app.endothelium.edits import Add, Edit, Merge, MoveBorder, Remove, Restore, SetRegion, Split
from firmware_app.endothelium.history import no_cells
from firmware_app.endothelium.mosaic import build_mosaic
from firmware_app.endothelium.restoring import difference, restored
from firmware_app.model import Mosaic


def small() -> Mosaic:
    return seen(150, 180)


def blocks() -> Mosaic:
    """4 x 5 cells of 10 x 10 px from row and column 10 on."""
    labels = np.zeros((60, 70), np.int32)
    labels[10:50, 10:60] = np.repeat(np.repeat(np.arange(1, 21).reshape(4, 5), 10, axis=0), 10, axis=1)
    return build_mosaic(labels, np.append(False, np.ones(20, bool)), SIDE_MIN_PX)


def neighbours(mosaic: Mosaic, cell: int) -> list[int]:
    right, below = mosaic.labels[:, 1:], mosaic.labels[1:]
    touching = {
        *right[mosaic.labels[:, :-1] == cell].tolist(),
        *mosaic.labels[:, :-1][right == cell].tolist(),
        *below[mosaic.labels[:-1] == cell].tolist(),
        *mosaic.labels[:-1][below == cell].tolist(),
    }
    return sorted(touching - {0, cell})


def check_numbers(mosaic: Mosaic) -> None:
    """As if it had been measured from its pixels at once."""
    whole = build_mosaic(mosaic.labels, np.append(False, np.ones(mosaic.n, bool)), SIDE_MIN_PX)
    assert same(replace(mosaic, region=None, guttae=None), whole)


def done(mosaic: Mosaic, edit: Edit) -> Mosaic:
    """Applied, with everything that holds of any edit checked on the way."""
    before = mosaic.labels.copy()
    edited, inverse = apply(mosaic, edit)
    assert np.array_equal(mosaic.labels, before)  # a value, not a place
    check_numbers(edited)
    back, again = apply(edited, inverse)
    assert same(back, mosaic)
    assert same(apply(back, again)[0], edited)
    assert msgspec.json.decode(msgspec.json.encode(edit), type=Edit) == edit
    assert msgspec.json.decode(msgspec.json.encode(inverse), type=Edit) == inverse
    return edited


# ------------------------------------------------------------------------------------------- each edit


def test_removed_cells_are_gone_and_their_neighbours_have_no_ring() -> None:
    edited = done(blocks(), Remove((7,)))
    assert edited.n == 19
    assert not edited.labels[20:30, 20:30].any()
    assert edited.sides[edited.labels[25, 35] - 1] == 0
    assert edited.labels[45, 55] == 7  # the last cell has taken the free number, all others keep theirs
    assert np.array_equal(edited.labels == 19, blocks().labels == 19)
    two = done(blocks(), Remove((7, 9)))
    assert (two.labels[45, 55], two.labels[45, 45]) == (7, 9)  # the highest to the lowest
    assert done(blocks(), Remove(tuple(range(1, 21)))).n == 0


def test_merged_cells_are_one_with_the_lowest_number() -> None:
    edited = done(blocks(), Merge((8, 13, 7)))
    assert edited.n == 18
    assert set(np.unique(edited.labels[blocks().labels == 13])) == {7}
    assert edited.area_px[6] == 300
    assert edited.centroid_px[6].tolist() == pytest.approx([(24.5 + 24.5 + 34.5) / 3, (24.5 + 34.5 + 34.5) / 3])


def test_a_split_cell_keeps_its_number_on_the_larger_side() -> None:
    edited = done(blocks(), Split(7, ((22.5, 15.0), (22.5, 16.0))))  # prolonged through the cell
    assert edited.n == 21
    assert (edited.area_px[6], edited.area_px[20]) == (70, 30)
    assert set(edited.labels[20:23, 20:30].ravel()) == {21}
    bent = done(blocks(), Split(7, ((19.0, 24.5), (24.5, 24.5), (24.5, 31.0))))
    assert sorted(bent.area_px[[6, 20]].tolist()) == [25, 75]


def test_a_moved_border_leaves_both_cells_their_numbers() -> None:
    edited = done(blocks(), MoveBorder(8, 7, ((20.0, 26.5), (30.0, 26.5))))
    assert (edited.area_px[6], edited.area_px[7]) == (70, 130)
    slanted = done(blocks(), MoveBorder(7, 8, ((20.0, 27.0), (29.0, 32.0))))
    assert slanted.area_px[6] + slanted.area_px[7] == 200
    assert slanted.n == 20


def test_a_line_that_comes_and_goes_leaves_each_side_in_one_piece() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[5:35, 5:15] = labels[5:35, 25:35] = labels[25:35, 5:35] = 1  # a U
    mosaic = build_mosaic(labels, np.array([False, True]), SIDE_MIN_PX)
    edited = done(mosaic, Split(1, ((10.5, 0.0), (10.5, 39.0))))
    assert edited.n == 2
    assert sorted(edited.area_px.tolist()) == [60, 640]  # one arm is cut off, the other stays with the rest


def test_a_new_cell_takes_only_what_nobody_has() -> None:
    gap = done(blocks(), Remove((7,)))
    wide: tuple[tuple[float, float], ...] = ((17.0, 17.0), (17.0, 33.0), (33.0, 33.0), (33.0, 17.0))
    edited = done(gap, Add(wide))
    assert edited.n == 20
    assert set(np.unique(edited.labels[20:30, 20:30])) == {20}
    assert edited.area_px[19] == 100
    assert same(done(gap, Add(seed=(25.0, 25.0))), edited)
    assert same(done(gap, Add(wide, (21.0, 28.0))), edited)


def test_an_outline_bounds_a_flood() -> None:
    narrow = ((24.5, 19.0), (24.5, 31.0), (31.0, 31.0), (31.0, 19.0))
    edited = done(done(blocks(), Remove((7,))), Add(narrow, (28.0, 28.0)))
    assert edited.area_px[-1] == 50
    assert not edited.labels[20:25, 20:30].any()


def test_cells_can_be_drawn_where_none_were_found() -> None:
    outline = ((10.0, 10.0), (10.0, 22.0), (20.0, 25.0), (22.0, 9.0))
    mosaic = done(no_cells((60, 70)), Add(outline))
    assert mosaic.n == 1
    assert mosaic.sides.tolist() == [0]
    assert mosaic.area_px[0] == pytest.approx(157, abs=12)


def test_cells_that_are_not_three_quarters_inside_the_region_do_not_count() -> None:
    edited = done(blocks(), SetRegion(((0.0, 0.0), (0.0, 38.0), (59.0, 38.0), (59.0, 0.0))))
    assert edited.n == 12  # eight of ten pixel columns of the third column of cells
    assert edited.region is not None
    assert edited.region.sum() == 59 * 38
    fewer = done(blocks(), SetRegion(((0.0, 0.0), (0.0, 37.0), (59.0, 37.0), (59.0, 0.0))))
    assert fewer.n == 8  # seven of ten are not enough
    assert cells_inside(blocks().labels, 20, np.ones((60, 70), bool)).all()


def test_region_and_guttae_follow_what_is_drawn() -> None:
    region, guttae = np.ones((60, 70), bool), np.zeros((60, 70), bool)
    guttae[30:40] = True
    looked = replace(done(blocks(), Remove((7, 12))), region=region & ~guttae, guttae=guttae)
    set_anew = done(looked, SetRegion(((0.0, 0.0), (0.0, 40.0), (59.0, 40.0), (59.0, 0.0))))
    assert set_anew.region is not None
    assert set_anew.guttae is not None
    assert set_anew.guttae.sum() == 10 * 40
    assert not (set_anew.region & set_anew.guttae).any()
    added = done(looked, Add(((30.0, 20.0), (30.0, 30.0), (40.0, 30.0), (40.0, 20.0))))
    assert added.region is not None
    assert added.guttae is not None
    assert added.region[35, 25]
    assert not added.guttae[35, 25]


# ------------------------------------------------------------------------------------------- what cannot be


LINE = ((22.0, 15.0), (22.0, 35.0))


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (Remove((21,)), "there is no cell 21: the mosaic has 20"),
        (Remove((0,)), "there is no cell 0"),
        (Remove(()), "at least 1 different"),
        (Merge((3, 3)), "at least 2 different cells"),
        (Merge((1, 2, 20)), "cell 20 does not touch cell 1"),
        (Split(21, LINE), "no cell 21"),
        (Split(7, ((22.0, 15.0),)), "the line through cell 7 needs at least 2 different points, not 1"),
        (Split(7, ((22.0, 15.0), (22.0, 15.0))), "needs at least 2 different points"),
        (Split(7, ((22.0, 15.0), (22.0, 99.0))), "row 22, column 99 is not on the image of 60 rows and 70"),
        (Split(7, ((45.0, 0.0), (45.0, 69.0))), "leaves 0 px on one side"),
        (Split(7, ((20.5, 0.0), (20.5, 69.0))), f"leaves 10 px on one side: a cell has {CELL_MIN_PX}"),
        (Split(7, ((float("nan"), 0.0), (20.0, 69.0))), "row nan"),
        (MoveBorder(7, 7, LINE), "at least 2 different cells"),
        (MoveBorder(7, 9, LINE), "cell 9 does not touch cell 7"),
        (Add(), "needs an outline, or a point"),
        (Add(((1.0, 1.0), (1.0, 9.0))), "the outline needs at least 3"),
        (Add(((20.0, 20.0), (20.0, 30.0), (30.0, 30.0), (30.0, 20.0))), "would have 0 px"),
        (Add(((0.0, 0.0), (0.0, 9.0), (8.0, 9.0), (8.0, 0.0))), "cut by the image's edge"),
        (Add(seed=(25.0, 25.0)), "belongs to a cell already"),
        (Add(seed=(5.0, 5.0)), "not closed by cells all round"),
        (Add(seed=(60.0, 5.0)), "the point: row 60, column 5 is not on the image"),
        (Add(((2.0, 2.0),) * 1001), "1001 points: at most 1000"),
        (SetRegion(((1.0, 1.0), (2.0, 2.0), (3.0, 3.0))), "the region holds no pixel"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_with_the_cell_or_the_point(edit: Edit, complaint: str) -> None:
    with pytest.raises(ImpossibleEdit, match=complaint):
        apply(blocks(), edit)


def test_what_restores_another_mosaic_is_refused() -> None:
    inverse = difference(seen(150, 180), no_cells((150, 180)))
    for wrong in (
        inverse,
        replace_of(inverse, pixels=b"nonsense"),
        replace_of(inverse, pixels=inverse.pixels[:-9]),
        replace_of(difference(no_cells((60, 70)), blocks()), n=3),
        replace_of(difference(no_cells((60, 70)), blocks()), pixels=inverse.pixels, n=1),
    ):
        with pytest.raises(ImpossibleEdit, match="not an edit of this mosaic"):
            apply(blocks(), wrong)
    with pytest.raises(ValueError, match="two mosaics of one image"):
        difference(blocks(), seen(150, 180))


def replace_of(restore: Restore, **changes: object) -> Restore:
    return msgspec.structs.replace(restore, **changes)


# ------------------------------------------------------------------------------------------- any edits


@st.composite
def edits(draw: st.DrawFn, mosaic: Mosaic) -> Edit:
    rows, columns = mosaic.labels.shape
    point = st.tuples(st.floats(0, rows - 1), st.floats(0, columns - 1))
    cell = draw(st.integers(1, max(mosaic.n, 1)))
    beside = neighbours(mosaic, cell) or [cell]
    row, column = mosaic.centroid_px[cell - 1] if mosaic.n else (rows / 2, columns / 2)
    near = st.tuples(
        st.floats(max(row - 25, 0), min(row + 25, rows - 1)),
        st.floats(max(column - 25, 0), min(column + 25, columns - 1)),
    )
    return draw(
        st.one_of(
            st.builds(Remove, st.lists(st.integers(1, max(mosaic.n, 1)), min_size=1, max_size=6).map(tuple)),
            st.builds(lambda other: Merge((cell, other)), st.sampled_from(beside)),
            st.builds(lambda line: Split(cell, tuple(line)), st.lists(near, min_size=2, max_size=4)),
            st.builds(
                lambda other, line: MoveBorder(cell, other, tuple(line)),
                st.sampled_from(beside),
                st.lists(near, min_size=2, max_size=4),
            ),
            st.builds(lambda outline: Add(tuple(outline)), st.lists(near, min_size=3, max_size=6)),
            st.builds(lambda seed: Add(seed=seed), point),
            st.builds(lambda outline: SetRegion(tuple(outline)), st.lists(point, min_size=3, max_size=6)),
        )
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_edits_are_undone_exactly_and_leave_right_numbers(data: st.DataObject) -> None:
    start = mosaic = small()
    inverses = []
    for _ in range(data.draw(st.integers(1, 5))):
        edit = data.draw(edits(mosaic))
        try:
            after, inverse = apply(mosaic, edit)
        except ImpossibleEdit:
            continue
        check_numbers(after)
        assert set(np.unique(after.labels)) - {0} == set(range(1, after.n + 1))
        assert same(apply(after, inverse)[0], mosaic)
        inverses.append(inverse)
        mosaic = after
    for inverse in reversed(inverses):
        mosaic, _ = apply(mosaic, inverse)
    assert same(mosaic, start)


def test_numbers_that_are_not_those_of_the_pixels_stay_where_nothing_is_edited() -> None:
    """Cells around dots have the areas of their polygons."""
    measured = small()
    polygons = replace(measured, area_px=measured.area_px + 0.25, sides=np.where(measured.sides, 7, 0).astype(np.int32))
    edited, inverse = apply(polygons, Remove((5,)))
    kept = np.arange(edited.n)[np.arange(edited.n) != 4]
    assert np.array_equal(edited.area_px[kept], polygons.area_px[kept])
    touched = {*neighbours(measured, 5)}
    far = [index for index in kept if index + 1 not in touched]
    assert np.array_equal(edited.sides[far], polygons.sides[far])
    assert same(restored(edited, inverse), polygons)
