"""Storage commitment as it is kept: transactions, their instances, and what was answered.

Every change of several rows is one transaction of the database: a report is answered only when all of it is on disk,
and a broken-off request is never forgotten. Synchronous but for `CommitmentRecords`, which the services see.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from firmware_app.dicom.commitment import Judgement
from firmware_app.dicom.statuses import NO_SUCH_SOP_INSTANCE
from firmware_app.model import CommitmentState, ReferencedInstance
from firmware_app.records.commitment_answers import Answer, Answering
from firmware_app.records.commitment_rows import (
    WORTH_ASKING,
    NewUid,
    WhenAgain,
    ask_again,
    enter,
    insert,
    say,
    worth_asking,
)
from firmware_app.records.commitment_states import OPEN, TransactionEvent, TransactionState
from firmware_app.records.database import Call, Database
from firmware_app.records.errors import UnknownRecord
from firmware_app.records.schema import clock_moment, clock_text, seconds_until

# Rows that one look at what nobody is being asked for may cost.
LOOK = 2000
BY_HAND = "asked again by hand"

_OPEN = ", ".join(f"'{state}'" for state in OPEN)
_UNASKED = f"""
SELECT d.sop_instance_uid, d.changed_at, o.exam_id
FROM deliveries d JOIN objects o ON o.sop_instance_uid = d.sop_instance_uid
WHERE d.node = :stored_at AND d.state = 'stored' AND d.commitment IN ('', 'requested') AND d.removed_at = ''
  AND NOT EXISTS (
  SELECT 1 FROM commitment_instances i JOIN commitment_transactions t ON t.place = i.place
  WHERE i.sop_instance_uid = d.sop_instance_uid AND t.state IN ({_OPEN}))
ORDER BY d.changed_at LIMIT {LOOK}
"""
_TO_COME = """
SELECT 1 FROM exams e WHERE e.exam_id = :exam AND (e.finished_at = '' OR EXISTS (
  SELECT 1 FROM objects o JOIN deliveries d ON d.sop_instance_uid = o.sop_instance_uid
  WHERE o.exam_id = e.exam_id AND d.node = :stored_at AND d.state IN ('queued', 'sending')))
"""
_OF_UID = "SELECT * FROM commitment_transactions WHERE transaction_uid = :uid"
_IN_STATE = (
    "SELECT * FROM commitment_transactions WHERE state = :state AND node = :node ORDER BY due_at, place LIMIT :n"
)
_NEWEST = "SELECT * FROM commitment_transactions ORDER BY place DESC LIMIT :n"
_INSTANCES = """
SELECT i.sop_instance_uid, o.sop_class_uid FROM commitment_instances i
JOIN objects o ON o.sop_instance_uid = i.sop_instance_uid WHERE i.place = :place ORDER BY o.rowid
"""
_SET_DUE = "UPDATE commitment_transactions SET due_at = :due WHERE place = :place"
_DROP_OTHERS = f"DELETE FROM commitment_instances WHERE place = :place AND sop_instance_uid NOT IN ({WORTH_ASKING})"
_DUE = "SELECT place FROM commitment_transactions WHERE node = :node AND state = 'queued' AND due_at <= :now"
_PUT_OFF = f"UPDATE commitment_transactions SET reason = :reason, changed_at = :now WHERE place IN ({_DUE})"
_SAY_PUT_OFF = f"""
UPDATE deliveries SET commitment_reason = :reason WHERE commitment NOT IN ('committed', 'refused')
  AND node IN (SELECT stored_at_node FROM commitment_transactions WHERE place IN ({_DUE}))
  AND sop_instance_uid IN (SELECT sop_instance_uid FROM commitment_instances WHERE place IN ({_DUE}))
"""
# By hand: what was refused is asked for anew, or first stored again if the node said that it has it not; and what
# waits, for its time or for a report, waits no longer.
_NOT_THERE_TO_QUEUED = f"""
UPDATE deliveries SET state = 'queued', next_attempt_at = :now, changed_at = :now
WHERE commitment = 'refused' AND node = :stored_at AND state = 'stored' AND {NO_SUCH_SOP_INSTANCE} = (
  SELECT i.failure_reason FROM commitment_instances i
  WHERE i.sop_instance_uid = deliveries.sop_instance_uid AND i.result <> '' ORDER BY i.place DESC LIMIT 1)
