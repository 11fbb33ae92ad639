"""The eye in front of the camera: what moves, blurs and dims, and that its truth is what is shown."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from firmware_app.model import Eye, Position
from hw.sim.cornea import apparent_depth
from hw.sim.eye import DECENTRING_UM, DEPTH_UM, NOMINAL_APEX, Motion, SimulatedHead
from hw.sim.optics import COLUMNS, ROWS, UM_PER_PX, View, scene


@pytest.fixture(scope="module")
def head() -> SimulatedHead:
    return SimulatedHead(4)


def beside(position: Position, dx_um: float = 0.0, dy_um: float = 0.0, dz_um: float = 0.0) -> Position:
    return Position(position.x_um + dx_um, position.y_um + dy_um, position.z_um + dz_um)


def contrast(pixels: np.ndarray) -> float:
    """Power of differences over 4 px within the rows, relative to the mean brightness, in the brighter rows."""
    values = pixels.astype(float)
    values = values[values.mean(axis=1) > 0.5 * values.mean(axis=1).max()]
    smooth = (values[:, :-1] + values[:, 1:]) / 2
    return float(((smooth[:, 4:] - smooth[:, :-4]) ** 2).mean() / max(values.mean(), 1.0) ** 2)


@pytest.mark.parametrize("eye", list(Eye))
def test_each_eye_is_near_its_nominal_place(head: SimulatedHead, eye: Eye) -> None:
    apex, nominal = head.focus(eye), NOMINAL_APEX[eye]
    assert abs(apex.x_um - nominal.x_um) <= DECENTRING_UM
    assert abs(apex.y_um - nominal.y_um) <= DECENTRING_UM
    assert abs(apex.z_um - nominal.z_um) <= DEPTH_UM
    assert head.eye_in_front(nominal) is eye


def test_the_two_eyes_differ(head: SimulatedHead) -> None:
    assert head.truth(Eye.RIGHT) != head.truth(Eye.LEFT)


@pytest.mark.parametrize(("bits", "kind"), [(8, np.uint8), (12, np.uint16)])
def test_frames_have_the_agreed_shape_and_depth(head: SimulatedHead, bits: int, kind: type) -> None:
    pixels = head.render(head.focus(Eye.LEFT), 0.3, bits)
    assert pixels.shape == (480, 640)
    assert pixels.dtype == kind
    assert 0.3 * 2**bits < np.percentile(pixels, 50) < 0.7 * 2**bits
    assert pixels.max() < 2**bits


def test_same_place_and_time_is_the_same_frame(head: SimulatedHead) -> None:
    place = head.focus(Eye.RIGHT)
    assert np.array_equal(head.render(place, 1.25, 8), head.render(place, 1.25, 8))
    assert not np.array_equal(head.render(place, 1.25, 8), head.render(place, 1.26, 8))


def test_contrast_falls_on_both_sides_of_focus(head: SimulatedHead) -> None:
    focus = head.focus(Eye.RIGHT)
    found = {dz: contrast(head.render(beside(focus, dz_um=dz), 0.3, 8)) for dz in (-150, -100, -50, 0, 50, 100, 200)}
    assert found[0] > 1.1 * found[50] > 1.3 * found[100]
    assert found[0] > 1.1 * found[-50] > 1.3 * found[-100]
    assert found[100] > found[200]
    assert found[-100] > found[-150]


def test_reflex_dims_beside_the_apex_and_is_gone_after_a_millimetre(head: SimulatedHead) -> None:
    focus = head.focus(Eye.LEFT)
    levels = [float(head.render(beside(focus, dx_um=dx), 0.3, 8).mean()) for dx in (0, 200, 400, 700, 1000, 1500)]
    assert levels == sorted(levels, reverse=True)
    dark = float(head.render(Position(-50_000, -20_000, -20_000), 0.3, 8).mean())
    assert levels[0] > 15 * dark
    assert levels[-1] < 2 * dark


def test_reflex_brightens_on_the_side_of_the_apex(head: SimulatedHead) -> None:
    """With the stage to the right of the apex the apex is left in the frame; with the stage too low, above."""
    focus = head.focus(Eye.LEFT)
    right = head.render(beside(focus, dx_um=300), 0.3, 8).astype(float)
    assert right[:, :320].mean() > 1.5 * right[:, 320:].mean()
    low = head.render(beside(focus, dy_um=-250), 0.3, 8).astype(float)
    assert low[:240].mean() > 1.3 * low[240:].mean()


def test_epithelium_gives_a_reflex_of_its_own_in_front(head: SimulatedHead) -> None:
    focus, thickness = head.focus(Eye.RIGHT), head.eyes[Eye.RIGHT].thickness_um
    at, before = (head.render(beside(focus, dz_um=dz), 0.3, 8).mean() for dz in (-thickness, -thickness - 160))
    assert at > 1.3 * before


def rows_of(head: SimulatedHead, eye: Eye, dz_um: float) -> np.ndarray:
    """The light of each row at that defocus, without movement of the eye: that at this time is taken off."""
    moved = head.eyes[eye].motion.at(1.0)
    place = beside(head.focus(eye), *moved[:2], dz_um + moved[2])
    return head.render(place, 1.0, 12).mean(axis=1) / 4095 - 0.02


def steepest(rows: np.ndarray, sign: int) -> float:
    """Height in the picture, um, of the steepest rise (1) or fall (-1) of the light going down."""
    slope = np.convolve(sign * np.gradient(rows), np.ones(9) / 9, "same")
    return float((ROWS / 2 - 0.5 - np.argmax(slope[8:-8]) - 8) * UM_PER_PX)


@pytest.mark.parametrize("dz_um", [-60.0, -20.0, 20.0, 60.0, 120.0])
def test_the_height_of_the_endotheliums_band_tells_its_depth(head: SimulatedHead, dz_um: float) -> None:
    upper = dz_um > 0
    height_um = steepest(rows_of(head, Eye.RIGHT, dz_um), 1 if upper else -1)
    expected_um = -2 * np.tan(np.radians(35.0)) * dz_um + (180.0 if upper else -180.0)
    assert height_um == pytest.approx(expected_um, abs=4)


def test_both_layers_are_seen_halfway_with_the_stroma_between_them(head: SimulatedHead) -> None:
    apparent_um = apparent_depth(head.thickness_um(Eye.LEFT))
    rows = rows_of(head, Eye.LEFT, -apparent_um / 2)
    back, front = steepest(rows, -1), steepest(rows, 1)
    assert back - front == pytest.approx(2 * np.tan(np.radians(35.0)) * apparent_um - 360.0, abs=4)
    gap = rows[ROWS // 2 - 8 : ROWS // 2 + 8].mean()
    halo = rows_of(head, Eye.LEFT, -1500.0)[ROWS // 2 - 8 : ROWS // 2 + 8].mean()
    assert rows[:60].mean() > 3 * gap > 1.5 * 3 * halo
    assert rows[-60:].mean() > 1.5 * rows[:60].mean()


@pytest.mark.parametrize(("dx_um", "dy_um"), [(2000.0, 0.0), (0.0, -2000.0), (1400.0, 1400.0)])
def test_two_millimetres_beside_the_halo_still_rises_towards_the_eye(
    head: SimulatedHead, dx_um: float, dy_um: float
) -> None:
    light = head.render(beside(head.focus(Eye.RIGHT), dx_um, dy_um, -900.0), 1.0, 8).astype(float)
    left, right, top, bottom = light[:, :320].mean(), light[:, 320:].mean(), light[:240].mean(), light[240:].mean()
    assert (left > 1.05 * right) == (dx_um > 0)
    assert (top > 1.05 * bottom) == (dy_um < 0)


def test_moving_the_stage_moves_the_cells_the_other_way(head: SimulatedHead) -> None:
    spectrum = head.eyes[Eye.RIGHT].spectrum
    here = scene(spectrum, View(0.0, 0.0, 0.0))
    right = scene(spectrum, View(20 * UM_PER_PX, 0.0, 0.0))
    up = scene(spectrum, View(0.0, 10 * UM_PER_PX, 0.0))
    assert np.allclose(right[:, :600], here[:, 20:620], atol=1e-3)
    assert np.allclose(up[10:], here[:-10], atol=1e-3)


def test_borders_are_shown_where_the_mosaic_has_them(head: SimulatedHead) -> None:
    simulated = head.eyes[Eye.LEFT]
    view = View(37.3, -12.9, 0.0)
    depth = simulated.mosaic.border_distance_um(view.window)
    shown = scene(simulated.spectrum, view)
    assert shown.shape == (ROWS, COLUMNS)
    assert shown[depth < 0.5].mean() < 0.82 * shown[depth > 4].mean()


def test_a_smear_blurs_along_its_direction_only(head: SimulatedHead) -> None:
    spectrum = head.eyes[Eye.LEFT].spectrum
    still = View(0.0, 0.0, 0.0)
    smeared = scene(spectrum, dataclasses.replace(still, smear_x_um=15.0))
    sharp = scene(spectrum, still)
    across, down = (np.diff(smeared, axis=axis).std() / np.diff(sharp, axis=axis).std() for axis in (1, 0))
    assert across < 0.6 < down


def test_visible_truth_is_of_the_whole_cells_in_the_frame(head: SimulatedHead) -> None:
    place = beside(head.focus(Eye.RIGHT), 80, -40, 5)
    seen, whole = head.visible_truth(place, 0.5), head.truth(Eye.RIGHT)
    assert 0.8 * whole.n < seen.n < whole.n
    assert seen.cd_per_mm2 == pytest.approx(whole.cd_per_mm2, rel=0.04)
    with pytest.raises(ValueError, match="no eye"):
        head.visible_truth(Position(-50_000, -20_000, -20_000))


def test_no_eye_is_a_dark_noisy_frame(head: SimulatedHead) -> None:
    pixels = head.render(Position(-50_000, -20_000, -20_000), 0.0, 12)
    assert pixels.mean() < 0.04 * 4096
    assert pixels.std() > 1


def test_exposure_and_gain_scale_the_light_and_saturate(head: SimulatedHead) -> None:
    place = head.focus(Eye.RIGHT)
    half, normal = (head.render(place, 0.0, 12, exposure_us=each).mean() for each in (4000, 8000))
    assert half == pytest.approx(normal / 2, rel=0.1)
    assert np.median(head.render(place, 0.0, 8, exposure_us=80_000)) == 255
    assert head.render(place, 0.0, 8, gain=0.5).mean() == pytest.approx(head.render(place, 0.0, 8).mean() / 2, rel=0.1)


def test_the_eye_moves_but_stays_near_and_never_jumps() -> None:
    motion = Motion(9)
    path = np.array([motion.at(t) for t in np.arange(0, 12, 0.002)])
    assert 5 < path[:, :2].std() < 30
    assert np.abs(path).max() < 80
    assert np.abs(path[:, 2]).max() < 8
    # A saccade covers its way in 25 ms: 1.5 x the mean speed at its middle.
    assert np.abs(np.diff(path, axis=0)).max() < 8
    assert motion.at(3.3) == Motion(9).at(3.3) != Motion(10).at(3.3)
