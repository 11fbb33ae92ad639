"""The durable delivery queue. Synchronous: `store.Records` runs it in its worker thread.

Order is kept per node: instances are sent by `place`, the order in which they were queued. The head of a node's queue
that waits for its next attempt holds back the younger ones of that node, because what it waits for is nearly always
the node itself; a permanently failed instance is parked and holds back nobody. An instance whose transfers the peer
keeps breaking off can step aside: it gets a new place at the end, so that one poisonous image never stops a clinic.
What people decide about it (hold, release, redirect) is in `steering`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from firmware_app.model import CommitmentState, Delivery, DeliveryState
from firmware_app.records.database import Database
from firmware_app.records.errors import UnknownRecord, WrongState
from firmware_app.records.schema import clock_text, seconds_until

INTERRUPTED = "interrupted while sending"

_DELIVERY = """
SELECT d.sop_instance_uid, o.sop_class_uid, o.exam_id, d.node, d.state, d.attempts, d.status, d.reason,
       d.next_attempt_at, o.kind, d.commitment, d.commitment_reason, d.changed_at, d.removed_at,
       h.node IS NOT NULL AS node_held
FROM deliveries d JOIN objects o ON o.sop_instance_uid = d.sop_instance_uid LEFT JOIN held_nodes h ON h.node = d.node
"""
# The rows of each word that `services.standing` has for where an instance stands: a test holds the two together.
WHERE_STANDING = {
    "captured": "d.state = 'captured' AND d.removed_at = ''",
    "queued": "d.state = 'queued' AND h.node IS NULL AND d.removed_at = ''",
    "held": "(d.state = 'held' OR (d.state = 'queued' AND h.node IS NOT NULL)) AND d.removed_at = ''",
    "sending": "d.state = 'sending' AND d.removed_at = ''",
    "stored": "d.state = 'stored' AND d.commitment = '' AND d.removed_at = ''",
    "commitment requested": "d.state = 'stored' AND d.commitment = 'requested' AND d.removed_at = ''",
    "committed": "d.state = 'stored' AND d.commitment = 'committed' AND d.removed_at = ''",
    "commitment refused": "d.state = 'stored' AND d.commitment = 'refused' AND d.removed_at = ''",
    "failed": "d.state = 'failed' AND d.removed_at = ''",
    "removed": "d.removed_at <> ''",
}
_OUTGOING = """
SELECT d.sop_instance_uid, o.sop_class_uid, o.transfer_syntax_uid, o.file, o.sha256, d.node, d.attempts,
       d.next_attempt_at
FROM deliveries d JOIN objects o ON o.sop_instance_uid = d.sop_instance_uid
WHERE d.node = :node AND d.state = 'queued' AND NOT EXISTS (SELECT 1 FROM held_nodes h WHERE h.node = :node)
ORDER BY d.place LIMIT :limit
"""
_INSERT = """
INSERT INTO deliveries (sop_instance_uid, node, state, next_attempt_at, changed_at)
VALUES (:uid, :node, :state, :next_attempt_at, :now)
"""
# Each step names the states it may start from; every other start is a WrongState.
_TO_SENDING = """
UPDATE deliveries SET state = 'sending', attempts = attempts + 1, next_attempt_at = '', changed_at = :now
WHERE sop_instance_uid = :uid AND node = :node AND state = 'queued'
  AND NOT EXISTS (SELECT 1 FROM held_nodes h WHERE h.node = :node)
"""
_TO_STORED = """
UPDATE deliveries SET state = 'stored', status = :status, reason = :reason, next_attempt_at = '', changed_at = :now
WHERE sop_instance_uid = :uid AND node = :node AND state = 'sending'
"""
_TO_RETRY = """
UPDATE deliveries SET state = 'queued', status = :status, reason = :reason, next_attempt_at = :due, changed_at = :now,
  place = CASE WHEN :step_aside THEN (SELECT max(place) + 1 FROM deliveries) ELSE place END
WHERE sop_instance_uid = :uid AND node = :node AND state = 'sending'
"""
_TO_FAILED = """
UPDATE deliveries SET state = 'failed', status = :status, reason = :reason, next_attempt_at = '', changed_at = :now
WHERE sop_instance_uid = :uid AND node = :node AND state IN ('sending', 'queued')
"""
_INTERRUPTED_TO_QUEUED = """
UPDATE deliveries SET state = 'queued', reason = :reason, next_attempt_at = :now, changed_at = :now
WHERE state = 'sending'
"""
_FAILED_TO_QUEUED = """
UPDATE deliveries SET state = 'queued', next_attempt_at = :now, changed_at = :now
WHERE state = 'failed'
"""
_END_WAITING = """
UPDATE deliveries SET next_attempt_at = :now
WHERE state = 'queued' AND next_attempt_at > :now
"""
_STORED_TO_QUEUED = """
UPDATE deliveries SET state = 'queued', next_attempt_at = :now, changed_at = :now
WHERE sop_instance_uid = :uid AND node = :node AND state = 'stored' AND changed_at <= :before
  AND removed_at = ''
