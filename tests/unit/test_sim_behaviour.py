"""What a simulated patient does: blinks, the tear film after them, a gaze, guttae."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from firmware_app.model import Eye, Position
from hw.sim.behaviour import CALM, RESTLESS, Condition, Lids, Motion
from hw.sim.eye import SimulatedHead
from hw.sim.guttae import covered_by_guttae
from hw.sim.optics import UM_PER_PX


def test_a_calm_eye_never_blinks() -> None:
    lids = Lids(3, CALM.blinks_per_min)
    assert {lids.openness(t) for t in np.arange(0, 60, 0.05)} == {1.0}
    assert lids.film(12.0) == 0.0 and lids.since_blink_s(5.0) == math.inf


def test_blinks_come_as_often_as_asked_and_last_a_third_of_a_second() -> None:
    lids = Lids(3, 17.0)
    step_s = 0.005
    closed = np.array([lids.openness(t) < 0.5 for t in np.arange(0, 120, step_s)])
    began = np.flatnonzero(np.diff(closed.astype(int)) == 1)
    assert 32 <= began.size <= 35
    assert 0.1 < closed.sum() * step_s / began.size < 0.3
    gaps_s = np.diff(began) * step_s
    assert gaps_s.std() > 0.3  # by chance, not by a clock


def test_the_tear_film_is_worst_after_a_blink_and_settles() -> None:
    lids = Lids(5, 17.0)
    blink_s = next(t for t in np.arange(5, 30, 0.001) if lids.openness(t) == 0.0)
    after = [lids.film(blink_s + dt) for dt in (0.1, 0.3, 0.6, 1.2)]
    assert after == sorted(after, reverse=True)
    assert after[0] > 0.7 and after[-1] < 0.1


def test_restlessness_makes_saccades_larger_and_nothing_else() -> None:
    calm, restless = (np.array([Motion(9, r).at(t) for t in np.arange(0, 30, 0.02)]) for r in (1.0, 3.0))
    assert restless[:, :2].std() > 1.8 * calm[:, :2].std()
    assert np.array_equal(restless[:, 2], calm[:, 2])


@pytest.mark.parametrize("wrong", [{"haze": 1.5}, {"blinks_per_min": -1.0}, {"guttae_percent": math.nan}])
def test_a_condition_out_of_bounds_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Condition(**wrong)


def test_guttae_cover_what_is_asked_for_and_hide_cells() -> None:
    cover = covered_by_guttae(np.random.default_rng(1), (480, 640), UM_PER_PX, 10.0)
    assert 10.0 <= 100 * np.mean(cover > 0.5) < 16.0
    clear, sick = SimulatedHead(2, eyes=(Eye.RIGHT,)), SimulatedHead(2, Condition(guttae_percent=15.0), (Eye.RIGHT,))
    pictures = [head.render(head.focus(Eye.RIGHT), 1.0, 8).astype(float) for head in (clear, sick)]
    dark = [float(np.mean(picture[100:380] < 0.5 * np.median(picture[100:380]))) for picture in pictures]
    assert dark[1] > dark[0] + 0.03
    assert sick.truth(Eye.RIGHT) == clear.truth(Eye.RIGHT)


def test_a_closed_lid_is_dark_and_a_bad_film_has_less_contrast() -> None:
    head = SimulatedHead(2, dataclasses.replace(RESTLESS, haze=0.8), (Eye.RIGHT,))
    eye, place = head.eyes[Eye.RIGHT], head.focus(Eye.RIGHT)
    times = np.arange(1, 8, 0.01)
    closed_s = next(t for t in times if eye.lids.openness(t) == 0.0)
    hazy_s = next(t for t in times if eye.lids.openness(t - 0.01) == 1.0 and eye.lids.film(t) > 0.5)
    clear_s = next(t for t in times if eye.lids.film(t) < 0.02)
    closed, hazy, clear = (head.render(place, t, 8)[100:380].astype(float) for t in (closed_s, hazy_s, clear_s))
    assert closed.mean() < 0.1 * clear.mean()
    assert hazy.mean() == pytest.approx(clear.mean(), rel=0.1)
    blocks = [each.reshape(70, 4, 160, 4).mean(axis=(1, 3)) for each in (hazy, clear)]  # of less noise
    detail = [float(np.abs(np.diff(each, axis=1)).mean() / each.mean()) for each in blocks]
    assert detail[0] < 0.85 * detail[1]


def test_a_gaze_shows_other_cells_where_the_reflex_has_gone() -> None:
    head = SimulatedHead(2, eyes=(Eye.RIGHT,))
    focus = head.focus(Eye.RIGHT)
    ahead = head.eyes[Eye.RIGHT].view(focus, 1.0)
    head.look(12.0, 0.0)
    assert head.render(focus, 1.0, 8).mean() < 0.3 * 255 * 0.3  # the reflex is 1.2 mm away
    x_um, y_um, z_um = 1185.1, 0.0, 124.6
    there = Position(focus.x_um + x_um, focus.y_um + y_um, focus.z_um + z_um)
    view = head.eyes[Eye.RIGHT].view(there, 1.0, gaze_deg=head.gaze_deg)
    assert (view.x_um, view.y_um, view.defocus_um) == pytest.approx((ahead.x_um, ahead.y_um, ahead.defocus_um), abs=0.5)
    assert view.window.left_um - ahead.window.left_um == pytest.approx(-1633.6, abs=1)
    with pytest.raises(ValueError, match="at most 40"):
        head.look(55.0, 0.0)
