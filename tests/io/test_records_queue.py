"""The delivery queue: order, states, what a crash leaves, and how it behaves with 100,000 instances."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from failing_sqlite import traced_statements
from records_material import HUNDRED_THOUSAND, NODE, START, StandingClock, exam_of, instance, uid_of

from firmware_app.model import DeliveryState
from firmware_app.records import queue
from firmware_app.records.errors import UnknownRecord, WrongState
from firmware_app.records.store import DATABASE_NAME, Records, open_records

LATER = START + timedelta(seconds=30)


async def fill(records: Records, count: int, node: str | None = NODE) -> None:
    await records.begin_exam(exam_of())
    for number in range(1, count + 1):
        await records.save_object("exam-1", None, **instance(number), enqueue_for=node)


async def order_of(records: Records, node: str = NODE) -> list[str]:
    return [outgoing.sop_instance_uid for outgoing in await records.next_due(node, limit=100)]


async def test_instances_are_due_in_the_order_they_were_queued(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 3, node=None)
        for number in (2, 3, 1):
            await records.enqueue(uid_of(number), NODE)
        assert await order_of(records) == [uid_of(2), uid_of(3), uid_of(1)]
        (head,) = await records.next_due(NODE)
        assert head.path.read_bytes() == instance(2)["data"]
        assert (head.wait_s, head.attempts, head.node) == (0.0, 0, NODE)
        assert await records.next_due("elsewhere") == []


async def test_captured_is_a_state_until_somebody_queues(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 2, node=None)
        (first, _) = await records.deliveries(state=DeliveryState.CAPTURED)
        assert (first.sop_instance_uid, first.node, first.next_attempt_at) == (uid_of(1), "", "")
        await records.enqueue(uid_of(1), NODE)
        await records.enqueue(uid_of(1), "second archive")
        assert [each.sop_instance_uid for each in await records.deliveries(state=DeliveryState.CAPTURED)] == [uid_of(2)]
        assert [each.node for each in await records.deliveries(state=DeliveryState.QUEUED)] == [NODE, "second archive"]
        with pytest.raises(UnknownRecord, match="no instance"):
            await records.enqueue("1.2.9", NODE)


async def test_queueing_again_changes_nothing(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 1)
        await records.mark_sending(uid_of(1), NODE)
        await records.mark_stored(uid_of(1), NODE, 0xB000, "coerced")
        await records.enqueue(uid_of(1), NODE)
        (only,) = await records.deliveries()
        assert (only.state, only.status, only.reason, only.attempts) == (DeliveryState.STORED, 0xB000, "coerced", 1)


async def test_a_waiting_head_holds_back_the_younger_and_a_parked_one_does_not(tmp_path: Path) -> None:
    clock = StandingClock()
    async with open_records(tmp_path, clock=clock) as records:
        await fill(records, 3)
        await records.mark_sending(uid_of(1), NODE)
        assert await order_of(records) == [uid_of(2), uid_of(3)]
        delivery = await records.mark_retry(uid_of(1), NODE, 0xA700, "out of resources", LATER)
        assert delivery.next_attempt_at == "2026-03-01T09:00:30.000000+00:00"
        assert (delivery.status, delivery.reason) == (0xA700, "out of resources")
        head, second, _ = await records.next_due(NODE, limit=3)
        assert (head.sop_instance_uid, head.wait_s, second.wait_s) == (uid_of(1), 30.0, 0.0)
        clock.advance(31)
        assert [each.wait_s for each in await records.next_due(NODE, limit=3)] == [0.0, 0.0, 0.0]
        assert (await records.next_due(NODE, now=START))[0].wait_s == 30.0
        await records.mark_failed(uid_of(1), NODE, None, "the file is damaged")
        assert await order_of(records) == [uid_of(2), uid_of(3)]


async def test_stepping_aside_is_a_new_place_at_the_end(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 3)
        await records.mark_sending(uid_of(1), NODE)
        await records.mark_retry(uid_of(1), NODE, None, "broken off", LATER, step_aside=True)
        assert await order_of(records) == [uid_of(2), uid_of(3), uid_of(1)]


async def test_what_a_crash_left_as_sending_is_queued_again_at_its_place(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 2)
        await records.mark_sending(uid_of(1), NODE)
    async with open_records(tmp_path, clock=StandingClock()) as records:
        assert await order_of(records) == [uid_of(1), uid_of(2)]
        delivery = await records.delivery(uid_of(1), NODE)
        assert (delivery.state, delivery.reason, delivery.attempts) == (DeliveryState.QUEUED, queue.INTERRUPTED, 1)
        await records.mark_sending(uid_of(1), NODE)
        assert await records.requeue_interrupted("elsewhere") == 0
        assert await records.requeue_interrupted(NODE) == 1


async def test_by_hand_the_failed_are_queued_again_and_waiting_ends(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 3)
        await records.enqueue(uid_of(1), "other")
        for number in (1, 2):
            await records.mark_failed(uid_of(number), NODE, 0xC000, "cannot understand")
        await records.mark_sending(uid_of(3), NODE)
        await records.mark_retry(uid_of(3), NODE, None, "refused", LATER)
        assert await records.retry(uid_of(2)) == 2
        assert await order_of(records) == [uid_of(2), uid_of(3)]
        assert [each.wait_s for each in await records.next_due(NODE, limit=9)] == [0.0, 0.0]
        assert (await records.delivery(uid_of(2), NODE)).reason == "cannot understand"
        assert await records.retry_all("other") == 0
        assert await records.retry(uid_of(1), "other") == 0
        assert await records.retry_all() == 1
        assert await order_of(records) == [uid_of(1), uid_of(2), uid_of(3)]
        assert await records.retry("1.2.9") == 0


Step = Callable[[Records], Awaitable[object]]
STEPS: dict[str, Step] = {
    "sending": lambda records: records.mark_sending(uid_of(1), NODE),
    "stored": lambda records: records.mark_stored(uid_of(1), NODE, 0),
    "retry": lambda records: records.mark_retry(uid_of(1), NODE, None, "", LATER),
    "failed": lambda records: records.mark_failed(uid_of(1), NODE, None, ""),
}
# Each state by the steps that lead there, and what may follow.
CASES = [
    ((), {"sending", "failed"}),
    (("sending",), {"stored", "retry", "failed"}),
    (("sending", "retry"), {"sending", "failed"}),
    (("sending", "stored"), set()),
    (("sending", "failed"), set()),
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("before", "allowed"), CASES)
async def test_no_other_step_than_these(tmp_path: Path, before: tuple[str, ...], allowed: set[str], step: str) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 1)
        for earlier in before:
            await STEPS[earlier](records)
        (standing,) = await records.deliveries()
        if step in allowed:
            await STEPS[step](records)
            return
        with pytest.raises(WrongState, match=f"is {standing.state}"):
            await STEPS[step](records)
        assert await records.deliveries() == [standing]


async def test_a_step_of_something_never_queued_is_named(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        await fill(records, 1)
        with pytest.raises(UnknownRecord, match="was never queued for elsewhere"):
            await records.mark_sending(uid_of(1), "elsewhere")


async def test_screens_show_what_was_asked_for(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await fill(records, 3)
        await records.begin_exam(exam_of(2))
        await records.save_object("exam-2", None, **{**instance(4), "kind": "report"}, enqueue_for="other")
        await records.mark_failed(uid_of(2), NODE, None, "why")

        async def shown(**wanted: object) -> list[str]:
            return [each.sop_instance_uid for each in await records.deliveries(**wanted)]

        assert await shown() == [uid_of(number) for number in (1, 2, 3, 4)]
        assert await shown(newest_first=True, limit=2) == [uid_of(4), uid_of(3)]
        assert await shown(state=DeliveryState.QUEUED) == [uid_of(1), uid_of(3), uid_of(4)]
        assert await shown(state=DeliveryState.QUEUED, node=NODE) == [uid_of(1), uid_of(3)]
        assert await shown(exam_id="exam-2") == [uid_of(4)]
        assert await shown(exam_id="exam-2", node=NODE) == []
        assert (await records.deliveries(node="other"))[0].kind == "report"
        zero = dict.fromkeys(DeliveryState, 0)
        assert await records.counts() == {**zero, DeliveryState.QUEUED: 3, DeliveryState.FAILED: 1}
        assert await records.counts("other") == {**zero, DeliveryState.QUEUED: 1}


async def test_no_screen_and_no_step_reads_the_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plans are made for a database that knows from statistics how large it is."""
    async with open_records(tmp_path, clock=StandingClock()):
        pass
    database = sqlite3.connect(tmp_path / DATABASE_NAME)
    database.executescript(HUNDRED_THOUSAND)
    statements = traced_statements(monkeypatch)
    async with open_records(tmp_path, clock=StandingClock()) as records:
        statements.clear()
        assert len(await records.next_due(NODE, limit=32)) == 32
        for state in DeliveryState:
            await records.deliveries(state=state)
            await records.deliveries(state=state, node=NODE)
        await records.deliveries(newest_first=True)
        assert len(await records.deliveries(exam_id="exam-77")) == 4
        await records.delivery("1.9.5", NODE)
        await records.mark_sending("1.9.5", NODE)
        await records.mark_retry("1.9.5", NODE, None, "", LATER, step_aside=True)
        await records.mark_failed("1.9.5", NODE, None, "")
        await records.requeue_interrupted(NODE)
        await records.retry("1.9.5")
        await records.retry_all(NODE)
        await records.retry_all()
        await records.exams()
        await records.unfinished_exams()
        await records.captures("exam-77")
        await records.objects("exam-77")
    asked = [text for text in statements if text.lstrip().startswith(("SELECT", "UPDATE"))]
    assert len(asked) >= 20
    for text in asked:
        plan = "; ".join(row[3] for row in database.execute("EXPLAIN QUERY PLAN " + text))
        # In the order of the key and up to a limit is no reading of the whole, unless a condition may pass all over.
        assert "SCAN" not in plan or ("LIMIT" in text and "WHERE" not in text and "TEMP B-TREE" not in plan), (
            text,
            plan,
        )
        if "d.state = " in text:
            index = (
                "deliveries_of_node (node=? AND state=?)" if "d.node = " in text else "deliveries_in_state (state=?)"
            )
            assert index in plan, (text, plan)
            assert "TEMP B-TREE" not in plan, (text, plan)
    database.close()
