"""Which regions are believed, which scale they tell, and that the search settles at the true one."""

from __future__ import annotations

from dataclasses import replace

import division_samples
import numpy as np
import numpy.typing as npt
import pytest
from division_samples import SIDE_PX, division_of
from mosaic_samples import UM_PER_PX, cornea, picture, window

from firmware_app.endothelium.cells import believed_cells, patches, worth_of
from firmware_app.endothelium.division import Division
from firmware_app.endothelium.filters import FloatImage
from firmware_app.endothelium.network import shipped_weights
from firmware_app.endothelium.parameters import Parameters
from firmware_app.endothelium.search import Found, best_division, best_look, look_at, spacing_of

LIMITS_PX = (8.0, 85.0)
PARAMETERS = Parameters()


def squares(rows: int, columns: int) -> Division:
    """Square cells without a fault, all of them whole."""
    sound = division_of(division_samples.squares(rows, columns))
    return replace(sound, whole=np.arange(rows * columns + 1) > 0)


def at(values: npt.NDArray[np.generic], label: int, value: float) -> npt.NDArray[np.generic]:
    changed = values.copy()
    changed[label] = value
    return changed


def believed_labels(division: Division, parameters: Parameters = PARAMETERS) -> set[int]:
    return set(np.flatnonzero(believed_cells(division, parameters)).tolist())


ALL = set(range(1, 26))
BAD = 13


def test_whole_clear_cells_are_believed() -> None:
    assert believed_labels(squares(5, 5)) == ALL


@pytest.mark.parametrize(("trust", "is_believed"), [(PARAMETERS.trust_min, False), (PARAMETERS.trust_min + 0.01, True)])
def test_a_picture_that_is_bad_all_over_is_not_judged_by_its_best(trust: float, is_believed: bool) -> None:
    division = replace(squares(5, 5), trust=np.full(26, trust))
    assert believed_labels(division) == (ALL if is_believed else set())


@pytest.mark.parametrize(
    ("name", "value", "is_believed"),
    [
        ("whole", False, False),
        ("trust", PARAMETERS.trust_rel - 0.01, False),
        ("trust", PARAMETERS.trust_rel + 0.01, True),
        ("outline_seen", PARAMETERS.outline_seen_min - 0.01, False),
        ("outline_seen", PARAMETERS.outline_seen_min, True),
        ("covered", PARAMETERS.covered_max, False),
        ("covered", PARAMETERS.covered_max - 0.01, True),
        ("area_px", PARAMETERS.area_min_rel * SIDE_PX**2, False),
        ("area_px", PARAMETERS.area_min_rel * SIDE_PX**2 + 1, True),
        ("area_px", PARAMETERS.area_max_rel * SIDE_PX**2, False),
        ("area_px", PARAMETERS.area_max_rel * SIDE_PX**2 - 1, True),
    ],
)
def test_one_fault_is_enough(name: str, value: float, is_believed: bool) -> None:
    sound = squares(5, 5)
    division = replace(sound, **{name: at(getattr(sound, name), BAD, value)})
    assert believed_labels(division) == (ALL if is_believed else ALL - {BAD})


def test_a_cell_is_plausible_beside_the_others_that_are_seen_not_beside_the_background() -> None:
    """Two thirds of the regions are splinters that nobody trusts: the median is of the ten others."""
    sound = squares(5, 6)
    splinters = np.arange(11, 31)
    area, trust = sound.area_px.copy(), sound.trust.copy()
    area[splinters], trust[splinters] = 2.0, 0.1
    assert believed_labels(replace(sound, area_px=area, trust=trust)) == set(range(1, 11))


def test_a_few_cells_by_themselves_are_not_believed() -> None:
    """A row of seven and a block of ten, with a row of hidden cells between them."""
    parameters = replace(PARAMETERS, patch_cells_min=8)
    sound = squares(4, 7)
    whole = sound.whole.copy()
    whole[8:15] = False  # the second row
    division = replace(sound, whole=whole)
    assert believed_labels(division, parameters) == set(range(15, 29))
    assert believed_labels(division, replace(parameters, patch_cells_min=7)) == set(range(1, 8)) | set(range(15, 29))
    assert believed_labels(division, replace(parameters, patch_cells_min=15)) == set()


