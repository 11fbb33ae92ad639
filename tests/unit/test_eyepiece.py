"""How far a stage goes by itself: never out of the place in which an eye can be. And how frames are waited for."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
import trio
import trio.testing
from direct_instrument import DirectCamera, DirectStage

from firmware_app.config.schema import CaptureConfig
from firmware_app.endothelium.reflex_geometry import ReflexGeometry
from firmware_app.model import Eye, Position
from firmware_app.services.contrast import scan_for_focus
from firmware_app.services.eyepiece import REACH_UM, Eyepiece, next_frames
from firmware_app.services.focus import PASSES
from hw.abc import Stage
from hw.errors import Refused
from hw.sim.eye import SimulatedHead
from hw.sim.instrument import SimSettings

NOMINAL = Position(-82_000.0, -20_000.0, -20_000.0)


class Table:
    """A stage that goes anywhere, and tells where it was sent."""

    def __init__(self) -> None:
        self.at = NOMINAL

    async def position(self) -> Position:
        await trio.lowlevel.checkpoint()
        return self.at

    async def move_to(self, target: Position) -> Position:
        await trio.lowlevel.checkpoint()
        self.at = target
        return target


def eyepiece(table: Table) -> Eyepiece:
    nobody = cast(Any, None)
    return Eyepiece(cast(Stage, table), nobody, ReflexGeometry(0.85), Eye.RIGHT, NOMINAL, nobody)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("axis", [0, 1, 2])
async def test_it_goes_as_far_as_an_eye_may_be_and_not_a_step_further(axis: int, sign: int) -> None:
    table = Table()
    way = [0.0, 0.0, 0.0]
    way[axis] = sign * REACH_UM[axis]
    there = await eyepiece(table).move_by(*way)
    way[axis] = sign * 1.0
    with pytest.raises(Refused, match=rf"right eye: it would be .* um in {'xyz'[axis]} from its nominal place"):
        await eyepiece(table).move_by(*way)
    assert table.at == there, "nothing was sent"


async def test_focusing_by_contrast_goes_no_further_either() -> None:
    table = Table()
    with pytest.raises(Refused, match="um in z from its nominal place"):
        await scan_for_focus(eyepiece(table), REACH_UM[2] + 500.0, lambda text: None)
    assert table.at == NOMINAL


def test_no_range_that_can_be_configured_leads_out_of_that_reach() -> None:
    beyond = sum(half_range_um for half_range_um, _ in PASSES)
    farthest = 1800.0
    assert msgspec.convert({"focus_range_um": farthest}, CaptureConfig).focus_range_um + beyond <= REACH_UM[2]
    with pytest.raises(msgspec.ValidationError, match="focus_range_um"):
        msgspec.convert({"focus_range_um": farthest + 1}, CaptureConfig)


async def test_a_camera_may_take_its_time_over_an_exposure(autojump_clock: trio.testing.MockClock) -> None:
    """How long is too long the driver knows, from the exposure: it ends the stream with `Deadline`."""
    slow = DirectCamera(SimulatedHead(1), DirectStage(SimSettings(), NOMINAL), frames_per_s=0.4, rows=64)
    frames = await next_frames(slow, 2)
    assert [frame.sequence for frame in frames] == [0, 1]
    assert trio.current_time() >= 5.0
