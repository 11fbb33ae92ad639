"""What people decide about the queue: hold, release, redirect, per instance, exam and node, across restarts."""

from __future__ import annotations

from pathlib import Path

import pytest
from records_material import NODE, StandingClock, exam_of, instance, uid_of

from firmware_app.model import DeliveryState
from firmware_app.records import files
from firmware_app.records.errors import StorageFault, WrongState
from firmware_app.records.steering import Chosen
from firmware_app.records.store import Records, open_records
from firmware_app.services.standing import Standing, standing_of

ONE = Chosen(sop_instance_uid=uid_of(1))


async def fill(records: Records, *counts: int, node: str | None = NODE) -> None:
    """So many instances in exam 1, 2, ..."""
    number = 0
    for exam, count in enumerate(counts, start=1):
        await records.begin_exam(exam_of(exam))
        for _ in range(count):
            number += 1
            await records.save_object(f"exam-{exam}", None, **instance(number), enqueue_for=node)


async def due(records: Records, node: str = NODE) -> list[str]:
    return [each.sop_instance_uid for each in await records.next_due(node, limit=100)]


async def states(records: Records) -> list[str]:
    return [str(each.state) for each in await records.deliveries()]


async def test_a_held_instance_waits_across_a_restart_and_keeps_its_place(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 3)
        done = await records.steering.hold(ONE)
        assert [each.sop_instance_uid for each in done.deliveries] == [uid_of(1)]
        assert done.deliveries[0].next_attempt_at == ""
    async with open_records(tmp_path, clock=StandingClock()) as records:
        assert await states(records) == ["held", "queued", "queued"]
        assert await due(records) == [uid_of(2), uid_of(3)]
        with pytest.raises(WrongState, match="is held"):
            await records.mark_sending(uid_of(1), NODE)
        assert len((await records.steering.release(ONE)).deliveries) == 1
        assert await due(records) == [uid_of(1), uid_of(2), uid_of(3)]


async def test_an_exam_is_held_as_a_whole_and_failed_ones_too(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 2, 1)
        await records.mark_failed(uid_of(1), NODE, 0xC000, "no")
        assert len((await records.steering.hold(Chosen(exam_id="exam-1"))).deliveries) == 2
        assert await states(records) == ["held", "held", "queued"]
        assert (await records.steering.release(Chosen(exam_id="exam-2"))).deliveries == ()
        assert len((await records.steering.release(Chosen(exam_id="exam-1", node="elsewhere"))).deliveries) == 0
        assert len((await records.steering.release(Chosen(exam_id="exam-1", node=NODE))).deliveries) == 2
        assert await states(records) == ["queued"] * 3


async def test_what_is_being_sent_or_stored_is_left_and_counted(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 3)
        await records.mark_sending(uid_of(1), NODE)
        await records.mark_stored(uid_of(1), NODE, 0)
        await records.mark_sending(uid_of(2), NODE)
        done = await records.steering.hold(Chosen())
        assert ([each.sop_instance_uid for each in done.deliveries], done.being_sent) == ([uid_of(3)], 1)
        assert await states(records) == ["stored", "sending", "held"]
        moved = await records.steering.redirect(Chosen(), "backup")
        assert ([each.sop_instance_uid for each in moved.deliveries], moved.being_sent) == ([uid_of(3)], 1)


async def test_a_held_node_gets_nothing_also_of_what_comes_later(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 1)
        await records.enqueue(uid_of(1), "backup")
        assert await records.steering.hold_node(NODE)
        assert not await records.steering.hold_node(NODE)
    async with open_records(tmp_path, clock=StandingClock()) as records:
        assert list(await records.steering.held_nodes()) == [NODE]
        await records.save_object("exam-1", None, **instance(2), enqueue_for=NODE)
        assert await due(records) == []
        assert await due(records, "backup") == [uid_of(1)]
        with pytest.raises(WrongState, match="the node is held"):
            await records.mark_sending(uid_of(1), NODE)
        assert [standing_of(each) for each in await records.deliveries(node=NODE)] == [Standing.HELD] * 2
        assert await records.retry_all() == 0
        assert await records.steering.release_node(NODE)
        assert not await records.steering.release_node(NODE)
        assert await due(records) == [uid_of(1), uid_of(2)]


