"""The durable queue of performed procedure step messages: `MppsQueue` synchronous, `MppsRecords` as services see it.

A message is recorded in the transaction that opens or closes its exam, so that no crash can part them. Messages reach a
node strictly by `place`, the order in which they were made: the head waits for its next attempt and holds back all the
younger ones. A message that the node refuses for good is parked and holds back only the rest of its own step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Literal

from firmware_app.records.database import Call, Database
from firmware_app.records.errors import UnknownRecord, WrongState
from firmware_app.records.schema import clock_text, seconds_until

Operation = Literal["N-CREATE", "N-SET"]
StepStatus = Literal["IN PROGRESS", "COMPLETED", "DISCONTINUED"]

_COLUMNS = """
SELECT place, mpps_sop_instance_uid, exam_id, node, operation, step_status, state, attempts, in_doubt, status, reason,
       next_attempt_at
"""
_INSERT = """
INSERT INTO mpps_messages (mpps_sop_instance_uid, exam_id, node, operation, step_status, attributes, state, in_doubt,
                           next_attempt_at, changed_at)
VALUES (:mpps_sop_instance_uid, :exam_id, :node, :operation, :step_status, :attributes, 'queued', :in_doubt, :now, :now)
"""
_HEAD = "SELECT * FROM mpps_messages WHERE node = :node AND state = 'queued' ORDER BY place LIMIT 1"
# Each step names the states it may start from; every other start is a WrongState.
_TO_SENDING = """
UPDATE mpps_messages SET state = 'sending', attempts = attempts + 1, next_attempt_at = '', changed_at = :now
WHERE place = :place AND state = 'queued'
"""
_TO_DONE = """
UPDATE mpps_messages SET state = 'done', status = :status, reason = :reason, next_attempt_at = '', changed_at = :now
WHERE place = :place AND state = 'sending'
"""
_TO_RETRY = """
UPDATE mpps_messages SET state = 'queued', status = :status, reason = :reason, next_attempt_at = :due,
  attempts = attempts + (state = 'queued'), in_doubt = max(in_doubt, :in_doubt), changed_at = :now
WHERE place = :place AND state IN ('queued', 'sending')
"""
_TO_FAILED = """
UPDATE mpps_messages SET state = 'failed', status = :status, reason = :reason, next_attempt_at = '', changed_at = :now
WHERE place = :place AND state IN ('queued', 'sending')
"""
_INTERRUPTED_TO_QUEUED = """
UPDATE mpps_messages SET state = 'queued', in_doubt = 1, reason = 'interrupted while sending', next_attempt_at = :now,
  changed_at = :now
WHERE state = 'sending'
"""
# The node has never heard of a step whose N-CREATE it refused.
_FOLLOWERS_TO_FAILED = """
UPDATE mpps_messages AS follower SET state = 'failed', next_attempt_at = '', changed_at = :now,
  reason = 'not sent, because the N-CREATE of this step failed: ' || creation.reason
FROM mpps_messages AS creation
WHERE follower.node = :node AND follower.state = 'queued' AND follower.operation = 'N-SET'
  AND creation.node = follower.node AND creation.mpps_sop_instance_uid = follower.mpps_sop_instance_uid
  AND creation.operation = 'N-CREATE' AND creation.state = 'failed'
RETURNING place
"""
_FAILED_TO_QUEUED = """
UPDATE mpps_messages SET state = 'queued', next_attempt_at = :now, changed_at = :now
WHERE state = 'failed'
"""
_END_WAITING = "UPDATE mpps_messages SET next_attempt_at = :now WHERE state = 'queued' AND next_attempt_at > :now"
_OF_STEP = " AND mpps_sop_instance_uid = :uid"
_OF_NODE = " AND node = :node"


class MessageState(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"  # refused for good: parked with the peer's reason until somebody decides


@dataclass(frozen=True, slots=True)
class MppsMessage:
    """One message as it is made. `attributes`: the data set in Explicit VR Little Endian."""

    mpps_sop_instance_uid: str
    exam_id: str
    node: str
    step_status: StepStatus
    attributes: bytes

    @property
    def operation(self) -> Operation:
        return "N-CREATE" if self.step_status == "IN PROGRESS" else "N-SET"


@dataclass(frozen=True, slots=True)
class OutgoingMpps:
    """The head of a node's queue. `wait_s` is the time until its next attempt, 0 when it is due."""

    place: int
    message: MppsMessage
    attempts: int
    in_doubt: bool
    wait_s: float