def test_nothing_seen_is_nothing_believed() -> None:
    sound = squares(3, 3)
    assert not believed_cells(replace(sound, whole=np.zeros_like(sound.whole)), PARAMETERS).any()


def test_patches_are_named_after_their_smallest_member() -> None:
    division = squares(1, 9)
    members = division.whole.copy()
    members[4] = False
    found = patches(division.network, members)
    assert found[1:].tolist() == [1, 1, 1, 4, 5, 5, 5, 5, 5]


def test_worth_is_the_share_of_the_picture_that_is_surely_in_cells() -> None:
    division = squares(4, 5)
    half = division.whole.copy()
    half[11:] = False
    assert worth_of(division, division.whole) == pytest.approx(1)
    assert worth_of(division, half) == pytest.approx(0.5)
    unsure = replace(division, trust=0.5 * division.trust, evidence=0.4 * division.evidence)
    assert worth_of(unsure, half) == pytest.approx(0.1)
    assert worth_of(division, np.zeros_like(half)) == 0


def found_cells(areas_px: list[float]) -> Found:
    division = squares(1, len(areas_px))
    division = replace(division, area_px=np.array([0.0, *areas_px]))
    return Found(division, division.whole, 1.0)


def test_the_cells_tell_how_far_apart_their_rows_are() -> None:
    alike = spacing_of(found_cells([900.0] * 5), LIMITS_PX, PARAMETERS)
    assert alike == pytest.approx(PARAMETERS.spacing_to_root_area * (900 / 1.1) ** 0.5)


def test_many_splinters_have_little_to_say() -> None:
    among_splinters = spacing_of(found_cells([900.0] * 10 + [10.0] * 40), LIMITS_PX, PARAMETERS)
    alone = spacing_of(found_cells([900.0] * 10), LIMITS_PX, PARAMETERS)
    assert alone is not None
    assert among_splinters == pytest.approx(alone, rel=0.03)


def test_fewer_than_five_cells_tell_nothing() -> None:
    assert spacing_of(found_cells([900.0] * (4)), LIMITS_PX, PARAMETERS) is None
    few = found_cells([900.0] * 5)
    unbelieved = Found(few.division, np.asarray(at(few.believed, 1, False), bool), few.worth)
    assert spacing_of(unbelieved, LIMITS_PX, PARAMETERS) is None


def test_a_spacing_stays_within_the_limits() -> None:
    assert spacing_of(found_cells([4.0] * 9), LIMITS_PX, PARAMETERS) == LIMITS_PX[0]
    assert spacing_of(found_cells([40_000.0] * 9), LIMITS_PX, PARAMETERS) == LIMITS_PX[1]


ROWS, COLUMNS = 200, 260


def grainy_picture() -> FloatImage:
    """Every camera has some noise, and the network has never seen a picture without."""
    noise = np.random.default_rng(1).normal(0, 5, (ROWS, COLUMNS))
    return (picture(ROWS, COLUMNS) + noise).astype(np.float32)


def true_spacing_px() -> float:
    mean_area_px = cornea().truth_in(window(ROWS, COLUMNS)).area_mean_um2 / UM_PER_PX**2
    return PARAMETERS.spacing_to_root_area * mean_area_px**0.5


@pytest.mark.parametrize("factor", [0.4, 0.5, 0.75, 1.0, 1.3, 1.7, 2.0])
def test_a_candidate_need_not_be_exact(factor: float) -> None:
    asked = factor * true_spacing_px()
    found = best_division(grainy_picture(), (asked,), LIMITS_PX, shipped_weights(), PARAMETERS)
    truth = cornea().truth_in(window(ROWS, COLUMNS))
    area_px = found.division.area_px[found.believed]
    assert area_px.size >= 0.95 * truth.n
    assert area_px.mean() == pytest.approx(truth.area_mean_um2 / UM_PER_PX**2, rel=0.02)