async def test_redirected_instances_go_behind_the_others_as_never_tried(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 2, 1)
        await records.enqueue(uid_of(3), "backup")
        await records.mark_sending(uid_of(1), NODE)
        await records.mark_failed(uid_of(1), NODE, 0xC000, "cannot understand")
        done = await records.steering.redirect(Chosen(exam_id="exam-1"), "backup")
        assert [(each.node, each.state, each.attempts, each.status) for each in done.deliveries] == [
            ("backup", DeliveryState.QUEUED, 0, None)
        ] * 2
        assert {each.reason for each in done.deliveries} == {f"sent here by hand instead of {NODE}"}
        assert await due(records, "backup") == [uid_of(3), uid_of(1), uid_of(2)]
        assert await due(records) == [uid_of(3)]


async def test_what_the_other_node_has_already_is_not_queued_there_again(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 1)
        await records.enqueue(uid_of(1), "backup")
        await records.mark_sending(uid_of(1), "backup")
        await records.mark_stored(uid_of(1), "backup", 0)
        done = await records.steering.redirect(ONE, "backup")
        assert [(each.node, each.state) for each in done.deliveries] == [("backup", DeliveryState.STORED)]
        assert [each.node for each in await records.deliveries()] == ["backup"]
        assert (await records.steering.redirect(ONE, NODE)).deliveries == ()  # what is stored stays where it is


@pytest.mark.parametrize("is_there_too", [False, True])
async def test_a_rebuilt_database_sends_nothing_where_it_was_not_to_go(tmp_path: Path, is_there_too: bool) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 1)
        if is_there_too:
            await records.enqueue(uid_of(1), "backup")
        await records.steering.redirect(ONE, "backup")
    for path in tmp_path.glob("records*.sqlite3*"):  # noqa: ASYNC240
        path.unlink()
    async with open_records(tmp_path, clock=StandingClock(), default_node=NODE) as records:
        assert [each.node for each in await records.deliveries()] == ["backup"]


async def test_a_redirection_that_the_disk_refuses_moves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sidecar first, then the row: else a rebuilt database would not send it there."""

    def refuse(path: Path, data: bytes, left: set[Path] | None = None) -> None:
        raise StorageFault(path, "No space left on device")

    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 1)
        with monkeypatch.context() as context, pytest.raises(StorageFault):
            context.setattr(files, "replace_file", refuse)
            await records.steering.redirect(ONE, "backup")
        assert [each.node for each in await records.deliveries()] == [NODE]


async def test_a_retry_by_hand_of_one_exam(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 2, 1)
        for number in (1, 2, 3):
            await records.mark_failed(uid_of(number), NODE, 0xC000, "no")
        assert await records.retry(exam_id="exam-1") == 2
        assert await states(records) == ["queued", "queued", "failed"]
        assert await records.retry(exam_id="exam-2", node="elsewhere") == 0


async def test_the_words_and_the_filters_agree(tmp_path: Path) -> None:
    """Each standing's filter finds exactly the rows that have its word, and the tallies count the same."""
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 5)
        await records.begin_exam(exam_of(2))
        await records.save_object("exam-2", None, **instance(9))
        await records.mark_sending(uid_of(1), NODE)
        await records.mark_stored(uid_of(1), NODE, 0)
        await records.mark_sending(uid_of(2), NODE)
        await records.steering.hold(Chosen(sop_instance_uid=uid_of(3)))
        await records.mark_failed(uid_of(4), NODE, None, "no")
        await records.enqueue(uid_of(5), "other")
        await records.steering.hold_node("other")
        everything = await records.deliveries()
        words = {standing_of(each) for each in everything}
        assert len(words) == 6
        for word in Standing:
            expected = [each for each in everything if standing_of(each) is word]
            assert await records.deliveries(standing=word) == expected
            counted = sum(each.count for each in await records.steering.tallies() if standing_of(each) is word)
            assert counted == len(expected)
        undelivered = await records.steering.tallies(undelivered=True)
        assert sorted(each.state for each in undelivered) == ["failed", "held", "queued", "queued"]
