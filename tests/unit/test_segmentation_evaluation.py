"""The judge of the segmentation on label images whose answer is known by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import segmentation_table as table
from segmentation_judge import (
    Errors,
    Figures,
    Labels,
    against_dots,
    against_figures,
    against_outlines,
    cells_of,
    dice,
    dotted_cells,
    dotted_patch,
)

SIDE = 12
ROWS = COLUMNS = 7


def bricks(rows: int = ROWS, columns: int = COLUMNS, margin: int = 4) -> Labels:
    """Courses of bricks, each shifted by half a brick: every inner one has six neighbours. Nothing touches the edge."""
    labels = np.zeros((rows * SIDE + 2 * margin, columns * SIDE + SIDE // 2 + 2 * margin), np.int32)
    for row in range(rows):
        for column in range(columns):
            top, left = margin + row * SIDE, margin + column * SIDE + (row % 2) * SIDE // 2
            labels[top : top + SIDE, left : left + SIDE] = 1 + row * columns + column
    return labels


def at(row: int, column: int) -> int:
    return 1 + row * COLUMNS + column


def test_cells_of_bricks() -> None:
    cells = cells_of(bricks())
    assert set(cells.area_px[1:].tolist()) == {SIDE * SIDE}
    inner = [at(row, column) for row in range(1, ROWS - 1) for column in range(1, COLUMNS - 1)]
    assert {int(cells.sides[label]) for label in inner} == {6}
    # the courses' ends stick out, and half of each end brick has nothing above it
    assert {int(cells.sides[at(0, column)]) for column in range(COLUMNS)} == {0}
    assert not cells.cut.any()


def test_a_cell_at_the_edge_is_cut_and_has_no_ring() -> None:
    labels = bricks(margin=4)[4:]
    cells = cells_of(labels)
    assert cells.cut[[at(0, column) for column in range(COLUMNS)]].all()
    assert not cells.cut[at(1, 1)]
    assert cells.sides[at(0, 3)] == 0
    assert cells.sides[at(1, 3)] == 6


def test_ids_that_are_missing_are_no_cells() -> None:
    labels = bricks()
    labels[labels == at(3, 3)] = 0
    cells = cells_of(labels)
    assert cells.area_px[at(3, 3)] == 0
    assert cells.sides[at(3, 3)] == 0
    assert cells.sides[at(3, 2)] == 0, "its ring has a hole"
    assert against_outlines(labels, labels).outlined == ROWS * COLUMNS - 1


def test_the_truth_against_itself_has_no_error() -> None:
    errors = against_outlines(bricks(), bricks())
    assert errors == Errors(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, ROWS * COLUMNS, ROWS * COLUMNS)


def test_numbers_of_ids_do_not_matter() -> None:
    labels = bricks()
    reversed_ids = np.where(labels > 0, 1000 - labels, 0).astype(np.int32)
    assert against_outlines(reversed_ids, labels) == against_outlines(labels, labels)


def test_smaller_cells_are_a_higher_density() -> None:
    outlines = bricks()
    ours = outlines.copy()
    ours[4::SIDE] = 0  # every brick loses one of its twelve rows
    errors = against_outlines(ours, outlines)
    assert errors.density_percent == pytest.approx(100 * (12 / 11 - 1))
    assert errors.cv_points == pytest.approx(0.0)
    assert errors.f1 == 1.0


def test_a_merged_pair_and_a_split_cell() -> None:
    outlines = bricks()
    ours = outlines.copy()
    ours[ours == at(3, 3)] = at(3, 2)
    here = np.argwhere(ours == at(5, 5))
    half = here[here[:, 1] < here[:, 1].min() + SIDE // 2]
    ours[tuple(half.T)] = 999
    errors = against_outlines(ours, outlines)
    total = ROWS * COLUMNS
    assert errors.merged_percent == pytest.approx(100 * 2 / total)
    assert errors.split_percent == pytest.approx(100 * 1 / total)
    # the pair matches each of its two at IoU 0.5, and so does each half: one of each is a hit
    assert errors.f1 == pytest.approx(2 * total / (total + total))
    assert errors.density_percent == pytest.approx(0.0)
    assert errors.cv_points is not None
    assert errors.cv_points > 10


def test_what_is_outside_the_annotated_area_is_not_judged() -> None:
    ours = bricks()
    outlines = ours.copy()
    outlines[ours > at(3, COLUMNS - 1)] = 0  # annotated: the four upper courses
    assert against_outlines(ours, outlines).judged == 4 * COLUMNS
    assert against_outlines(ours, outlines).f1 == 1.0
    reaching = ours.copy()
    down, across = np.nonzero(reaching == at(3, 3))
    reaching[down + SIDE // 4, across] = at(3, 3)  # now 12 of 15 rows lie inside: still judged
    assert against_outlines(reaching, outlines).judged == 4 * COLUMNS
    reaching[down + SIDE // 2, across] = at(3, 3)  # 12 of 18 do not reach three quarters
    assert against_outlines(reaching, outlines).judged == 4 * COLUMNS - 1


def test_a_missed_cell_lowers_f1_alone() -> None:
    outlines = bricks()
    ours = outlines.copy()
    ours[ours == at(0, 0)] = 0
    total = ROWS * COLUMNS
    errors = against_outlines(ours, outlines)
    assert errors.f1 == pytest.approx(2 * (total - 1) / (2 * total - 1))
    assert errors.density_percent == pytest.approx(0.0)


def test_too_few_judged_cells_give_no_errors() -> None:
    outlines = bricks()
    ours = np.where(outlines <= 4, outlines, 0).astype(np.int32)
    assert against_outlines(ours, outlines) == Errors(judged=4, outlined=ROWS * COLUMNS)


def test_known_figures() -> None:
    errors = against_figures(bricks(), Figures(2 * SIDE * SIDE, 10.0, 90.0))
    assert errors.density_percent == pytest.approx(100.0)
    assert errors.cv_points == pytest.approx(-10.0)
    assert errors.hex_points == pytest.approx(10.0)
    assert against_figures(np.zeros((9, 9), np.int32), Figures(1.0, None, None)) == Errors()


def grid_of_dots(pitch: float) -> np.ndarray:
    return np.array([[pitch * column, pitch * row] for row in range(8) for column in range(8)]) + 10


def test_the_centre_method_on_a_regular_grid() -> None:
    dots = grid_of_dots(10.0)
    dotted = dotted_cells(dots)
    assert dotted.inner.size == 36, "the outermost dots only serve as neighbours"
    assert dotted.area_px == pytest.approx(np.full(36, 100.0))
    patch = dotted_patch(dots, dotted.inner, (100, 100))
    assert patch.sum() == pytest.approx(3600, rel=0.05)
    assert not patch[0].any()


@pytest.mark.parametrize("dots", [np.zeros((0, 2)), np.zeros((5, 2)), np.arange(20.0).reshape(-1, 2)])
def test_dots_without_a_ring(dots: np.ndarray) -> None:
    assert dotted_cells(dots).inner.size == 0


def test_a_gap_is_not_bridged() -> None:
    """Two patches far from each other: the dots along the gap have no complete ring."""
    left = grid_of_dots(10.0)
    both = np.concatenate([left, left + np.array([200.0, 0.0])])
    assert dotted_cells(both).inner.size == 2 * 36


def test_a_dent_in_the_outline_is_not_bridged() -> None:
    """A dot taken from the rim opens its neighbours' rings, although the dots on both sides of the gap are near."""
    dots = grid_of_dots(10.0) + np.random.default_rng(1).uniform(-0.5, 0.5, (64, 2))
    dots[11, 1] -= 2  # towards the gap, so that it lies inside the circle through the dots on both sides
    dented = np.delete(dots, 3, axis=0)
    whole, open_rings = dotted_cells(dots), dotted_cells(dented)
    assert whole.area_px.mean() == pytest.approx(100, rel=0.03)
    assert open_rings.area_px.max() < 1.1 * whole.area_px.max()
    assert open_rings.inner.size == whole.inner.size - 1
    assert 11 in whole.inner
    assert 10 not in open_rings.inner, "its own ring is open; it was 11 before the rim's dot was taken"


