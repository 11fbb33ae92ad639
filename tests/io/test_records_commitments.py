"""The records of commitment: every cell of their state table, and what they cost with 100,000 instances."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from failing_sqlite import traced_statements
from records_material import HUNDRED_THOUSAND, NODE, START, StandingClock, exam_of, instance, uid_of

from firmware_app.dicom.commitment import MAX_INSTANCES, Judgement
from firmware_app.model import CommitmentState
from firmware_app.records.commitment_states import TRANSITIONS, TransactionEvent, TransactionState
from firmware_app.records.errors import UnknownRecord, WrongState
from firmware_app.records.store import DATABASE_NAME, Records, open_records

ASKED, REPORT_DUE = "commitment", START + timedelta(hours=1)


def again_at(attempts: int) -> datetime:
    return START + timedelta(seconds=attempts)


def uids() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"2.25.{next(numbers)}"


async def stored(records: Records, *numbers: int) -> None:
    await records.begin_exam(exam_of())
    for number in numbers:
        await records.save_object("exam-1", None, **instance(number), enqueue_for=NODE)
        await records.mark_sending(uid_of(number), NODE)
        await records.mark_stored(uid_of(number), NODE, 0)
    await records.finish_exam("exam-1")


async def happen(records: Records, event: TransactionEvent) -> None:
    table, uid = records.commitments, "2.25.1"
    if event is TransactionEvent.ASK:
        assert await table.begin_request(uid, REPORT_DUE)
    elif event is TransactionEvent.SETTLED:
        assert not await table.begin_request(uid, REPORT_DUE)
    elif event is TransactionEvent.ACCEPTED:
        await table.accepted(uid)
    elif event is TransactionEvent.REPORTED:
        await table.record(uid, "ARCHIVE", Judgement(committed=(uid_of(1),)), again_at, uids())
    else:
        await table.in_vain(uid, event, "why", again_at, uids_after_first())


def uids_after_first() -> Callable[[], str]:
    made = uids()
    made()
    return made


@pytest.mark.parametrize(("state", "event"), list(itertools.product(TransactionState, TransactionEvent)))
async def test_every_cell(tmp_path: Path, state: TransactionState, event: TransactionEvent) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await stored(records, 1)
        assert (await records.commitments.gather(NODE, ASKED, 60, uids())).transactions == ("2.25.1",)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as database:
        database.execute("UPDATE commitment_transactions SET state = ?", (state.value,))
        if event is TransactionEvent.SETTLED:
            database.execute("UPDATE deliveries SET commitment = 'committed'")
    database.close()
    async with open_records(tmp_path, clock=StandingClock()) as records:
        after = TRANSITIONS.get((state, event))
        if after is None:
            with pytest.raises(WrongState, match=f"2.25.1 is {state}: {event} cannot be"):
                await happen(records, event)
            after = state
        else:
            await happen(records, event)
        found = await records.commitments.find("2.25.1")
        assert found is not None and found.state is after
        expired = after is TransactionState.EXPIRED and state is not after
        assert (await records.commitments.find("2.25.2") is not None) is expired


async def test_an_unknown_transaction(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        assert await records.commitments.find("2.25.1") is None
        for event in (TransactionEvent.ASK, TransactionEvent.REPORTED, TransactionEvent.FAILED):
            with pytest.raises(UnknownRecord, match="no commitment transaction"):
                await happen(records, event)


async def test_no_request_is_longer_than_a_report_may_be(tmp_path: Path) -> None:
    numbers = range(1, MAX_INSTANCES + 2)
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await stored(records, 1)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as database:
        for table, key in (("objects", "sop_instance_uid"), ("deliveries", "sop_instance_uid")):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            others = ", ".join(name for name in columns if name not in (key, "place"))
            database.executemany(
                f"INSERT INTO {table} ({key}, {others}) SELECT ?, {others} FROM {table} WHERE {key} = '{uid_of(1)}'",
                [(uid_of(number),) for number in numbers[1:]],
            )
    database.close()
    async with open_records(tmp_path, clock=StandingClock()) as records:
        made = await records.commitments.gather(NODE, ASKED, 60, uids())
        lengths = [len(each.instances) for each in await records.commitments.newest()]
    assert (len(made.transactions), lengths) == (2, [1, MAX_INSTANCES])


async def test_what_is_asked_for_is_what_is_still_stored_and_open(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await stored(records, 1, 2, 3)
        await records.commitments.gather(NODE, ASKED, 60, uids())
    with sqlite3.connect(tmp_path / DATABASE_NAME) as database:
        for change, uid in (("commitment = 'committed'", uid_of(1)), ("state = 'failed'", uid_of(2))):
            database.execute(f"UPDATE deliveries SET {change} WHERE sop_instance_uid = ?", (uid,))
    database.close()
    async with open_records(tmp_path, clock=StandingClock()) as records:
        asked = await records.commitments.begin_request("2.25.1", REPORT_DUE)
        assert [each.sop_instance_uid for each in asked] == [uid_of(3)]
        assert (await records.delivery(uid_of(3), NODE)).commitment is CommitmentState.REQUESTED
        assert (await records.delivery(uid_of(1), NODE)).commitment is CommitmentState.COMMITTED


async def test_no_step_reads_the_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_records(tmp_path, clock=StandingClock()):
        pass
    database = sqlite3.connect(tmp_path / DATABASE_NAME)
    database.executescript(HUNDRED_THOUSAND)
    statements = traced_statements(monkeypatch)
    async with open_records(tmp_path, clock=StandingClock()) as records:
        statements.clear()
        table, new_uid = records.commitments, uids()
        assert len((await table.gather(NODE, ASKED, 60, new_uid)).transactions) == 250
        assert (await table.gather(NODE, ASKED, 60, new_uid)).transactions == ()
        await table.put_off(ASKED, "away")
        first, second, *_ = await table.in_state(ASKED, TransactionState.QUEUED)
        for transaction in (first, second):
            assert len(await table.begin_request(transaction.transaction_uid, REPORT_DUE)) == 4
            await table.accepted(transaction.transaction_uid)
        await table.in_vain(first.transaction_uid, TransactionEvent.TIMED_OUT, "late", again_at, new_uid)
        here, there, *others = (each.sop_instance_uid for each in second.instances)
        judgement = Judgement((here,), {there: 0x0112, others[0]: 0x0213}, (others[1],))
        answer = await table.record(second.transaction_uid, "ARCHIVE", judgement, again_at, new_uid)
        assert (len(answer.stored_again), len(answer.asked_again)) == (1, 2)
        await table.retry(others[0], NODE)
        await table.retry(None, NODE)
        await table.newest()
    asked = [text for text in statements if text.lstrip().startswith(("SELECT", "UPDATE", "DELETE"))]
    assert len(asked) > 20
    for text in asked:
        plan = "; ".join(row[3] for row in database.execute("EXPLAIN QUERY PLAN " + text))
        assert "SCAN" not in plan or ("LIMIT" in text and "WHERE" not in text), (text, plan)
    database.close()