@pytest.mark.parametrize("factor", [0.4, 2.0])
def test_a_far_candidate_leads_to_the_true_scale(factor: float) -> None:
    image, asked = grainy_picture(), factor * true_spacing_px()
    first = look_at(image, asked, shipped_weights(), PARAMETERS)
    found = best_division(image, (asked,), LIMITS_PX, shipped_weights(), PARAMETERS)
    assert found.division.spacing_px == pytest.approx(true_spacing_px(), rel=PARAMETERS.spacing_tolerance - 1)
    assert found.worth > first.worth


def test_a_candidate_that_shows_nothing_is_followed_by_the_next() -> None:
    image = grainy_picture()
    candidates = (4 * true_spacing_px(), true_spacing_px())
    found = best_division(image, candidates, LIMITS_PX, shipped_weights(), PARAMETERS)
    assert found.division.spacing_px == pytest.approx(true_spacing_px(), rel=PARAMETERS.spacing_tolerance - 1)


def told(spacing_px: float, worth: float) -> Found:
    """Cells that tell this spacing."""
    return replace(found_cells([1.1 * (spacing_px / PARAMETERS.spacing_to_root_area) ** 2] * 9), worth=worth)


def looked_at(answers: dict[float, Found], *candidates_px: float) -> list[float]:
    """The spacings at which the search looks, of a picture that gives the answer of the nearest of these spacings."""
    asked: list[float] = []

    def look(spacing_px: float) -> Found:
        asked.append(round(spacing_px, 1))
        return answers[min(answers, key=lambda known: abs(known - spacing_px))]

    best_look(look, candidates_px, LIMITS_PX, PARAMETERS)
    return asked


def test_a_poor_look_at_about_the_true_scale_does_not_stand_in_the_way_of_a_good_one() -> None:
    """specular385/72268: too fine, far too coarse, still too coarse; a fifth of its cells were joined then."""
    answers = {17.0: told(53.0, 0.05), 29.5: told(19.8, 0.2), 53.0: told(29.5, 0.1), 19.8: told(20.0, 0.4)}
    assert looked_at(answers, 17.0) == [17.0, 53.0, 29.5, 19.8]


def test_looks_that_send_each_other_back_and_forth_end() -> None:
    assert looked_at({20.0: told(30.0, 0.1), 30.0: told(20.0, 0.1)}, 20.0) == [20.0, 30.0]
    assert looked_at({20.0: told(30.0, 0.1), 30.0: told(21.0, 0.1)}, 20.0) == [20.0, 30.0]


def test_where_one_look_saw_nothing_no_other_candidate_looks() -> None:
    answers = {20.0: told(20.0, 0.1), 25.0: told(25.0, 0.2), 40.0: told(40.0, 0.1)}
    assert looked_at(answers, 20.0, 25.0, 40.0) == [20.0, 40.0]


def test_no_more_looks_than_allowed() -> None:
    image = grainy_picture()
    asked = (4 * true_spacing_px(), true_spacing_px())
    found = best_division(image, asked, LIMITS_PX, shipped_weights(), replace(PARAMETERS, looks_max=1))
    only = look_at(image, asked[0], shipped_weights(), PARAMETERS)
    assert found.division.spacing_px == asked[0]
    assert found.worth == only.worth


def test_the_best_look_is_kept_not_the_last() -> None:
    """With no tolerance every candidate is looked at; the better first one must stand."""
    image = grainy_picture()
    asked = (true_spacing_px(), 4 * true_spacing_px())
    greedy = replace(PARAMETERS, convincing=2.0)
    found = best_division(image, asked, LIMITS_PX, shipped_weights(), greedy)
    assert found.division.spacing_px == pytest.approx(true_spacing_px(), rel=PARAMETERS.spacing_tolerance - 1)
