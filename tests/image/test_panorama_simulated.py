"""Panoramas of a simulated eye: every cell of the union is known, and where each capture truly lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from wide_eye import UM_PER_PX, Shot, shoot, wide_eye

from firmware_app.endothelium.measure import measure
from firmware_app.endothelium.panorama import NoPanorama, Panorama, PanoramaSource, make_panorama
from firmware_app.endothelium.parameters import Parameters
from hw.sim.mosaic import Window

SEED = 3


def panorama_of(shots: list[Shot], bits: int = 8) -> Panorama:
    return make_panorama([PanoramaSource(shot.pixels, bits) for shot in shots], UM_PER_PX)


@dataclass(frozen=True)
class Judged:
    true_cells: set[int]  # whole in the area of all captures
    found: list[int]  # the true cell under each cell of the panorama
    alike: list[float]  # intersection over union of the two


def judge(panorama: Panorama, shots: list[Shot]) -> Judged:
    mosaic, eye = panorama.measurement.mosaic, wide_eye(SEED).mosaic
    assert mosaic is not None
    first = next(number for number, source in enumerate(panorama.sources) if source.place_px)
    row, column = panorama.sources[first].place_px or (0, 0)
    left, top = shots[first].window.left_um - column * UM_PER_PX, shots[first].window.top_um - row * UM_PER_PX
    window = Window(left, top, *panorama.pixels.shape, UM_PER_PX)
    truth = eye.label_raster(window)
    area = np.bincount(truth.ravel(), minlength=eye.n + 1)
    covered = np.bincount(truth.ravel(), (panorama.owner >= 0).ravel(), minlength=eye.n + 1)
    whole = {int(cell) + 1 for cell in eye.whole_cells(window)}
    found, alike = [], []
    for cell in range(1, mosaic.n + 1):
        shared = np.bincount(truth[mosaic.labels == cell], minlength=eye.n + 1)
        best = int(shared.argmax())
        found.append(best)
        alike.append(float(shared[best] / (area[best] + mosaic.area_px[cell - 1] - shared[best])))
    return Judged({cell for cell in whole if covered[cell] == area[cell]}, found, alike)


SERIES = {
    "in a row": [(0.0, 0.0), (200.0, 0.0), (-180.0, 10.0)],
    "around a corner": [(0.0, 0.0), (210.0, 0.0), (-60.0, 150.0)],
    "out of order, a fifth of overlap": [(220.0, -20.0), (-210.0, 0.0), (0.0, 30.0)],
}


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize(("bits", "gains"), [(8, (1.0, 0.7, 1.3)), (12, (1.0, 1.0, 1.0))])
def test_every_cell_of_the_union_once(name: str, bits: int, gains: tuple[float, ...]) -> None:
    shots = [
        shoot(SEED, x, y, number, bits=bits, gain=gain)
        for number, ((x, y), gain) in enumerate(zip(SERIES[name], gains, strict=True))
    ]
    panorama = panorama_of(shots, bits)
    places = [source.place_px for source in panorama.sources]
    assert None not in places
    for (a, b), shift in panorama.shifts.items():
        assert (shift.rows_px, shift.columns_px) == pytest.approx(shots[a].offset_px(shots[b]), abs=0.2)
        measured = np.subtract(places[b], places[a])
        assert measured == pytest.approx(shots[a].offset_px(shots[b]), abs=1.0)
    judged, numbers = judge(panorama, shots), panorama.measurement.morphometry
    assert numbers is not None
    assert len(set(judged.found)) == len(judged.found) == numbers.n
    assert min(judged.alike) > 0.5
    assert numbers.n > 0.9 * len(judged.true_cells)
    areas = wide_eye(SEED).mosaic.areas_um2[[cell - 1 for cell in judged.found]]
    assert numbers.cd_per_mm2 == pytest.approx(1e6 / areas.mean(), rel=0.01)
    truth = wide_eye(SEED).mosaic.truth
    assert numbers.cd_per_mm2 == pytest.approx(truth.cd_per_mm2, rel=0.03)
    assert numbers.hex_percent == pytest.approx(truth.hex_percent, abs=6)
    assert sum(source.cells for source in panorama.sources) == numbers.n
    assert panorama.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert panorama.fit_px < 0.5 and panorama.apart_px < 2.0
    assert numbers.warnings == ()


def test_the_order_of_the_captures_does_not_matter() -> None:
    shots = [shoot(SEED, x, y, number) for number, (x, y) in enumerate(SERIES["in a row"])]
    forwards, backwards = panorama_of(shots), panorama_of(shots[::-1])
    assert [s.place_px for s in forwards.sources] == [s.place_px for s in backwards.sources[::-1]]
    first, second = forwards.measurement.morphometry, backwards.measurement.morphometry
    assert first is not None and second is not None
    assert second.n == pytest.approx(first.n, abs=2)
    assert second.cd_per_mm2 == pytest.approx(first.cd_per_mm2, rel=0.002)
    assert np.mean(forwards.pixels != backwards.pixels) < 0.02


def test_twice_the_same_is_the_same() -> None:
    shots = [shoot(SEED, 0.0, 0.0), shoot(SEED, 200.0, 0.0, 1)]
    once, again = panorama_of(shots), panorama_of(shots)
    assert np.array_equal(once.pixels, again.pixels) and np.array_equal(once.owner, again.owner)
    assert once.measurement.morphometry == again.measurement.morphometry


def test_the_other_eye_and_a_far_place_are_left_out_and_named() -> None:
    shots = [
        shoot(SEED, 0.0, 0.0),
        shoot(11, 0.0, 0.0, 1),
        shoot(SEED, 200.0, 0.0, 2),
        shoot(SEED, 0.0, 0.0, 3, defocus_um=300.0),
    ]
    panorama = panorama_of(shots)
    assert [source.place_px is not None for source in panorama.sources] == [True, False, True, False]
    assert "another eye" in panorama.sources[1].reason
    assert set(np.unique(panorama.owner)) <= {-1, 0, 2}
    judged, numbers = judge(panorama, shots), panorama.measurement.morphometry
    assert numbers is not None
    assert len(set(judged.found)) == numbers.n
    assert [warning for warning in numbers.warnings if warning.startswith("capture 2 is left out")]
    assert [warning for warning in numbers.warnings if warning.startswith("capture 4 is left out")]


def test_two_places_that_do_not_overlap_give_no_panorama() -> None:
    with pytest.raises(NoPanorama, match="1 and 2: they share no cells: no overlap, another eye"):
        panorama_of([shoot(SEED, -270.0, 0.0), shoot(SEED, 270.0, 150.0, 1)])


def test_a_capture_out_of_focus_is_placed_and_the_sharp_one_is_asked() -> None:
    shots = [shoot(SEED, 0.0, 0.0), shoot(SEED, 60.0, 0.0, 1, defocus_um=45.0), shoot(SEED, 120.0, 0.0, 2)]
    panorama = panorama_of(shots)
    judged = judge(panorama, shots)
    assert None not in [source.place_px for source in panorama.sources]
    assert len(set(judged.found)) == len(judged.found)
    # it is left with what the edges of the sharp ones cut
    assert panorama.sources[1].cells < 0.3 * min(panorama.sources[0].cells, panorama.sources[2].cells)


def test_captures_with_too_few_cells_for_a_number_have_one_together() -> None:
    shot, parameters = shoot(SEED, 0.0, 0.0), Parameters(cells_min=75)
    parts = [shot.pixels[140:340, 120 + left : 340 + left] for left in (0, 90, 180)]
    for part in parts:
        assert measure(part, 8, UM_PER_PX, parameters).refusal is not None
    together = make_panorama([PanoramaSource(part, 8) for part in parts], UM_PER_PX, parameters).measurement
    assert together.morphometry is not None
    assert together.morphometry.n >= 75
    too_few = make_panorama([PanoramaSource(part, 8) for part in parts[:2]], UM_PER_PX, parameters).measurement
    assert too_few.refusal is not None
    assert "whole cells in all captures: at least 75 are needed" in too_few.refusal.reason