"""
_REFUSED_TO_UNASKED = f"""
UPDATE deliveries SET commitment = '', commitment_reason = '{BY_HAND}'
WHERE commitment = 'refused' AND node = :stored_at
"""
_END_WAITING = f"""
UPDATE commitment_transactions SET due_at = :now, reason = '{BY_HAND}'
WHERE state IN ('queued', 'requested') AND stored_at_node = :stored_at
"""
_OF_INSTANCE = " AND sop_instance_uid = :uid"
_WITH_INSTANCE = " AND place IN (SELECT place FROM commitment_instances WHERE sop_instance_uid = :uid)"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One request for commitment. `wait_s` is the time until it is sent, or until it expires."""

    transaction_uid: str
    node: str
    stored_at_node: str
    state: TransactionState
    attempts: int
    reason: str
    wait_s: float
    requested_at: str
    answered_at: str
    answered_by: str
    instances: tuple[ReferencedInstance, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """New transactions, and how long until an exam that is not complete is asked for as it is; None: none waits."""

    transactions: tuple[str, ...]
    wait_s: float | None


class CommitmentTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    # ------------------------------------------------------------------------------------------- looking

    def find(self, transaction_uid: str, now: datetime) -> Transaction | None:
        rows = self._database.rows(_OF_UID, {"uid": transaction_uid})
        return self._transaction(rows[0], now) if rows else None

    def in_state(self, node: str, state: TransactionState, now: datetime, limit: int) -> list[Transaction]:
        rows = self._database.rows(_IN_STATE, {"state": state, "node": node, "n": limit})
        return [self._transaction(row, now) for row in rows]

    def newest(self, now: datetime, limit: int) -> list[Transaction]:
        return [self._transaction(row, now) for row in self._database.rows(_NEWEST, {"n": limit})]

    def _transaction(self, row: sqlite3.Row, now: datetime) -> Transaction:
        return Transaction(
            transaction_uid=row["transaction_uid"],
            node=row["node"],
            stored_at_node=row["stored_at_node"],
            state=TransactionState(row["state"]),
            attempts=row["attempts"],
            reason=row["reason"],
            wait_s=seconds_until(row["due_at"], now),
            requested_at=row["requested_at"],
            answered_at=row["answered_at"],
            answered_by=row["answered_by"],
            instances=self._instances(row["place"]),
        )

    def _instances(self, place: int) -> tuple[ReferencedInstance, ...]:
        rows = self._database.rows(_INSTANCES, {"place": place})
        return tuple(ReferencedInstance(row["sop_class_uid"], row["sop_instance_uid"]) for row in rows)

    # ------------------------------------------------------------------------------------------- asking

    def gather(self, stored_at: str, node: str, patience_s: float, now: datetime, new_uid: NewUid) -> Gathered:
        """Make transactions, exam by exam, of what is stored and nobody is being asked for."""
        exams: dict[str, list[sqlite3.Row]] = {}
        for row in self._database.rows(_UNASKED, {"stored_at": stored_at}):
            exams.setdefault(row["exam_id"], []).append(row)
        ready: list[list[str]] = []
        waits_s: list[float] = []
        for exam_id, rows in exams.items():
            left_s = patience_s - (now - clock_moment(rows[0]["changed_at"])).total_seconds()
            # A clock that was set back must not make an exam wait for longer than its patience.
            if 0 < left_s <= patience_s and self._database.rows(_TO_COME, {"exam": exam_id, "stored_at": stored_at}):
                waits_s.append(left_s)
            else:
                ready.append([row["sop_instance_uid"] for row in rows])
        made: list[str] = []
        if ready:
            with self._database.transaction() as connection:
                for uids in ready:
                    made += insert(connection, uids, node, stored_at, now, now, new_uid)
        return Gathered(tuple(made), min(waits_s, default=None))

    def begin_request(
        self, transaction_uid: str, report_due: datetime, now: datetime
    ) -> tuple[ReferencedInstance, ...]:
        """Note that the N-ACTION is about to be sent, and for what; nothing, where there is nothing left to ask."""
        with self._database.transaction() as connection:
            row = self._row(connection, transaction_uid)
            worth = worth_asking(connection, row)
            if not worth:
                enter(connection, row, TransactionEvent.SETTLED, now)
                return ()
            enter(connection, row, TransactionEvent.ASK, now)
            connection.execute(_DROP_OTHERS, {"place": row["place"], "stored_at": row["stored_at_node"]})
            connection.execute(_SET_DUE, {"place": row["place"], "due": clock_text(report_due)})
            say(connection, row, worth, CommitmentState.REQUESTED, "")
        return self._instances(row["place"])

    def accepted(self, transaction_uid: str, now: datetime) -> None:
        """The N-ACTION was answered with success; the report is to come, or has overtaken the answer."""
        with self._database.transaction() as connection:
            enter(connection, self._row(connection, transaction_uid), TransactionEvent.ACCEPTED, now)

    def put_off(self, node: str, reason: str, now: datetime) -> None:
        """No association could be had: what waits for one says why."""
        values = {"node": node, "reason": reason, "now": clock_text(now)}
        with self._database.transaction() as connection:
            connection.execute(_SAY_PUT_OFF, values)
            connection.execute(_PUT_OFF, values)

    def in_vain(
        self,
        transaction_uid: str,
        event: TransactionEvent,
        reason: str,
        again_at: WhenAgain,
        now: datetime,
        new_uid: NewUid,
    ) -> str | None:
        """It failed, was interrupted or timed out: its instances are asked for again, under the UID returned.

        None where there is nothing to ask for again: the report came all the same, or another one has answered.
        """
        with self._database.transaction() as connection:
            row = self._row(connection, transaction_uid)
            if enter(connection, row, event, now, reason) is TransactionState.ANSWERED:
                return None
            return ask_again(connection, row, worth_asking(connection, row), reason, again_at, now, new_uid)

    def record(
        self,
        transaction_uid: str,
        answered_by: str,
        judgement: Judgement,
        again_at: WhenAgain,
        now: datetime,
        new_uid: NewUid,
    ) -> Answer:
        """Take one report: all of it is on disk when this returns. Again is harmless: the first answer stands."""
        with self._database.transaction() as connection:
            row = self._row(connection, transaction_uid)
            enter(connection, row, TransactionEvent.REPORTED, now, answered_by=answered_by)
            return Answering(connection, row, now).take(judgement, again_at, new_uid)

    def retry(self, sop_instance_uid: str | None, stored_at: str, now: datetime) -> int:
        values = {"uid": sop_instance_uid, "stored_at": stored_at, "now": clock_text(now)}
        of_instance = _OF_INSTANCE if sop_instance_uid is not None else ""
        with_instance = _WITH_INSTANCE if sop_instance_uid is not None else ""
        with self._database.transaction() as connection:
            connection.execute(_NOT_THERE_TO_QUEUED + of_instance, values)
            refused = connection.execute(_REFUSED_TO_UNASKED + of_instance, values).rowcount
            return refused + connection.execute(_END_WAITING + with_instance, values).rowcount

    def _row(self, connection: sqlite3.Connection, transaction_uid: str) -> sqlite3.Row:
        row: sqlite3.Row | None = connection.execute(_OF_UID, {"uid": transaction_uid}).fetchone()
        if row is None:
            raise UnknownRecord(f"no commitment transaction {transaction_uid}")
        return row


class CommitmentRecords:
    """`Records.commitments`. Every method may raise a `records.errors.RecordsError`."""

    def __init__(self, call: Call, table: CommitmentTable, clock: Callable[[], datetime]) -> None:
        self._call = call
        self._table = table
        self._clock = clock

    async def find(self, transaction_uid: str) -> Transaction | None:
        return await self._call(partial(self._table.find, transaction_uid, self._clock()))

    async def in_state(self, node: str, state: TransactionState, limit: int = 100) -> list[Transaction]:
        """The transactions of a node in one state, in the order in which they are due."""
        return await self._call(partial(self._table.in_state, node, state, self._clock(), limit))

    async def newest(self, limit: int = 50) -> list[Transaction]:
        return await self._call(partial(self._table.newest, self._clock(), limit))

    async def gather(self, stored_at: str, node: str, patience_s: float, new_uid: NewUid) -> Gathered:
        """Make transactions for `node`, exam by exam, of what is stored at `stored_at` and nobody is asked for.

        An exam of which something is still to come waits for it, at most `patience_s` from its first stored instance.
        """
        return await self._call(partial(self._table.gather, stored_at, node, patience_s, self._clock(), new_uid))

    async def begin_request(self, transaction_uid: str, report_due: datetime) -> tuple[ReferencedInstance, ...]:
        """Note that the N-ACTION is about to be sent, and for what; nothing, where there is nothing left to ask."""
        return await self._call(partial(self._table.begin_request, transaction_uid, report_due, self._clock()))

    async def accepted(self, transaction_uid: str) -> None:
        await self._call(partial(self._table.accepted, transaction_uid, self._clock()))

    async def put_off(self, node: str, reason: str) -> None:
        await self._call(partial(self._table.put_off, node, reason, self._clock()))

    async def in_vain(
        self, transaction_uid: str, event: TransactionEvent, reason: str, again_at: WhenAgain, new_uid: NewUid
    ) -> str | None:
        """Its instances are asked for again, under the new UID returned; None where nothing is left to ask for."""
        work = partial(self._table.in_vain, transaction_uid, event, reason, again_at, self._clock(), new_uid)
        return await self._call(work)

    async def record(
        self, transaction_uid: str, answered_by: str, judgement: Judgement, again_at: WhenAgain, new_uid: NewUid
    ) -> Answer:
        """Take one report: all of it is on disk when this returns. Again is harmless: the first answer stands."""
        work = partial(self._table.record, transaction_uid, answered_by, judgement, again_at, self._clock(), new_uid)
        return await self._call(work)

    async def retry(self, sop_instance_uid: str | None, stored_at: str) -> int:
        """By hand: ask again for a refused or waiting instance, or for all; how many instances and transactions."""
        return await self._call(partial(self._table.retry, sop_instance_uid, stored_at, self._clock()))
