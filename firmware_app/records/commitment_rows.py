"""The steps of which changes to commitment transactions are made. Each belongs into a transaction of the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from firmware_app.dicom.commitment import MAX_INSTANCES
from firmware_app.model import CommitmentState
from firmware_app.records.commitment_states import TRANSITIONS, TransactionEvent, TransactionState
from firmware_app.records.errors import WrongState
from firmware_app.records.schema import clock_text

NewUid = Callable[[], str]
# After so many requests in vain: when to ask again.
WhenAgain = Callable[[int], datetime]

_INSERT = """
INSERT INTO commitment_transactions (transaction_uid, node, stored_at_node, state, attempts, reason, due_at, changed_at)
VALUES (:uid, :node, :stored_at, 'queued', :attempts, :reason, :due, :now)
"""
_INSERT_INSTANCE = "INSERT INTO commitment_instances (place, sop_instance_uid) VALUES (:place, :uid)"
_ENTER = """
UPDATE commitment_transactions SET state = :state, reason = :reason, changed_at = :now,
  requested_at = CASE WHEN :event = 'ask' THEN :now ELSE requested_at END,
  answered_at = CASE WHEN :event = 'reported' AND answered_at = '' THEN :now ELSE answered_at END,
  answered_by = CASE WHEN :event = 'reported' AND answered_by = '' THEN :answered_by ELSE answered_by END
WHERE place = :place
"""
# Stored, as the node was or will be told, and without an answer, also from a late report of another transaction.
WORTH_ASKING = """
SELECT i.sop_instance_uid FROM commitment_instances i
JOIN deliveries d ON d.sop_instance_uid = i.sop_instance_uid AND d.node = :stored_at
WHERE i.place = :place AND i.result = '' AND d.state = 'stored' AND d.commitment NOT IN ('committed', 'refused')
"""
_SAY = """
UPDATE deliveries SET commitment = :commitment, commitment_reason = :reason
WHERE sop_instance_uid = :uid AND node = :stored_at
"""


def insert(
    connection: sqlite3.Connection,
    instances: Sequence[str],
    node: str,
    stored_at: str,
    due: datetime,
    now: datetime,
    new_uid: NewUid,
    *,
    attempts: int = 0,
    reason: str = "",
) -> list[str]:
    """New transactions for the instances, at most MAX_INSTANCES in each; their UIDs."""
    made = []
    for start in range(0, len(instances), MAX_INSTANCES):
        uid = new_uid()
        values = {"uid": uid, "node": node, "stored_at": stored_at, "attempts": attempts, "reason": reason}
        place = connection.execute(_INSERT, values | {"due": clock_text(due), "now": clock_text(now)}).lastrowid
        some = instances[start : start + MAX_INSTANCES]
        connection.executemany(_INSERT_INSTANCE, [{"place": place, "uid": each} for each in some])
        made.append(uid)
    return made


def enter(
    connection: sqlite3.Connection,
    row: sqlite3.Row,
    event: TransactionEvent,
    now: datetime,
    reason: str = "",
    answered_by: str = "",
) -> TransactionState:
    """The next state by the table; `WrongState` where it has none."""
    before = TransactionState(row["state"])
    after = TRANSITIONS.get((before, event))
    if after is None:
        raise WrongState(f"commitment transaction {row['transaction_uid']} is {before}: {event} cannot be")
    values = {"place": row["place"], "state": after, "event": event, "reason": reason, "answered_by": answered_by}
    connection.execute(_ENTER, values | {"now": clock_text(now)})
    return after


def worth_asking(connection: sqlite3.Connection, row: sqlite3.Row) -> list[str]:
    values = {"place": row["place"], "stored_at": row["stored_at_node"]}
    return [each["sop_instance_uid"] for each in connection.execute(WORTH_ASKING, values)]


def ask_again(
    connection: sqlite3.Connection,
    row: sqlite3.Row,
    instances: Sequence[str],
    reason: str,
    again_at: WhenAgain,
    now: datetime,
    new_uid: NewUid,
) -> str | None:
    """A transaction in the place of `row` for some of its instances, due by how often it was in vain so far."""
    if not instances:
        return None
    attempts = row["attempts"] + 1
    due = again_at(attempts)
    node, stored_at = row["node"], row["stored_at_node"]
    (uid,) = insert(connection, instances, node, stored_at, due, now, new_uid, attempts=attempts, reason=reason)
    say(connection, row, instances, CommitmentState.REQUESTED, f"{reason}; asked again")
    return uid


def say(
    connection: sqlite3.Connection,
    row: sqlite3.Row,
    instances: Iterable[str],
    commitment: CommitmentState,
    reason: str,
) -> None:
    """What the queue shows of the instances."""
    values = {"stored_at": row["stored_at_node"], "commitment": commitment, "reason": reason}
    connection.executemany(_SAY, [values | {"uid": uid} for uid in instances])