def test_dots_against_labels() -> None:
    labels = bricks()
    patch = np.zeros(labels.shape, bool)
    patch[4 : 4 + 3 * SIDE] = True
    labels[(labels > 0) & ~patch & (np.indices(labels.shape)[0] % 2 == 0)] = 0
    errors = against_dots(labels, SIDE * SIDE, patch)
    assert errors.patch_percent == pytest.approx(0.0)
    assert errors.judged == 3 * COLUMNS
    assert errors.density_percent is not None
    assert errors.density_percent > 20, "the thinned cells below the patch count too"


def test_dice() -> None:
    mask = np.arange(16).reshape(4, 4) < 8
    assert dice(mask, mask) == 1.0
    assert dice(mask, ~mask) == 0.0
    assert dice(np.zeros_like(mask), np.zeros_like(mask)) == 1.0
    assert dice(np.arange(16).reshape(4, 4) < 4, mask) == pytest.approx(2 * 4 / 12)


# ---------------------------------------------------------------------------------------------- the table


def judged(name: str, kind: str, density: float | None, method: str = table.OURS, **errors: float) -> table.Judged:
    answered = density is not None
    return table.Judged(name, "1", kind, method, answered, 0.1, Errors(density, **errors))


def line(name: str, rows: list[table.Judged]) -> table.Line:
    (goal,) = [goal for goal in table.GOALS if goal.name == name]
    return table.line_of(goal, rows)


