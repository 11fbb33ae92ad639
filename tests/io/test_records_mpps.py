"""The MPPS queue in the records: every step between states, what a restart finds, and no look at the whole table."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from records_material import StandingClock, exam_of

from firmware_app.model import Exam
from firmware_app.records import mpps
from firmware_app.records.errors import RecordConflict, UnknownRecord, WrongState
from firmware_app.records.mpps import MessageState, MppsDelivery, MppsMessage, MppsRecords, StepStatus
from firmware_app.records.store import Records, open_records

NODE = "mpps"


def step(number: int) -> Exam:
    return replace(exam_of(number), mpps_sop_instance_uid=f"1.2.9.{number}", performed_procedure_step_id=f"PPS{number}")


def message(number: int, status: StepStatus = "IN PROGRESS", node: str = NODE) -> MppsMessage:
    octets = f"{status} of {number}".encode()
    return MppsMessage(f"1.2.9.{number}", f"exam-{number}", node, status, octets)


async def begin(records: Records, *numbers: int) -> None:
    for number in numbers:
        await records.begin_exam(step(number), message(number))


async def end(records: Records, number: int) -> None:
    await records.finish_exam(f"exam-{number}", message(number, "COMPLETED"))


async def states(records: Records) -> list[str]:
    return [row.state.value for row in await records.mpps.messages()]


async def test_messages_keep_their_order_and_their_octets(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        await begin(records, 1, 2)
        await end(records, 2)
        await end(records, 1)
        sent = []
        while (head := (await records.mpps.head(NODE))[0]) is not None:
            sent.append((head.message.operation, head.message.exam_id, head.message.attributes))
            await records.mpps.mark_sending(head.place)
            await records.mpps.mark_done(head.place, 0)
        assert await records.mpps.head("another") == (None, [])
        assert await records.mpps.attributes(1) == b"IN PROGRESS of 1"
        with pytest.raises(UnknownRecord):
            await records.mpps.attributes(99)
    assert sent == [
        ("N-CREATE", "exam-1", b"IN PROGRESS of 1"),
        ("N-CREATE", "exam-2", b"IN PROGRESS of 2"),
        ("N-SET", "exam-2", b"COMPLETED of 2"),
        ("N-SET", "exam-1", b"COMPLETED of 1"),
    ]


Change = Callable[[MppsRecords, Any], Awaitable[MppsDelivery]]


async def to_sending(table: MppsRecords, due: Any) -> MppsDelivery:
    return await table.mark_sending(1)


async def to_done(table: MppsRecords, due: Any) -> MppsDelivery:
    return await table.mark_done(1, 0, "said")


async def to_retry(table: MppsRecords, due: Any) -> MppsDelivery:
    return await table.mark_retry(1, 0x0213, "later", due, in_doubt=False)


async def to_failed(table: MppsRecords, due: Any) -> MppsDelivery:
    return await table.mark_failed(1, 0x0106, "no")


CHANGES: dict[str, Change] = {"sending": to_sending, "done": to_done, "retry": to_retry, "failed": to_failed}
# From a state, by a change, to a state; what is not here is a WrongState.
STEPS = {
    ("queued", "sending"): "sending",
    ("queued", "retry"): "queued",
    ("queued", "failed"): "failed",
    ("sending", "done"): "done",
    ("sending", "retry"): "queued",
    ("sending", "failed"): "failed",
}
WAY_TO: dict[str, list[Change]] = {
    "queued": [],
    "sending": [to_sending],
    "done": [to_sending, to_done],
    "failed": [to_failed],
}


@pytest.mark.parametrize("start", WAY_TO)
@pytest.mark.parametrize("change", CHANGES)
async def test_every_step_between_states(tmp_path: Path, start: str, change: str) -> None:
    async with open_records(tmp_path) as records:
        await begin(records, 1)
        due = records.now() + timedelta(seconds=5)
        for way in WAY_TO[start]:
            await way(records.mpps, due)
        wanted = STEPS.get((start, change))
        if wanted is None:
            with pytest.raises(WrongState, match=start):
                await CHANGES[change](records.mpps, due)
            assert await states(records) == [start]
        else:
            assert (await CHANGES[change](records.mpps, due)).state == wanted


async def test_attempts_are_counted_once_each_and_doubt_stays(tmp_path: Path) -> None:
    clock = StandingClock()
    async with open_records(tmp_path, clock=clock) as records:
        await begin(records, 1)
        due = clock() + timedelta(seconds=5)
        assert (await records.mpps.mark_retry(1, None, "down", due, in_doubt=False)).attempts == 1
        head, _ = await records.mpps.head(NODE)
        assert head is not None and (head.wait_s, head.in_doubt) == (5.0, False)
        assert (await records.mpps.mark_sending(1)).attempts == 2
        assert (await records.mpps.mark_retry(1, None, "lost", due, in_doubt=True)).in_doubt
        await records.mpps.mark_sending(1)
        again = await records.mpps.mark_retry(1, 0x0213, "later", due, in_doubt=False)
        assert (again.attempts, again.in_doubt) == (3, True)
        clock.advance(5)
        head, _ = await records.mpps.head(NODE)
        assert head is not None and head.wait_s == 0


async def test_after_a_restart_what_was_being_sent_is_queued_and_in_doubt(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        await begin(records, 1, 2)
        await records.mpps.mark_sending(1)
    async with open_records(tmp_path) as records:
        first, second = await records.mpps.messages()
        assert (first.state, first.in_doubt, first.reason) == ("queued", True, "interrupted while sending")
        assert (second.state, second.in_doubt) == ("queued", False)
        assert await records.mpps.requeue_interrupted(NODE) == 0


async def test_the_rest_of_a_refused_step_is_parked_with_it_and_no_other(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        await begin(records, 1, 2)
        await records.mpps.mark_failed(1, 0x0106, "the peer's words")
        await end(records, 1)
        head, parked = await records.mpps.head(NODE)
        assert head is not None and head.message.exam_id == "exam-2"
        (follower,) = parked
        assert follower.reason == "not sent, because the N-CREATE of this step failed: the peer's words"
        assert await states(records) == ["failed", "queued", "failed"]
        assert (await records.mpps.head(NODE))[1] == []


async def test_by_hand_a_whole_step_is_queued_again_in_its_order_and_nothing_waits(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        await begin(records, 1, 2)
        await end(records, 1)
        await records.mpps.mark_failed(1, 0x0106, "no")
        await records.mpps.head(NODE)
        await records.mpps.mark_retry(2, None, "down", records.now() + timedelta(hours=1), in_doubt=False)
        assert await records.mpps.retry("1.2.9.77") == 0
        assert await records.mpps.retry("1.2.9.1", "another") == 0
        assert await records.mpps.retry("1.2.9.1") == 3  # two that failed, and one that waited behind
        head, _ = await records.mpps.head(NODE)
        assert head is not None and (head.message.exam_id, head.wait_s) == ("exam-1", 0.0)
        await records.mpps.mark_failed(head.place, 0x0106, "no")
        assert await records.mpps.retry() == 1


async def test_the_same_exam_again_queues_nothing_twice(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        await begin(records, 1)
        await begin(records, 1)
        with pytest.raises(RecordConflict):
            await records.begin_exam(replace(step(1), operator="Somebody^Else"), message(1))
        await end(records, 1)
        await records.finish_exam("exam-1", message(1, "DISCONTINUED"))
        rows = await records.mpps.messages(exam_id="exam-1")
        assert [row.step_status for row in rows] == ["IN PROGRESS", "COMPLETED"]
        counts = await records.mpps.counts(NODE)
    assert counts == {state: 2 if state is MessageState.QUEUED else 0 for state in MessageState}


async def test_an_exam_is_finished_once_it_is_closed(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        await begin(records, 1)
        assert not await records.exam_is_finished("exam-1")
        await end(records, 1)
        assert await records.exam_is_finished("exam-1")
        with pytest.raises(UnknownRecord):
            await records.exam_is_finished("exam-2")


async def test_no_look_at_the_queue_reads_the_whole_table(tmp_path: Path) -> None:
    async with open_records(tmp_path):
        pass
    connection = sqlite3.connect(tmp_path / "records.sqlite3")
    statements = [mpps._HEAD, mpps._FOLLOWERS_TO_FAILED, mpps._INTERRUPTED_TO_QUEUED]
    values = dict.fromkeys(("node", "now", "uid", "limit"), "")
    for sql in statements:
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))
        assert "SCAN" not in plan, (sql, plan)
    connection.close()