@dataclass(frozen=True, slots=True)
class MppsDelivery:
    """Where one message stands, as people see it."""

    place: int
    mpps_sop_instance_uid: str
    exam_id: str
    node: str
    operation: Operation
    step_status: StepStatus
    state: MessageState
    attempts: int = 0
    in_doubt: bool = False
    status: int | None = None
    reason: str = ""
    next_attempt_at: str = ""


def insert(connection: sqlite3.Connection, message: MppsMessage, now: datetime, *, in_doubt: bool = False) -> None:
    """In the caller's transaction: queue the message behind all others; `in_doubt` where it may have been sent."""
    values = {
        "mpps_sop_instance_uid": message.mpps_sop_instance_uid,
        "exam_id": message.exam_id,
        "node": message.node,
        "operation": message.operation,
        "step_status": message.step_status,
        "attributes": message.attributes,
        "in_doubt": in_doubt,
        "now": clock_text(now),
    }
    connection.execute(_INSERT, values)


class MppsQueue:
    def __init__(self, database: Database) -> None:
        self._database = database

    # ------------------------------------------------------------------------------------------- looking

    def head(self, node: str, now: datetime) -> OutgoingMpps | None:
        """What has to go next, due or not."""
        rows = self._database.rows(_HEAD, {"node": node})
        return _outgoing(rows[0], now) if rows else None

    def messages(
        self, state: MessageState | None, node: str | None, exam_id: str | None, newest_first: bool, limit: int
    ) -> list[MppsDelivery]:
        parameters: dict[str, object] = {"state": state, "node": node, "exam_id": exam_id}
        wanted = [f"{name} = :{name}" for name, value in parameters.items() if value is not None]
        where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
        order = f" ORDER BY place {'DESC' if newest_first else 'ASC'} LIMIT :limit"
        sql = f"{_COLUMNS} FROM mpps_messages{where}{order}"
        return [_delivery(row) for row in self._database.rows(sql, {**parameters, "limit": limit})]

    def attributes(self, place: int) -> bytes:
        """The data set of one message, for service."""
        rows = self._database.rows("SELECT attributes FROM mpps_messages WHERE place = :place", {"place": place})
        if not rows:
            raise UnknownRecord(f"no MPPS message {place}")
        return bytes(rows[0]["attributes"])

    def counts(self, node: str | None) -> dict[MessageState, int]:
        return self._database.counts("mpps_messages", MessageState, node)

    # ------------------------------------------------------------------------------------------- changing

    def mark_sending(self, place: int, now: datetime) -> MppsDelivery:
        return self._change(_TO_SENDING, place, {"now": clock_text(now)})

    def mark_done(self, place: int, status: int, reason: str, now: datetime) -> MppsDelivery:
        return self._change(_TO_DONE, place, {"now": clock_text(now), "status": status, "reason": reason})

    def mark_retry(
        self, place: int, status: int | None, reason: str, due: datetime, in_doubt: bool, now: datetime
    ) -> MppsDelivery:
        values = {
            "now": clock_text(now),
            "status": status,
            "reason": reason,
            "due": clock_text(due),
            "in_doubt": in_doubt,
        }
        return self._change(_TO_RETRY, place, values)

    def mark_failed(self, place: int, status: int | None, reason: str, now: datetime) -> MppsDelivery:
        return self._change(_TO_FAILED, place, {"now": clock_text(now), "status": status, "reason": reason})

    def _change(self, update: str, place: int, values: Mapping[str, object]) -> MppsDelivery:
        with self._database.transaction() as connection:
            changed = connection.execute(update, {"place": place, **values}).rowcount
        message = self._delivery(place)
        if not changed:
            text = f"{message.operation} of step {message.mpps_sop_instance_uid} is {message.state}"
            raise WrongState(f"{text}: no such step from there")
        return message

    def fail_followers(self, node: str, now: datetime) -> list[MppsDelivery]:
        """Park what cannot be sent, because the step was never created at the node; returns what it parked."""
        with self._database.transaction() as connection:
            places = connection.execute(_FOLLOWERS_TO_FAILED, {"node": node, "now": clock_text(now)}).fetchall()
        return [self._delivery(row["place"]) for row in places]

    def requeue_interrupted(self, node: str | None, now: datetime) -> int:
        """After a crash or a broken-off send: what was being sent is queued again, and what became of it in doubt."""
        update = _INTERRUPTED_TO_QUEUED + (_OF_NODE if node is not None else "")
        with self._database.transaction() as connection:
            return connection.execute(update, {"node": node, "now": clock_text(now)}).rowcount

    def retry(self, mpps_sop_instance_uid: str | None, node: str | None, now: datetime) -> int:
        """By hand: queue failed messages again at their old place and end the waiting; returns how many became due.

        None stands for every step, every node. The head of a queue holds back the others, so its waiting ends too.
        """
        of_step = _OF_STEP if mpps_sop_instance_uid is not None else ""
        of_node = _OF_NODE if node is not None else ""
        values = {"uid": mpps_sop_instance_uid, "node": node, "now": clock_text(now)}
        known = "SELECT 1 FROM mpps_messages WHERE mpps_sop_instance_uid = :uid AND state IN ('queued', 'failed')"
        with self._database.transaction() as connection:
            if of_step and not connection.execute(known, values).fetchone():
                return 0
            queued = connection.execute(_FAILED_TO_QUEUED + of_step + of_node, values).rowcount
            return queued + connection.execute(_END_WAITING + of_node, values).rowcount

    def _delivery(self, place: int) -> MppsDelivery:
        return _delivery(
            self._database.rows(f"{_COLUMNS} FROM mpps_messages WHERE place = :place", {"place": place})[0]
        )


