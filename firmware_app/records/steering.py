"""What people decide about the delivery queue: hold, release, send elsewhere. `Steering` synchronous, in the thread.

Every decision is one transaction and outlives a restart. What is being sent at that moment is left as it is, and
counted, so that whoever decided can be told: its answer is a moment away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from firmware_app.model import CommitmentState, Delivery, DeliveryState
from firmware_app.records.database import Call, Database
from firmware_app.records.queue import Chosen as Chosen
from firmware_app.records.queue import DeliveryQueue
from firmware_app.records.schema import clock_text

_CHOSEN = "SELECT place, sop_instance_uid, node, state FROM deliveries WHERE node <> ''"
_HOLD = "UPDATE deliveries SET state = 'held', next_attempt_at = '', changed_at = :now WHERE place = :place"
_RELEASE = "UPDATE deliveries SET state = 'queued', next_attempt_at = :now, changed_at = :now WHERE place = :place"
_DROP = "DELETE FROM deliveries WHERE place = :place"
_HAS_ROW = "SELECT 1 FROM deliveries WHERE sop_instance_uid = :uid AND node = :to"
# Behind everything that is queued already, and as if it had never been tried: the new node knows nothing of it.
_REDIRECT = """
UPDATE deliveries SET node = :to, state = 'queued', attempts = 0, status = NULL, reason = :reason,
  commitment = '', commitment_reason = '', next_attempt_at = :now, changed_at = :now,
  place = (SELECT max(place) + 1 FROM deliveries)
WHERE place = :place
"""
_HOLD_NODE = "INSERT INTO held_nodes (node, held_at) VALUES (:node, :now) ON CONFLICT DO NOTHING"
_RELEASE_NODE = "DELETE FROM held_nodes WHERE node = :node"
_TALLY = """
SELECT node, state, commitment, removed_at <> '' AS removed, count(*) AS n FROM deliveries {where}
GROUP BY node, state, commitment, removed
"""
_UNDELIVERED = ("queued", "held", "failed")


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision changed, in the order of sending, and how many were just being sent and were left."""

    deliveries: tuple[Delivery, ...]
    being_sent: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many instances stand alike at one node; the node is empty for those that nobody has queued."""

    node: str
    state: DeliveryState
    commitment: CommitmentState
    node_held: bool
    removed: bool
    count: int


class Steering:
    def __init__(self, database: Database, queue: DeliveryQueue, note: Callable[[str, str, str], None]) -> None:
        """`note` writes beside an instance that it goes to that node, instead of the other."""
        self._database = database
        self._queue = queue
        self._note = note

    # ------------------------------------------------------------------------------------------- looking

    def held_nodes(self) -> dict[str, str]:
        """Since when each is."""
        rows = self._database.rows("SELECT node, held_at FROM held_nodes ORDER BY node")
        return {row["node"]: row["held_at"] for row in rows}

    def tallies(self, *, undelivered: bool) -> list[Tally]:
        held = self.held_nodes()
        where = f"WHERE state IN ({_listed(_UNDELIVERED)})" if undelivered else ""
        return [
            Tally(
                row["node"],
                DeliveryState(row["state"]),
                CommitmentState(row["commitment"]),
                row["node"] in held,
                bool(row["removed"]),
                row["n"],
            )
            for row in self._database.rows(_TALLY.format(where=where))
        ]

    # ------------------------------------------------------------------------------------------- deciding

    def hold(self, chosen: Chosen, now: datetime) -> Decided:
        """What is queued or has failed waits until it is released."""
        return self._decide(chosen, ("queued", "failed"), partial(self._each, _HOLD), now)

    def release(self, chosen: Chosen, now: datetime) -> Decided:
        """What is held is due now, at its old place."""
        return self._decide(chosen, ("held",), partial(self._each, _RELEASE), now)

    def redirect(self, chosen: Chosen, to: str, now: datetime) -> Decided:
        """What another node has not got yet is queued for `to` instead, behind all that is queued there.

        What is or was queued there already has its one row there, which is left as it is.
        """

        def move(connection: sqlite3.Connection, row: sqlite3.Row, at: str) -> tuple[str, str]:
            values = {"place": row["place"], "uid": row["sop_instance_uid"], "to": to, "now": at}
            reason = f"sent here by hand instead of {row['node']}"
            self._note(row["sop_instance_uid"], to, row["node"])
            if connection.execute(_HAS_ROW, values).fetchone():
                connection.execute(_DROP, values)
            else:
                connection.execute(_REDIRECT, values | {"reason": reason})
            return row["sop_instance_uid"], to

        return self._decide(chosen, _UNDELIVERED, move, now, but_not=to)

    @staticmethod
    def _each(update: str, connection: sqlite3.Connection, row: sqlite3.Row, at: str) -> tuple[str, str]:
        connection.execute(update, {"place": row["place"], "now": at})
        return row["sop_instance_uid"], row["node"]

    def _decide(
        self,
        chosen: Chosen,
        states: tuple[str, ...],
        change: Callable[[sqlite3.Connection, sqlite3.Row, str], tuple[str, str]],
        now: datetime,
        *,
        but_not: str = "",
    ) -> Decided:
        wanted = f"{_CHOSEN}{chosen.where} AND node <> :but_not AND state IN"
        values = {**chosen.values, "but_not": but_not}
        with self._database.transaction() as connection:
            rows = connection.execute(f"{wanted} ({_listed(states)}) ORDER BY place", values).fetchall()
            changed = [change(connection, row, clock_text(now)) for row in rows]
            being_sent = len(connection.execute(f"{wanted} ('sending')", values).fetchall())
        return Decided(tuple(self._queue.delivery(uid, node) for uid, node in changed), being_sent)

    def hold_node(self, node: str, now: datetime) -> bool:
        """Nothing more is sent there until it is released; whether that is news."""
        with self._database.transaction() as connection:
            return bool(connection.execute(_HOLD_NODE, {"node": node, "now": clock_text(now)}).rowcount)

    def release_node(self, node: str) -> bool:
        with self._database.transaction() as connection:
            return bool(connection.execute(_RELEASE_NODE, {"node": node}).rowcount)


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


class SteeringRecords:
    """`Records.steering`. Every method may raise a `records.errors.RecordsError`."""

    def __init__(self, call: Call, steering: Steering, clock: Callable[[], datetime]) -> None:
        self._call = call
        self._steering = steering
        self._clock = clock

    async def held_nodes(self) -> dict[str, str]:
        """The held nodes, and since when each is (UTC, ISO 8601)."""
        return await self._call(self._steering.held_nodes)

    async def tallies(self, *, undelivered: bool = False) -> list[Tally]:
        """How many instances stand how at each node; `undelivered`: only of what a node has not got yet."""
        return await self._call(partial(self._steering.tallies, undelivered=undelivered))

    async def hold(self, chosen: Chosen) -> Decided:
        """What is queued or has failed waits, also after a restart, until it is released."""
        return await self._call(partial(self._steering.hold, chosen, self._clock()))

    async def release(self, chosen: Chosen) -> Decided:
        """What is held is due now, at its old place."""
        return await self._call(partial(self._steering.release, chosen, self._clock()))

    async def redirect(self, chosen: Chosen, to: str) -> Decided:
        """What another node has not got yet is queued for `to` instead."""
        return await self._call(partial(self._steering.redirect, chosen, to, self._clock()))

    async def hold_node(self, node: str) -> bool:
        """Nothing more is sent there until it is released, also what is queued later; whether that is news."""
        return await self._call(partial(self._steering.hold_node, node, self._clock()))

    async def release_node(self, node: str) -> bool:
        return await self._call(partial(self._steering.release_node, node))
