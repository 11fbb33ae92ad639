"""What a report does to the instances of its transaction: committed, refused, stored again, or asked for again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime

from firmware_app.dicom.commitment import Judgement, Reaction, describe_failure, reaction_to
from firmware_app.dicom.statuses import NO_SUCH_SOP_INSTANCE
from firmware_app.model import CommitmentState
from firmware_app.records import queue
from firmware_app.records.commitment_rows import NewUid, WhenAgain, ask_again, say
from firmware_app.records.commitment_states import OPEN, TransactionState

# How often an instance that the node says it has not is stored there again before a person is asked.
MAX_STORED_AGAIN = 3

_RESULT = """
UPDATE commitment_instances SET result = :result, failure_reason = :failure_reason
WHERE place = :place AND sop_instance_uid = :uid AND result = ''
"""
_SAME_RESULT = """
SELECT 1 FROM commitment_instances WHERE place = :place AND sop_instance_uid = :uid AND result = :result
"""
# Of two answers about one instance the one of the later request counts.
_ANSWERED_SINCE = "SELECT 1 FROM commitment_instances WHERE sop_instance_uid = :uid AND place > :place AND result <> ''"
_ASKED_SINCE = f"""
SELECT 1 FROM commitment_instances i JOIN commitment_transactions t ON t.place = i.place
WHERE i.sop_instance_uid = :uid AND t.place > :place AND t.state IN ({", ".join(f"'{state}'" for state in OPEN)})
"""
_TIMES_NOT_THERE = """
SELECT count(*) AS times FROM commitment_instances WHERE sop_instance_uid = :uid AND failure_reason = :reason
"""


@dataclass(slots=True)
class Answer:
    """What one report changed: nothing, where it only said again what was known. Failures with why, in words."""

    committed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # a person decides
    stored_again: dict[str, str] = field(default_factory=dict)
    asked_again: dict[str, str] = field(default_factory=dict)
    contradicted: list[str] = field(default_factory=list)  # answered otherwise before; the first answer stands


class Answering:
    """One report for the transaction of `row`, within a transaction of the database."""

    def __init__(self, connection: sqlite3.Connection, row: sqlite3.Row, now: datetime) -> None:
        self._connection = connection
        self._row = row
        self._now = now
        self._answer = Answer()

    def take(self, judgement: Judgement, again_at: WhenAgain, new_uid: NewUid) -> Answer:
        for uid in judgement.committed:
            if self._is_news(uid, "committed", None):
                say(self._connection, self._row, [uid], CommitmentState.COMMITTED, "")
                self._answer.committed.append(uid)
        for uid, reason in judgement.failed.items():
            if self._is_news(uid, "refused", reason):
                self._failed(uid, reason)
        if self._row["state"] != TransactionState.ANSWERED:
            for uid in judgement.missing:
                if not self._answered_since(uid):
                    self._ask_later(uid, "missing from the report")
        self._ask_again(again_at, new_uid)
        return self._answer

    def _is_news(self, uid: str, result: str, failure_reason: int | None) -> bool:
        values = {"place": self._row["place"], "uid": uid, "result": result, "failure_reason": failure_reason}
        if self._connection.execute(_RESULT, values).rowcount:
            return not self._answered_since(uid)
        if self._connection.execute(_SAME_RESULT, values).fetchone() is None:
            self._answer.contradicted.append(uid)
        return False

    def _answered_since(self, uid: str) -> bool:
        values = {"uid": uid, "place": self._row["place"]}
        return self._connection.execute(_ANSWERED_SINCE, values).fetchone() is not None

    def _failed(self, uid: str, reason: int | None) -> None:
        words = describe_failure(reason)
        reaction = reaction_to(reason)
        if reaction is Reaction.STORE_AGAIN:
            self._not_there(uid, words)
        elif reaction is Reaction.GIVE_UP:
            self._refuse(uid, words)
        else:
            self._ask_later(uid, words)

    def _ask_later(self, uid: str, words: str) -> None:
        """Of an expired transaction the instances are being asked for already."""
        values = {"uid": uid, "place": self._row["place"]}
        if self._connection.execute(_ASKED_SINCE, values).fetchone() is None:
            self._answer.asked_again[uid] = words

    def _not_there(self, uid: str, words: str) -> None:
        values = {"uid": uid, "reason": NO_SUCH_SOP_INSTANCE}
        times = self._connection.execute(_TIMES_NOT_THERE, values).fetchone()["times"]
        if times > MAX_STORED_AGAIN:
            self._refuse(uid, f"{words}, although stored again {MAX_STORED_AGAIN} times")
            return
        # Where it has been stored since the request, or is on its way, that is the answer to this report already.
        node, requested_at = self._row["stored_at_node"], self._row["requested_at"]
        queue.store_again(self._connection, uid, node, requested_at, self._now)
        words = f"{words}; stored again ({times} of {MAX_STORED_AGAIN} times)"
        say(self._connection, self._row, [uid], CommitmentState.NONE, words)
        self._answer.stored_again[uid] = words

    def _refuse(self, uid: str, words: str) -> None:
        say(self._connection, self._row, [uid], CommitmentState.REFUSED, words)
        self._answer.refused[uid] = words

    def _ask_again(self, again_at: WhenAgain, new_uid: NewUid) -> None:
        """One transaction for all of them; each shows its own reason."""
        again = self._answer.asked_again
        reason = "; ".join(dict.fromkeys(again.values()))
        ask_again(self._connection, self._row, list(again), reason, again_at, self._now, new_uid)
        for uid, why in again.items():
            say(self._connection, self._row, [uid], CommitmentState.REQUESTED, f"{why}; asked again")