"""
_QUEUED_NODES = "SELECT node FROM deliveries WHERE state = 'queued'"
_OF_NODE = " AND node = :node"
_OF = {
    "uid": " AND sop_instance_uid = :uid",
    "exam": " AND sop_instance_uid IN (SELECT sop_instance_uid FROM objects WHERE exam_id = :exam)",
    "node": _OF_NODE,
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which rows a decision is about: None stands for every instance, exam or node."""

    sop_instance_uid: str | None = None
    exam_id: str | None = None
    node: str | None = None

    @property
    def where(self) -> str:
        wanted = zip(_OF, (self.sop_instance_uid, self.exam_id, self.node), strict=True)
        return "".join(_OF[name] for name, value in wanted if value is not None)

    @property
    def values(self) -> dict[str, object]:
        return {"uid": self.sop_instance_uid, "exam": self.exam_id, "node": self.node}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One instance of a node's queue. `wait_s` is the time until its next attempt, 0 when it is due."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    path: Path
    sha256: str
    node: str
    attempts: int
    wait_s: float


def insert(connection: sqlite3.Connection, sop_instance_uid: str, node: str | None, now: datetime) -> None:
    """In the caller's transaction: queue the instance behind all others, or without a node note it as captured."""
    uid = {"uid": sop_instance_uid}
    at = clock_text(now)
    if node is None:
        state, queued_at = DeliveryState.CAPTURED, ""
    else:
        state, queued_at = DeliveryState.QUEUED, at
        connection.execute("DELETE FROM deliveries WHERE sop_instance_uid = :uid AND node = ''", uid)
    connection.execute(
        _INSERT + "ON CONFLICT (sop_instance_uid, node) DO NOTHING",
        {**uid, "node": node or "", "state": state.value, "next_attempt_at": queued_at, "now": at},
    )


def store_again(connection: sqlite3.Connection, sop_instance_uid: str, node: str, before: str, now: datetime) -> None:
    """In the caller's transaction: queue the instance again at its old place, if it was stored not after `before`."""
    values = {"uid": sop_instance_uid, "node": node, "before": before, "now": clock_text(now)}
    connection.execute(_STORED_TO_QUEUED, values)


