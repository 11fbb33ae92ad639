"""Who of the nodes answered last, and who did not: learnt from the events, kept across restarts.

The events of the services already say what an answer meant (a refusal is an answer, and no success) and carry no
patient data; so no service needs to know of this one. What is learnt is written at most every few seconds: a table of
six rows is not worth a flush for each picture.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import trio

from firmware_app.model import Event
from firmware_app.progress import idle
from firmware_app.records.contacts import Contact, ContactRecords
from firmware_app.records.errors import RecordsError
from firmware_app.services.events import Subscription

# A node's answers of some minutes, while a disk does not answer.
EVENTS_MAX = 1024
KEEP_EVERY_S = 10.0
TEXT_MAX = 500
SUCCESSES = frozenset({
    "delivery.stored", "mpps.sent", "commitment.requested", "commitment.committed", "print.printed",
    "worklist.refreshed", "patients.found",
})  # fmt: skip
FAILURES = frozenset({
    "delivery.retry", "delivery.failed", "mpps.retry", "mpps.failed", "commitment.waiting", "commitment.expired",
    "commitment.refused", "print.retry", "print.failed", "worklist.failed", "patients.failed",
})  # fmt: skip


class NodeContacts:
    def __init__(self, records: ContactRecords, now: Callable[[], datetime]) -> None:
        self._records = records
        self._now = now
        self._contacts: dict[str, Contact] = {}
        self._is_kept = True

    def all(self) -> dict[str, Contact]:
        """By the node's name, as far as anything is known of it."""
        return dict(self._contacts)

    async def run(self, events: Subscription) -> None:
        """Until cancelled; then what is not yet kept is kept."""
        for contact in await self._kept():
            self._contacts.setdefault(contact.node, contact)
        try:
            while True:
                with idle("news of the nodes"):
                    self._learn(await events.receive())
                if not self._is_kept:
                    await self._learn_for_a_while(events)
                    await self._keep()
        finally:
            if not self._is_kept:
                with trio.CancelScope(shield=True):
                    await self._keep()

    async def _learn_for_a_while(self, events: Subscription) -> None:
        with trio.move_on_after(KEEP_EVERY_S), idle("more news of the nodes"):
            while True:
                self._learn(await events.receive())

    def _learn(self, event: Event) -> None:
        node = event.data.get("node")
        if not isinstance(node, str) or event.kind not in SUCCESSES | FAILURES:
            return
        known = self._contacts.get(node, Contact(node))
        at, text = self._now().isoformat(timespec="seconds"), event.text[:TEXT_MAX]
        if event.kind in SUCCESSES:
            self._contacts[node] = replace(known, succeeded_at=at, success=text)
        else:
            self._contacts[node] = replace(known, failed_at=at, failure=text)
        self._is_kept = False

    async def _kept(self) -> tuple[Contact, ...]:
        with suppress(RecordsError):  # a disk that refuses is told by those whose work it stops
            return await self._records.all()
        return ()

    async def _keep(self) -> None:
        with suppress(RecordsError):  # tried again with the next news
            await self._records.keep(tuple(self._contacts.values()))
            self._is_kept = True