class MppsRecords:
    """`MppsQueue` for services: reached as `records.mpps`. Every method may raise a `records.errors.RecordsError`."""

    def __init__(self, call: Call, queue: MppsQueue, clock: Callable[[], datetime]) -> None:
        self._call = call
        self._queue = queue
        self._clock = clock

    async def head(self, node: str) -> tuple[OutgoingMpps | None, list[MppsDelivery]]:
        """What has to go next, due or not, and what was parked before it, because its step's N-CREATE is."""

        now = self._clock()

        def look() -> tuple[OutgoingMpps | None, list[MppsDelivery]]:
            parked = self._queue.fail_followers(node, now)
            return self._queue.head(node, now), parked

        return await self._call(look)

    async def messages(
        self,
        *,
        state: MessageState | None = None,
        node: str | None = None,
        exam_id: str | None = None,
        newest_first: bool = False,
        limit: int = 1000,
    ) -> list[MppsDelivery]:
        """In the order of sending."""
        return await self._call(partial(self._queue.messages, state, node, exam_id, newest_first, limit))

    async def attributes(self, place: int) -> bytes:
        return await self._call(partial(self._queue.attributes, place))

    async def counts(self, node: str | None = None) -> dict[MessageState, int]:
        return await self._call(partial(self._queue.counts, node))

    async def mark_sending(self, place: int) -> MppsDelivery:
        return await self._call(partial(self._queue.mark_sending, place, self._clock()))

    async def mark_done(self, place: int, status: int, reason: str = "") -> MppsDelivery:
        return await self._call(partial(self._queue.mark_done, place, status, reason, self._clock()))

    async def mark_retry(
        self, place: int, status: int | None, reason: str, due: datetime, *, in_doubt: bool
    ) -> MppsDelivery:
        """Queue it again for later; `in_doubt` where it may have been done."""
        return await self._call(partial(self._queue.mark_retry, place, status, reason, due, in_doubt, self._clock()))

    async def mark_failed(self, place: int, status: int | None, reason: str) -> MppsDelivery:
        """Park it, with the reason, until somebody decides."""
        return await self._call(partial(self._queue.mark_failed, place, status, reason, self._clock()))

    async def requeue_interrupted(self, node: str | None = None) -> int:
        return await self._call(partial(self._queue.requeue_interrupted, node, self._clock()))

    async def retry(self, mpps_sop_instance_uid: str | None = None, node: str | None = None) -> int:
        """By hand: what failed is queued again, at its old place, and nothing waits any more."""
        return await self._call(partial(self._queue.retry, mpps_sop_instance_uid, node, self._clock()))


def _outgoing(row: sqlite3.Row, now: datetime) -> OutgoingMpps:
    message = MppsMessage(
        row["mpps_sop_instance_uid"], row["exam_id"], row["node"], row["step_status"], bytes(row["attributes"])
    )
    wait_s = seconds_until(row["next_attempt_at"], now)
    return OutgoingMpps(row["place"], message, row["attempts"], bool(row["in_doubt"]), wait_s)


def _delivery(row: sqlite3.Row) -> MppsDelivery:
    return MppsDelivery(
        place=row["place"],
        mpps_sop_instance_uid=row["mpps_sop_instance_uid"],
        exam_id=row["exam_id"],
        node=row["node"],
        operation=row["operation"],
        step_status=row["step_status"],
        state=MessageState(row["state"]),
        attempts=row["attempts"],
        in_doubt=bool(row["in_doubt"]),
        status=row["status"],
        reason=row["reason"],
        next_attempt_at=row["next_attempt_at"],
    )