def test_both_sets_are_averaged_over_their_images() -> None:
    rows = [judged("gavet", "outlined", -0.4, cv_points=1.0, hex_points=-3.0, f1=0.97)] * 3
    rows += [judged("confoscan52", "outlined", 2.4, cv_points=-1.8, hex_points=3.0, f1=0.99)]
    rows += [judged("confoscan52", "outlined", None), judged("cwru", "outlined", 50.0)]
    rows += [judged("gavet", "outlined", 8.0, table.PEER)]
    together = line("gavet + confoscan52", rows)
    assert together.cells[4] == "0.9 / 1.2 / 3.0 / 0.975"
    assert together.cells[5] == "8.0 / - / - / -"
    assert together.cells[6:] == ("4/5, 1/1", "pass")
    assert together.passed is True


def test_a_missed_figure_is_named_and_fails() -> None:
    rows = [judged("gavet", "outlined", 0.9, cv_points=1.9, hex_points=1.0, f1=0.95)]
    missed = line("gavet + confoscan52", rows)
    assert missed.cells[-1] == "FAIL: CV, F1"
    assert missed.passed is False


@pytest.mark.parametrize(
    ("density", "wanted"),
    [([2.0] * 49 + [11.0], True), ([2.0] * 48 + [11.0] * 2, False), ([2.0] * 44 + [None] * 6, False)],
)
def test_share_within_ten_percent_is_of_the_answered_images(density: list[float | None], wanted: bool) -> None:
    rows = [judged("specular385", "countable", each) for each in density]
    assert line("specular385 countable", rows).passed is wanted


def test_one_answered_uncountable_image_fails() -> None:
    refused = judged("specular385", "uncountable", None)
    answered = table.Judged("specular385", "7", "uncountable", table.OURS, True, 0.1)
    assert line("specular385 uncountable", [refused]).passed is True
    assert line("specular385 uncountable", [refused, answered]).passed is False


def test_nothing_measured_is_not_passed() -> None:
    assert line("cwru", []).passed is False
    assert line("gdocm", []).passed is None


def test_only_rows_whose_sets_were_all_asked_about() -> None:
    names = [each.cells[0] for each in table.lines_of([], ["gavet", "cwru"])]
    assert names == ["gavet", "cwru"]


def test_markdown() -> None:
    text = table.printed([line("gdocm", [])], markdown=True)
    assert text.splitlines()[1] == "|" + " --- |" * len(table.HEADER)
    assert len(text.splitlines()) == 3


def test_the_worst_come_first_with_their_reasons() -> None:
    rows = [
        judged("cwru", "outlined", 1.0),
        judged("cwru", "outlined", -9.0),
        table.Judged("cwru", "3", "outlined", table.OURS, False, 0.1, reason="hazy"),
        judged("cwru", "outlined", 99.0, table.PEER),
    ]
    lines = table.worst_lines(rows, 2)
    assert lines[0] == "cwru: the worst"
    assert lines[1].endswith("refused: hazy")
    assert "ECD -9.0 %" in lines[2]
    assert len(lines) == 3
    assert table.badness(judged("specular385", "uncountable", None)) == 0.0
    assert table.badness(table.Judged("specular385", "7", "uncountable", table.OURS, True, 0.1)) == math.inf