class DeliveryQueue:
    def __init__(self, state_dir: Path, database: Database) -> None:
        self._state_dir = state_dir
        self._database = database

    # ------------------------------------------------------------------------------------------- looking

    def next_due(self, node: str, now: datetime, limit: int) -> list[Outgoing]:
        """The node's queue from its head, in order."""
        return [self._outgoing(row, now) for row in self._database.rows(_OUTGOING, {"node": node, "limit": limit})]

    def _outgoing(self, row: sqlite3.Row, now: datetime) -> Outgoing:
        return Outgoing(
            sop_instance_uid=row["sop_instance_uid"],
            sop_class_uid=row["sop_class_uid"],
            transfer_syntax_uid=row["transfer_syntax_uid"],
            path=self._state_dir / row["file"],
            sha256=row["sha256"],
            node=row["node"],
            attempts=row["attempts"],
            wait_s=seconds_until(row["next_attempt_at"], now),
        )

    def deliveries(
        self,
        state: DeliveryState | None,
        node: str | None,
        exam_id: str | None,
        newest_first: bool,
        limit: int,
        *,
        standing: str | None = None,
    ) -> list[Delivery]:
        """`standing`: a key of WHERE_STANDING."""
        parameters: dict[str, object] = {"state": state, "node": node, "exam_id": exam_id}
        columns = {"state": "d.state", "node": "d.node", "exam_id": "o.exam_id"}
        wanted = [f"{columns[name]} = :{name}" for name, value in parameters.items() if value is not None]
        wanted += [WHERE_STANDING[standing]] if standing is not None else []
        where = f"WHERE {' AND '.join(wanted)} " if wanted else ""
        order = f"ORDER BY d.place {'DESC' if newest_first else 'ASC'} LIMIT :limit"
        return [
            _delivery(row) for row in self._database.rows(_DELIVERY + where + order, {**parameters, "limit": limit})
        ]

    def delivery(self, sop_instance_uid: str, node: str) -> Delivery:
        rows = self._database.rows(
            _DELIVERY + "WHERE d.sop_instance_uid = :uid AND d.node = :node", {"uid": sop_instance_uid, "node": node}
        )
        if not rows:
            raise UnknownRecord(f"instance {sop_instance_uid} was never queued for {node}")
        return _delivery(rows[0])

    def counts(self, node: str | None) -> dict[DeliveryState, int]:
        return self._database.counts("deliveries", DeliveryState, node)

    # ------------------------------------------------------------------------------------------- changing

    def mark_sending(self, sop_instance_uid: str, node: str, now: datetime) -> Delivery:
        return self._change(_TO_SENDING, sop_instance_uid, node, {"now": clock_text(now)})

    def mark_stored(self, sop_instance_uid: str, node: str, status: int, reason: str, now: datetime) -> Delivery:
        values = {"now": clock_text(now), "status": status, "reason": reason}
        return self._change(_TO_STORED, sop_instance_uid, node, values)

    def mark_stored_and_next(
        self, sop_instance_uid: str, following: str, node: str, status: int, reason: str, now: datetime
    ) -> tuple[Delivery, Delivery | None]:
        """As `mark_stored`, and in the same transaction `mark_sending` for the following one.

        None for that where it is no longer to be sent. One flush of the disk instead of two, while the peer waits.
        """
        stored = {"uid": sop_instance_uid, "now": clock_text(now), "node": node, "status": status, "reason": reason}
        with self._database.transaction() as connection:
            changed = connection.execute(_TO_STORED, stored).rowcount
            sending = changed and connection.execute(_TO_SENDING, stored | {"uid": following}).rowcount
        delivery = self.delivery(sop_instance_uid, node)
        if not changed:
            raise _no_such_step(delivery)
        return delivery, self.delivery(following, node) if sending else None

    def mark_retry(
        self,
        sop_instance_uid: str,
        node: str,
        status: int | None,
        reason: str,
        next_attempt_at: datetime,
        step_aside: bool,
        now: datetime,
    ) -> Delivery:
        values = {
            "now": clock_text(now),
            "status": status,
            "reason": reason,
            "due": clock_text(next_attempt_at),
            "step_aside": step_aside,
        }
        return self._change(_TO_RETRY, sop_instance_uid, node, values)

    def mark_failed(self, sop_instance_uid: str, node: str, status: int | None, reason: str, now: datetime) -> Delivery:
        values = {"now": clock_text(now), "status": status, "reason": reason}
        return self._change(_TO_FAILED, sop_instance_uid, node, values)

    def _change(self, update: str, sop_instance_uid: str, node: str, values: Mapping[str, object]) -> Delivery:
        with self._database.transaction() as connection:
            changed = connection.execute(update, {"uid": sop_instance_uid, "node": node, **values}).rowcount
        delivery = self.delivery(sop_instance_uid, node)
        if not changed:
            raise _no_such_step(delivery)
        return delivery

    def requeue_interrupted(self, node: str | None, now: datetime) -> int:
        """After a crash or a broken-off send: what was being sent is queued again, under the same UID."""
        update = _INTERRUPTED_TO_QUEUED + (_OF_NODE if node is not None else "")
        values = {"node": node, "reason": INTERRUPTED, "now": clock_text(now)}
        with self._database.transaction() as connection:
            return connection.execute(update, values).rowcount

    def retry(self, chosen: Chosen, now: datetime) -> int:
        """By hand: queue failed instances again at their old place and end the waiting of the nodes concerned.

        Returns how many instances became due by it.
        """
        values = {**chosen.values, "now": clock_text(now)}
        waiting = f" AND node IN ({_QUEUED_NODES}{chosen.where})"
        with self._database.transaction() as connection:
            queued = connection.execute(_FAILED_TO_QUEUED + chosen.where, values).rowcount
            return queued + connection.execute(_END_WAITING + waiting, values).rowcount


def _no_such_step(delivery: Delivery) -> WrongState:
    what = f"instance {delivery.sop_instance_uid} for {delivery.node} is {delivery.state}"
    return WrongState(f"{what}{', the node is held' if delivery.node_held else ''}: no such step from there")


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        sop_instance_uid=row["sop_instance_uid"],
        sop_class_uid=row["sop_class_uid"],
        exam_id=row["exam_id"],
        node=row["node"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        status=row["status"],
        reason=row["reason"],
        next_attempt_at=row["next_attempt_at"],
        kind=row["kind"],
        commitment=CommitmentState(row["commitment"]),
        commitment_reason=row["commitment_reason"],
        changed_at=row["changed_at"],
        node_held=bool(row["node_held"]),
        removed_at=row["removed_at"],
    )
