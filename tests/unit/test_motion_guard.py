"""Who is told of a stop, and when the place is lost."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from hw.errors import Deadline, DeviceFault
from hw.motion_guard import MotionGuard


class Axis:
    """A stage that counts how often it was halted; `fails` makes every halt one that nobody confirms."""

    def __init__(self) -> None:
        self.halts = 0
        self.lost = False
        self.fails = False
        self.guard = MotionGuard("stage", self._halt, self._lose)

    async def _halt(self) -> None:
        await trio.lowlevel.checkpoint()
        self.halts += 1
        if self.fails:
            raise Deadline("no answer")

    def _lose(self) -> None:
        self.lost = True


async def test_a_stop_that_nobody_confirms_costs_the_place_and_is_told() -> None:
    axis = Axis()
    axis.fails = True
    with pytest.raises(Deadline):
        await axis.guard.stop()
    assert axis.lost


async def test_a_stop_that_is_confirmed_keeps_the_place() -> None:
    axis = Axis()
    await axis.guard.stop()
    assert (axis.halts, axis.lost) == (1, False)


async def test_a_stop_is_carried_out_although_whoever_asked_for_it_is_cancelled() -> None:
    axis = Axis()
    with trio.CancelScope() as scope:
        scope.cancel()
        await axis.guard.stop()
    assert axis.halts == 1


async def test_leaving_a_motion_halts_whatever_the_reason_and_the_planned_end_does_not() -> None:
    axis = Axis()
    async with axis.guard.motion_turn() as stops, axis.guard.motion(stops):
        assert axis.guard.in_motion
    assert (axis.halts, axis.guard.in_motion) == (0, False)
    with pytest.raises(ValueError, match="mine"):
        async with axis.guard.motion_turn() as stops, axis.guard.motion(stops):
            raise ValueError("mine")
    with trio.CancelScope() as scope:
        async with axis.guard.motion_turn() as stops, axis.guard.motion(stops):
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert (axis.halts, axis.guard.in_motion) == (2, False)


async def test_closing_halts_what_moves_and_lets_it_begin_nothing_more() -> None:
    axis = Axis()
    await axis.guard.close()
    assert axis.halts == 0
    with pytest.raises(DeviceFault, match="stopped"):
        async with axis.guard.motion_turn() as stops, axis.guard.motion(stops):
            await axis.guard.close()
            assert axis.halts == 1
            axis.guard.require_not_stopped(stops)


async def test_who_waits_for_the_turn_is_stopped_too_and_who_asks_afterwards_is_not() -> None:
    axis = Axis()
    told: list[str] = []

    async def wait_for_the_turn() -> None:
        try:
            async with axis.guard.motion_turn():
                told.append("began")
        except DeviceFault as error:
            told.append(error.code)

    async with trio.open_nursery() as nursery, axis.guard.turn:
        nursery.start_soon(wait_for_the_turn)
        await trio.testing.wait_all_tasks_blocked()
        await axis.guard.stop()
    await wait_for_the_turn()
    assert told == ["stopped", "began"]
