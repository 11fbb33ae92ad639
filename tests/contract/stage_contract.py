"""What every stage driver must do (`hw.abc.Stage`). `await check_stage(make)` raises where one does not.

`make()` is an async context manager that yields a `StageRig`: how to open the stage, and the means to look behind it
and to disturb it. What cannot be looked at or disturbed (real hardware) is None, and what needs it is passed over. The
stage will travel through its whole reach.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count, pairwise

import pytest
import trio

from firmware_app.model import Position
from hw.abc import Stage, StampedPosition
from hw.errors import DeviceError, DeviceFault, DeviceLost, Refused

PATIENCE_S = 60
AXES = ("x_um", "y_um", "z_um")


@dataclass
class StageRig:
    open: Callable[[], AbstractAsyncContextManager[Stage]]
    tolerance_um: float
    truth: Callable[[], Position] | None = None  # where it really is, by other means than the driver's
    alarm: Callable[[], Awaitable[None]] | None = None  # what a limit switch does
    unplug: Callable[[], Awaitable[None]] | None = None
    replug: Callable[[], Awaitable[None]] | None = None
    play_um: float = 0.0  # between screw and nut: so much is uncertain where a move was cut short
    lamps: Callable[[], dict[str, float]] | None = None  # how bright each output truly is, 0..1


Make = Callable[[], AbstractAsyncContextManager[StageRig]]
Check = Callable[[Make], Awaitable[None]]


def at_share(stage: Stage, share: float) -> Position:
    """A place inside the limits: 0 is the low corner, 1 the high one."""
    low, high = stage.limits.low, stage.limits.high
    return Position(*(getattr(low, a) + share * (getattr(high, a) - getattr(low, a)) for a in AXES))


def distance_um(left: Position, right: Position) -> float:
    return max(abs(getattr(left, axis) - getattr(right, axis)) for axis in AXES)


async def require_at(rig: StageRig, stage: Stage, where: Position, *, cut_short: bool = False) -> None:
    assert distance_um(await stage.position(), where) <= rig.tolerance_um
    if rig.truth is not None:
        assert distance_um(rig.truth(), where) <= rig.tolerance_um + cut_short * rig.play_um


async def move_and_tell(stage: Stage, target: Position, told: list[DeviceError]) -> None:
    """For a move that somebody else will end."""
    try:
        await stage.move_to(target)
    except DeviceError as error:
        told.append(error)


async def until_under_way(stage: Stage, start: Position) -> None:
    while distance_um(await stage.position(), start) < 100.0:
        pass


@asynccontextmanager
async def on_its_way_down(stage: Stage, told: list[DeviceError]) -> AsyncIterator[trio.Nursery]:
    """Homed and under way from the high corner to the low one; left when that move has ended, however it did."""
    await stage.home()
    start = await stage.move_to(at_share(stage, 1.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(move_and_tell, stage, at_share(stage, 0.0), told)
        await until_under_way(stage, start)
        yield nursery


async def check_identity(make: Make) -> None:
    """The label says what kind of stage it is and whether it is a simulator."""
    async with make() as rig, rig.open() as stage:
        assert stage.identity.label.startswith("sim+") is stage.identity.simulated
        assert stage.identity.firmware
        assert all(getattr(stage.limits.low, axis) < getattr(stage.limits.high, axis) for axis in AXES)


async def check_not_homed_refuses_to_move(make: Make) -> None:
    async with make() as rig, rig.open() as stage:
        assert not stage.homed
        before = await stage.position()
        with pytest.raises(Refused, match="homed"):
            await stage.move_to(at_share(stage, 0.5))
        with pytest.raises(Refused, match="homed"):
            await stage.move_by(dx_um=10.0)
        assert await stage.position() == before


async def check_home(make: Make) -> None:
    """Homing ends inside the limits, at the same place every time, wherever it began."""
    async with make() as rig, rig.open() as stage:
        first = await stage.home()
        assert stage.homed
        assert all(getattr(stage.limits.low, a) <= getattr(first, a) <= getattr(stage.limits.high, a) for a in AXES)
        await require_at(rig, stage, first)
        await stage.move_to(at_share(stage, 0.4))
        assert distance_um(await stage.home(), first) <= rig.tolerance_um
        await require_at(rig, stage, first)


async def check_moves_end_where_they_should(make: Make) -> None:
    async with make() as rig, rig.open() as stage:
        await stage.home()
        for share in (0.0, 1.0, 0.5, 0.123456):
            target = at_share(stage, share)
            end = await stage.move_to(target)
            assert distance_um(end, target) <= rig.tolerance_um
            await require_at(rig, stage, end)


async def check_move_by(make: Make) -> None:
    async with make() as rig, rig.open() as stage:
        await stage.home()
        at = await stage.move_to(at_share(stage, 0.5))
        for step in ({"dz_um": 50.0}, {"dx_um": -200.0}, {"dy_um": 30.0, "dz_um": -25.0}, {}):
            wanted = Position(*(getattr(at, axis) + step.get(f"d{axis}", 0.0) for axis in AXES))
            at = await stage.move_by(**step)
            assert distance_um(at, wanted) <= rig.tolerance_um
            await require_at(rig, stage, at)


async def check_limits_are_refused_before_anything_moves(make: Make) -> None:
    async with make() as rig, rig.open() as stage:
        await stage.home()
        at = await stage.move_to(at_share(stage, 0.5))
        for axis in AXES:
            for bound, beyond in ((stage.limits.low, -1000.0), (stage.limits.high, 1000.0)):
                target = replace(at, **{axis: getattr(bound, axis) + beyond})
                with pytest.raises(Refused, match=axis):
                    await stage.move_to(target)
        with pytest.raises(Refused, match="z_um"):
            await stage.move_by(dz_um=1e9)
        with pytest.raises(Refused, match="x_um"):
            await stage.move_to(replace(at, x_um=math.nan))
        await require_at(rig, stage, at)
        assert stage.homed


async def check_cancelling_stops_and_keeps_the_position(make: Make) -> None:
    """Leaving the scope of a move stops it at once; the driver still knows where the stage is."""
    async with make() as rig, rig.open() as stage:
        await stage.home()
        start, target = await stage.move_to(at_share(stage, 1.0)), at_share(stage, 0.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.move_to, target)
            await until_under_way(stage, start)
            nursery.cancel_scope.cancel()
        rest = await stage.position()
        assert distance_um(rest, target) > 100.0, "it went on to its target"
        await require_at(rig, stage, rest, cut_short=True)
        assert await stage.position() == rest, "it does not rest"
        assert stage.homed
        assert distance_um(await stage.move_to(target), target) <= rig.tolerance_um
        await require_at(rig, stage, target)


async def check_cancelling_everything_stops(make: Make) -> None:
    """Also when the scope that opened the stage is cancelled together with the move."""
    async with make() as rig:
        with trio.CancelScope() as everything:
            async with rig.open() as stage:
                await stage.home()
                start, target = await stage.move_to(at_share(stage, 1.0)), at_share(stage, 0.0)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(stage.move_to, target)
                    await until_under_way(stage, start)
                    everything.cancel()
        rest = rig.truth() if rig.truth is not None else None
        async with rig.open() as stage:
            if rig.truth is not None and rest is not None:
                assert distance_um(rest, target) > 100.0
                assert rig.truth() == rest


async def check_cancelling_before_the_first_step_moves_nothing_afterwards(make: Make) -> None:
    """At whatever await the cancel comes, the stage rests when the scope has been left."""
    async with make() as rig, rig.open() as stage:
        await stage.home()
        await stage.move_to(at_share(stage, 1.0))
        for checkpoints in range(8):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stage.move_to, at_share(stage, checkpoints % 2))
                for _ in range(checkpoints):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            rest = await stage.position()
            for _ in range(5):
                assert await stage.position() == rest
            await require_at(rig, stage, rest, cut_short=True)
        assert stage.homed


async def check_stop(make: Make) -> None:
    """Another task can stop a move; its caller is told, and the position is kept."""
    async with make() as rig, rig.open() as stage:
        told: list[DeviceError] = []
        async with on_its_way_down(stage, told):
            rest = await stage.stop()
        assert len(told) == 1
        assert isinstance(told[0], DeviceFault)
        assert told[0].code == "stopped"
        assert distance_um(rest, at_share(stage, 0.0)) > 100.0
        await require_at(rig, stage, rest, cut_short=True)
        assert stage.homed
        assert await stage.stop() == rest, "a stage at rest stays where it is"


async def check_stop_also_ends_what_waits_for_its_turn(make: Make) -> None:
    """Who presses stop does not want the next move, which was asked for before, to begin."""
    async with make() as rig, rig.open() as stage:
        told: list[DeviceError] = []
        async with on_its_way_down(stage, told) as nursery:
            nursery.start_soon(move_and_tell, stage, at_share(stage, 0.5), told)
            for _ in range(4):
                await trio.lowlevel.checkpoint()
            await stage.stop()
        assert [error.code for error in told if isinstance(error, DeviceFault)] == ["stopped"] * 2
        rest = await stage.position()
        assert distance_um(rest, at_share(stage, 0.0)) > 100.0
        await require_at(rig, stage, rest, cut_short=True)
        assert stage.homed


async def check_one_motion_at_a_time(make: Make) -> None:
    async with make() as rig, rig.open() as stage:
        await stage.home()
        ends: list[Position] = []

        async def move(share: float) -> None:
            target = at_share(stage, share)
            end = await stage.move_to(target)
            assert distance_um(end, target) <= rig.tolerance_um
            ends.append(end)

        async with trio.open_nursery() as nursery:
            for share in (0.2, 0.8, 0.5):
                nursery.start_soon(move, share)
        await require_at(rig, stage, ends[-1])


async def check_an_alarm_is_told_and_homing_recovers(make: Make) -> None:
    async with make() as rig, rig.open() as stage:
        if rig.alarm is None:
            return
        told: list[DeviceError] = []
        async with on_its_way_down(stage, told):
            await rig.alarm()
        assert [type(error) for error in told] == [DeviceFault]
        assert not stage.homed
        with pytest.raises(Refused, match="homed"):
            await stage.move_to(at_share(stage, 0.5))
        await require_at(rig, stage, await stage.home())
        target = at_share(stage, 0.5)
        await require_at(rig, stage, await stage.move_to(target))


async def check_unplugged_is_lost_and_replugged_can_be_opened(make: Make) -> None:
    async with make() as rig:
        if rig.unplug is None or rig.replug is None:
            return
        async with rig.open() as stage:
            told: list[DeviceError] = []
            async with on_its_way_down(stage, told):
                await rig.unplug()
            assert [type(error) for error in told] == [DeviceLost]
            assert not stage.homed
            for call in (stage.position, stage.home, stage.stop):
                with pytest.raises(DeviceLost):
                    await call()
        with pytest.raises(DeviceLost):
            async with rig.open():
                pass
        await rig.replug()
        async with rig.open() as stage:
            assert not stage.homed
            await require_at(rig, stage, await stage.home())


async def check_leaving_stops_and_closes(make: Make) -> None:
    async with make() as rig:
        async with rig.open() as stage:
            await stage.home()
            start = await stage.move_to(at_share(stage, 1.0))
            told: list[DeviceError] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(move_and_tell, stage, at_share(stage, 0.0), told)
                await until_under_way(stage, start)
                await stage.aclose()
            assert len(told) == 1
            with pytest.raises(DeviceLost):
                await stage.position()
            await stage.aclose()
        if rig.truth is not None:
            rest = rig.truth()
            assert distance_um(rest, at_share(stage, 0.0)) > 100.0
        async with rig.open() as stage:  # the port is free again
            assert not stage.homed
            if rig.truth is not None:
                assert rig.truth() == rest


async def watch(stage: Stage, seen: list[StampedPosition]) -> None:
    async with aclosing(stage.positions()) as positions:
        async for stamped in positions:
            seen.append(stamped)  # noqa: PERF401 - the others look at it meanwhile


async def check_positions_are_told_again_and_again(make: Make) -> None:
    """At rest and on the way, never more than ten times a second, each with the time at which it was true."""
    async with make() as rig, rig.open() as stage:
        await stage.home()
        ends = [await stage.move_to(at_share(stage, 1.0)), at_share(stage, 0.0)]
        seen: list[StampedPosition] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, stage, seen)
            for turn in count():
                if any(min(distance_um(each.position, end) for end in ends) > 100.0 for each in seen):
                    break
                end = ends[(turn + 1) % 2]
                assert distance_um(await stage.move_to(end), end) <= rig.tolerance_um
                # Out of step with the stream, which on a board that answers between slices could meet the ends alone.
                await trio.sleep(0.017 * (turn % 6))
            nursery.cancel_scope.cancel()
        rest = await stage.position()
        async with aclosing(stage.positions()) as positions:
            told = [await anext(positions) for _ in range(3)]
        assert [each.position for each in told] == [rest] * 3
        seen += told[1:]
        stamps = [each.monotonic_ns for each in seen]
        assert all(after - before > 90e6 for before, after in pairwise(stamps))
        await require_at(rig, stage, rest)


async def check_watching_the_position_disturbs_nothing(make: Make) -> None:
    """Neither a move nor a homing, and who stops watching in the middle stops nothing else."""
    async with make() as rig, rig.open() as stage:
        seen: list[StampedPosition] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, stage, seen)
            await stage.home()
            nursery.cancel_scope.cancel()
        target = at_share(stage, 0.0)
        watching = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            await stage.move_to(at_share(stage, 1.0))

            async def until_told() -> None:
                with watching:
                    await watch(stage, seen)

            nursery.start_soon(until_told)
            nursery.start_soon(move_and_tell, stage, target, [])
            await trio.lowlevel.checkpoint()
            watching.cancel()
        await require_at(rig, stage, target)


async def check_outputs_do_what_they_are_told(make: Make) -> None:
    """And one alone: switching an output leaves the others as they are."""
    async with make() as rig, rig.open() as stage:
        await stage.home()
        for name in stage.outputs:
            await stage.set_output(name, 1.0)
            if rig.lamps is not None:
                assert rig.lamps()[name] == 1.0
        for dark, name in enumerate(stage.outputs, start=1):
            await stage.set_output(name, 0.0)
            if rig.lamps is not None:
                levels = [rig.lamps()[each] for each in stage.outputs]
                assert levels == [0.0] * dark + [1.0] * (len(levels) - dark)
        at = await stage.position()
        await require_at(rig, stage, at)


async def check_outputs_that_the_board_put_out_are_counted(make: Make) -> None:
    """Nobody else can know that they are dark, and light them again."""
    async with make() as rig, rig.open() as stage:
        if rig.alarm is None or rig.lamps is None or not stage.outputs:
            return
        await stage.home()
        for name in stage.outputs:
            await stage.set_output(name, 1.0)
        before = stage.outputs_lost
        start, target = await stage.move_to(at_share(stage, 1.0)), at_share(stage, 0.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(move_and_tell, stage, target, [])
            await until_under_way(stage, start)
            await rig.alarm()
        await stage.home()
        if stage.outputs_lost == before:
            assert all(rig.lamps()[name] == 1.0 for name in stage.outputs)


async def check_outputs_that_are_not_there_are_refused(make: Make) -> None:
    async with make() as rig, rig.open() as stage:
        with pytest.raises(Refused, match="no output 'searchlight'"):
            await stage.set_output("searchlight", 1.0)
        for name in stage.outputs:
            for level in (-0.1, 1.1, math.nan, math.inf):
                with pytest.raises(Refused, match=f"level .* of {name}"):
                    await stage.set_output(name, level)
        if rig.lamps is not None:
            assert not any(rig.lamps().values())


async def check_the_same_place_is_the_same_place_from_wherever_it_is_come_to(make: Make) -> None:
    """Also with play between screw and nut, where it is configured."""
    async with make() as rig, rig.open() as stage:
        await stage.home()
        target = at_share(stage, 0.5)
        for start in (0.1, 0.9, 0.5, 0.501, 0.499, 1.0):
            await stage.move_to(at_share(stage, start))
            end = await stage.move_to(target)
            assert distance_um(end, target) <= rig.tolerance_um
            await require_at(rig, stage, end)
        at = await stage.move_by(dx_um=-20.0, dy_um=20.0, dz_um=-20.0)
        await require_at(rig, stage, at)
        at = await stage.move_by(dx_um=20.0, dy_um=-20.0, dz_um=20.0)
        await require_at(rig, stage, at)


async def check_a_small_move_after_a_stop_arrives_from_below(make: Make) -> None:
    """A way that was cut short on the way down leaves the play above: a few um upwards do not take it up."""
    async with make() as rig, rig.open() as stage:
        told: list[DeviceError] = []
        async with on_its_way_down(stage, told) as nursery:
            nursery.cancel_scope.cancel()
        assert told == []
        at = await stage.move_by(dx_um=10.0, dy_um=10.0, dz_um=10.0)
        await require_at(rig, stage, at)


CHECKS: tuple[Check, ...] = (
    check_identity,
    check_not_homed_refuses_to_move,
    check_home,
    check_moves_end_where_they_should,
    check_move_by,
    check_limits_are_refused_before_anything_moves,
    check_cancelling_stops_and_keeps_the_position,
    check_cancelling_everything_stops,
    check_cancelling_before_the_first_step_moves_nothing_afterwards,
    check_stop,
    check_stop_also_ends_what_waits_for_its_turn,
    check_one_motion_at_a_time,
    check_an_alarm_is_told_and_homing_recovers,
    check_unplugged_is_lost_and_replugged_can_be_opened,
    check_leaving_stops_and_closes,
    check_positions_are_told_again_and_again,
    check_watching_the_position_disturbs_nothing,
    check_outputs_do_what_they_are_told,
    check_outputs_that_the_board_put_out_are_counted,
    check_outputs_that_are_not_there_are_refused,
    check_the_same_place_is_the_same_place_from_wherever_it_is_come_to,
    check_a_small_move_after_a_stop_arrives_from_below,
)


async def check_stage(make: Make) -> None:
    for check in CHECKS:
        with trio.fail_after(PATIENCE_S):
            await check(make)
