"""The thickness by the stage: of eyes of which no picture shows both layers, and as a check of the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from auto_run import photograph
from direct_instrument import DirectInstrument, at_once, direct_instrument

from firmware_app.model import Eye, Position, ThicknessWay
from firmware_app.services import alignment
from firmware_app.services.eyepiece import Eyepiece
from firmware_app.services.layer_visits import LayerVisits, SameLayer
from firmware_app.services.photographer import Photographer
from hw.errors import Refused
from hw.sim.cornea import apparent_depth
from hw.sim.eye import SimulatedHead

THICKNESS_UM = 5.0


def head_of(thickness_um: float) -> SimulatedHead:
    head = SimulatedHead(3, eyes=(Eye.RIGHT,))
    head.eyes[Eye.RIGHT] = replace(head.eyes[Eye.RIGHT], thickness_um=thickness_um)
    return head


def in_simulated_time(work: Callable[[], Awaitable[Any]]) -> Any:
    return trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))


def eyepiece_of(instrument: DirectInstrument) -> Eyepiece:
    return Photographer(instrument.config, *instrument.slots, run_sync=at_once).eyepiece(Eye.RIGHT)


@pytest.mark.parametrize(("kind", "number"), [("thick", 0), ("thick", 7), ("low", 0), ("low", 2)])
def test_an_eye_of_which_no_picture_shows_both_layers_is_measured_by_the_stage(kind: str, number: int) -> None:
    outcome = photograph(number, kind=kind)
    assert outcome.reason == "", "\n".join(outcome.lines)
    assert outcome.way == ThicknessWay.TWO_POSITIONS, "\n".join(outcome.lines)
    assert outcome.thickness_error_um is not None and outcome.uncertainty_um is not None
    assert abs(outcome.thickness_error_um) <= min(THICKNESS_UM, outcome.uncertainty_um)
    assert 3 < outcome.uncertainty_um < 15
    assert abs(outcome.defocus_um) < 20, "and its endothelium was in focus afterwards"


def test_what_one_picture_says_is_checked_by_the_stage() -> None:
    outcome = photograph(3)
    assert outcome.way == ThicknessWay.ONE_PICTURE and outcome.doubt == ""
    assert any("by the stage" in line and "they agree" in line for line in outcome.lines)


def test_two_ways_that_disagree_are_told_and_the_number_says_how_wrong_it_may_be() -> None:
    """The slit is 15 um narrower than the configuration says: every picture of both layers is wrong by as much."""
    head = head_of(540.0)
    instrument = direct_instrument(head)
    reflex = msgspec.structs.replace(instrument.config.reflex, slit_width_um=375.0)
    instrument.config = msgspec.structs.replace(instrument.config, reflex=reflex)
    told: list[str] = []

    async def align() -> alignment.Aligned:
        photographer = Photographer(instrument.config, *instrument.slots, run_sync=at_once)
        eyepiece = photographer.eyepiece(Eye.RIGHT)
        await eyepiece.stage.move_to(head.focus(Eye.RIGHT))
        return await photographer.align(eyepiece, told.append, with_thickness=True)

    aligned = in_simulated_time(align)
    assert aligned.thickness is not None and aligned.thickness.way is ThicknessWay.ONE_PICTURE
    error_um = aligned.thickness.thickness_um - 540.0
    assert abs(error_um) > 12
    assert abs(error_um) <= aligned.thickness.uncertainty_um + THICKNESS_UM
    assert "by two positions 5" in aligned.doubt and "calibrations of camera and stage" in aligned.doubt
    assert aligned.doubt in told


@pytest.mark.parametrize("after", ["way 1 of", "way 3 of"])
def test_cancelled_between_the_layers_the_stage_stands_and_knows_where(after: str) -> None:
    head = head_of(770.0)
    instrument = direct_instrument(head)

    async def cancelled() -> tuple[Position, Position]:
        eyepiece = eyepiece_of(instrument)
        with trio.CancelScope() as scope:

            def tell(text: str) -> None:
                if text.startswith(after):
                    scope.deadline = trio.current_time() + 0.1  # on the way to the front

            await LayerVisits(eyepiece, tell, head.focus(Eye.RIGHT).z_um).measure(5)
        assert scope.cancelled_caught
        stopped = instrument.stage.at(trio.current_time())
        assert not instrument.stage.moving and instrument.stage.homed
        await trio.sleep(1.0)
        return stopped, await instrument.stage.position()

    in_simulated_time(lambda: _at_focus(instrument, head))
    stopped, later = in_simulated_time(cancelled)
    assert stopped == later
    back_um = head.focus(Eye.RIGHT).z_um - later.z_um
    assert 128 < back_um < 128 + apparent_depth(770.0), "it was stopped on its way"


async def _at_focus(instrument: DirectInstrument, head: SimulatedHead) -> Position:
    return await instrument.stage.move_to(head.focus(Eye.RIGHT))


def test_the_front_taken_for_the_endothelium_is_noticed() -> None:
    head = head_of(540.0)
    instrument = direct_instrument(head, rows=200)
    front_um = head.focus(Eye.RIGHT).z_um - apparent_depth(540.0)

    async def measure() -> None:
        await _at_focus(instrument, head)
        with pytest.raises(SameLayer, match="taken for the endothelium's"):
            await LayerVisits(eyepiece_of(instrument), print, front_um).measure(5)

    in_simulated_time(measure)


def test_a_layer_that_is_not_there_is_refused_by_name() -> None:
    head = head_of(540.0)
    instrument = direct_instrument(head)
    beside = replace(head.focus(Eye.RIGHT), x_um=head.focus(Eye.RIGHT).x_um + 1500.0)

    async def measure() -> None:
        await instrument.stage.move_to(beside)
        with pytest.raises(Refused, match="the lower edge of the endothelium's reflex was not found"):
            await LayerVisits(eyepiece_of(instrument), print, beside.z_um - 800.0).measure(1)

    in_simulated_time(measure)


def test_a_failed_check_leaves_the_thickness_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    head = head_of(540.0)
    instrument = direct_instrument(head)
    told: list[str] = []

    class NoFront(LayerVisits):
        async def check(self) -> Any:
            raise Refused("right eye: no front today")

    monkeypatch.setattr(alignment, "LayerVisits", NoFront)

    async def align() -> alignment.Aligned:
        await _at_focus(instrument, head)
        return await alignment.Aligner(eyepiece_of(instrument), told.append, with_thickness=True).run()

    aligned = in_simulated_time(align)
    assert aligned.thickness is not None and aligned.doubt == ""
    assert abs(aligned.thickness.thickness_um - 540.0) <= THICKNESS_UM
    assert any("not checked by the stage: right eye: no front today" in text for text in told)
