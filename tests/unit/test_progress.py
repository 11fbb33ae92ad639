"""Who waits, who works, who hangs and who has died: the table alone, on a clock of the test's own."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from firmware_app.progress import (
    DISK_S,
    SERVICE_S,
    Arriving,
    PartState,
    ProgressTable,
    finished,
    idle,
    step,
    waiting,
    working,
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock) -> ProgressTable:
    return ProgressTable(clock)


def only(table: ProgressTable) -> PartState:
    (state,) = table.states()
    return state


def test_an_idle_part_may_wait_for_ever(table: ProgressTable, clock: Clock) -> None:
    with table.part("delivery"), idle("something to send"):
        clock.now_s += 7 * 86400
        state = only(table)
        assert (state.doing, state.what, state.for_s) == ("idle", "something to send", 7 * 86400)
        assert table.troubles() == ()


async def test_until_the_next_one_comes_a_part_is_idle_and_with_it_it_works(table: ProgressTable) -> None:
    send, receive = trio.open_memory_channel[int](2)
    got = []

    async def take() -> None:
        with table.part("analysis"):
            async for number in Arriving(receive, "a capture"):
                got.append((number, only(table).doing))  # noqa: PERF401

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        assert (only(table).doing, only(table).what) == ("idle", "a capture")
        await send.send(1)
        await send.send(2)
        await send.aclose()
    assert got == [(1, "working"), (2, "working")]


@pytest.mark.parametrize("limit_s", [DISK_S, 5.0])
def test_work_that_lasts_too_long_hangs(table: ProgressTable, clock: Clock, limit_s: float) -> None:
    with table.part("records"), working("the disk", limit_s):
        clock.now_s += limit_s
        assert only(table).doing == "working"
        clock.now_s += 1
        (trouble,) = table.troubles()
        assert trouble.why == f"records hangs: the disk for {limit_s + 1:.0f} s, longer than {limit_s:.0f} s"


def test_what_nobody_declares_has_a_limit(table: ProgressTable, clock: Clock) -> None:
    with table.part("lights"):
        clock.now_s += SERVICE_S + 1
        assert only(table).doing == "hung"
        step()
        assert only(table).doing == "working"


def test_only_the_innermost_is_judged_and_the_outer_begins_again(table: ProgressTable, clock: Clock) -> None:
    with table.part("delivery"):
        with working("sending", 10), waiting("the archive", 1000):
            clock.now_s += 500
            assert only(table).what == "the archive"
            assert table.troubles() == ()
        with working("sending", 10):
            for _ in range(5):
                with waiting("the archive", 1000):
                    clock.now_s += 9
            assert table.troubles() == ()
            clock.now_s += 11
            assert table.troubles()[0].what == "sending"


def test_one_of_several_tasks_that_hangs_is_enough(table: ProgressTable, clock: Clock) -> None:
    """As tasks that a part has started: each is inside of the part, none inside of another."""
    import contextvars

    with table.part("own port"), idle("associations"):
        hanging, other = contextvars.copy_context(), contextvars.copy_context()
        scope = working("the disk", 10)
        hanging.run(scope.__enter__)
        clock.now_s += 11
        quick = waiting("a peer")
        other.run(quick.__enter__)
        assert (only(table).doing, only(table).what) == ("hung", "the disk")
        hanging.run(scope.__exit__, None, None, None)
        assert (only(table).doing, only(table).what) == ("idle", "a peer")
        other.run(quick.__exit__, None, None, None)


def test_steps_grow_with_every_activity(table: ProgressTable) -> None:
    with table.part("analysis"):
        before = only(table).steps
        with working("measuring"):
            step()
        assert only(table).steps == before + 2


def test_a_part_that_ends_by_itself_has_died(table: ProgressTable, clock: Clock) -> None:
    with table.part("worklist"):
        pass
    clock.now_s += 3
    assert table.troubles()[0].why == "worklist has ended by itself 3 s ago (ended)"


def test_a_part_with_nothing_to_do_may_end(table: ProgressTable) -> None:
    with table.part("print"):
        finished("no printer is configured")
    assert (only(table).doing, only(table).what) == ("done", "no printer is configured")
    assert table.troubles() == ()


def test_an_error_or_a_cancellation_is_no_death(table: ProgressTable) -> None:
    with pytest.raises(OSError), table.part("stage"):  # the nursery hears of it
        raise OSError
    assert table.troubles() == ()


def test_nothing_is_judged_while_the_service_ends(table: ProgressTable, clock: Clock) -> None:
    with table.part("analysis"):
        pass
    with table.part("records"), working("the disk", 1):
        clock.now_s += 2
        assert len(table.troubles()) == 2
        table.is_ending = True
        assert table.troubles() == ()


def test_outside_of_a_part_nothing_happens() -> None:
    with idle("events"), working("the disk"), waiting("a peer"):
        step()
        finished("nobody asks")
