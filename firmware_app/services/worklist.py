"""The worklist: on request and by itself at an interval, one association at a time.

The last good list stays usable when the information system is away; how old it is, and why the last refresh failed,
is always shown with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import trio

from firmware_app.model import Event, WorklistItem
from firmware_app.net.association import ContextPair
from firmware_app.net.errors import NetworkError, log_text
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.profiles import QueryKey
from firmware_app.profiles.profile import CharacterSets
from firmware_app.progress import finished, idle
from hw.errors import Refused

if TYPE_CHECKING:
    from firmware_app.net.worklist import WorklistQuery

NO_NODE = "no worklist node is configured: worklist.ip_address, worklist.port and worklist.ae_title"
UNICODE = CharacterSets(accepted=(), fallback=("ISO_IR 192",))


@dataclass(frozen=True, slots=True)
class WorklistStatus:
    items: tuple[WorklistItem, ...] = ()
    refreshed_at: str = ""  # ISO 8601; empty: never
    error: str = ""  # why the last refresh failed, in words
    error_for_log: str = ""  # the same without a peer's own comment, which may name a patient


@dataclass(frozen=True, slots=True)
class WorklistRequest:
    query: WorklistQuery
    reply: trio.MemorySendChannel[WorklistStatus]


class WorklistService:
    def __init__(
        self,
        node: Node | None,
        local: LocalApplicationEntity,
        contexts: tuple[ContextPair, ...],
        keys: Sequence[QueryKey],
        scheduled_station_ae_title: str,
        modality: str,
        refresh_interval_s: float,
        now: Callable[[], datetime],
        publish: Callable[[Event], None],
        character_sets: CharacterSets = UNICODE,
    ) -> None:
        self._node = node
        self._local = local
        self._contexts = contexts
        self.keys = tuple(keys)
        self.character_sets = character_sets
        self._scheduled_station_ae_title = scheduled_station_ae_title
        self._modality = modality
        self._refresh_interval_s = refresh_interval_s
        self._now = now
        self._publish = publish
        self._request, self._requests = trio.open_memory_channel[WorklistRequest](0)
        self.status = WorklistStatus()
        self.shown: tuple[WorklistItem, ...] = ()  # what somebody last asked for and saw; numbers refer to this

    def query(
        self,
        *,
        date: str = "",
        modality: str = "",
        patient_name: str = "",
        patient_id: str = "",
        accession_number: str = "",
        requested_procedure_id: str = "",
    ) -> WorklistQuery:
        """What to ask for; the configured station and modality keys always go with it. Raises ValueError.

        Without a date it is today, where the profile matches on the date at all.
        """
        from firmware_app.net.query import checked_character_set
        from firmware_app.net.worklist import START_DATE, WorklistQuery

        today = self._now().strftime("%Y%m%d")
        if not date:
            date = today if any(key.path == START_DATE and key.matching for key in self.keys) else "any"
        query = WorklistQuery(
            scheduled_station_ae_title=self._scheduled_station_ae_title,
            date={"today": today, "any": ""}.get(date, date),
            modality=modality or self._modality,
            patient_name=patient_name,
            patient_id=patient_id,
            accession_number=accession_number,
            requested_procedure_id=requested_procedure_id,
        )
        checked_character_set(query.values(), self.keys, self.character_sets)
        return query

    async def refresh(self, query: WorklistQuery) -> WorklistStatus:
        """Ask now. Raises `Refused` without a node, `NetworkError` never: the reason is in the status."""
        if self._node is None:
            raise Refused(NO_NODE)
        send, receive = trio.open_memory_channel[WorklistStatus](1)
        with send, receive:
            await self._request.send(WorklistRequest(query, send.clone()))
            status = await receive.receive()
        if not status.error:
            self.shown = status.items
        return status

    def show_last(self) -> WorklistStatus:
        """The last good list, however old it is: numbers refer to it from now on. Raises `Refused` without one."""
        if not self.status.refreshed_at:
            raise Refused("the worklist was never refreshed: " + (self.status.error or "nobody has asked for it yet"))
        self.shown = self.status.items
        return self.status

    async def run(self) -> None:
        if self._node is None:
            finished(NO_NODE)
            return
        interval_s = self._refresh_interval_s or float("inf")
        with self._requests:
            while True:
                with trio.move_on_after(interval_s) as due, idle("a request, or the next refresh"):
                    request = await self._requests.receive()
                if due.cancelled_caught:
                    await self._query_by_itself(self._node)
                    continue
                await self._query(self._node, request.query)
                with request.reply:
                    try:
                        request.reply.send_nowait(self.status)
                    except trio.BrokenResourceError:
                        text = "whoever asked for the worklist has gone"
                        self._publish(Event("worklist.unclaimed", text, level="debug"))

    async def _query_by_itself(self, node: Node) -> None:
        try:
            query = self.query()
        except ValueError as error:  # a configured key that the profile does not match on
            self._fail(node, error)
            return
        await self._query(node, query)

    def _fail(self, node: Node, error: Exception, asked: dict[str, str] | None = None) -> None:
        self.status = WorklistStatus(self.status.items, self.status.refreshed_at, str(error), log_text(error))
        patient: dict[str, object] = {"keys": asked or {}, "said": str(error)}
        text = f"worklist: {log_text(error)}"
        self._publish(Event("worklist.failed", text, {"node": node.name}, "warning", patient))

    async def _query(self, node: Node, query: WorklistQuery) -> None:
        from firmware_app.net.worklist import find_worklist

        found = find_worklist(
            node,
            self._local,
            query,
            self.keys,
            contexts=self._contexts,
            character_sets=self.character_sets,
            preferred_character_set=most_used_character_set(self.status.items),
        )
        try:
            async with aclosing(found) as arriving:
                items = [item async for item in arriving]
        except NetworkError as error:
            self._fail(node, error, query.values())
            return
        self.status = WorklistStatus(tuple(items), self._now().isoformat(timespec="seconds"))
        data: dict[str, object] = {"items": len(items), "node": node.name}
        asked: dict[str, object] = {"keys": query.values()}
        self._publish(Event("worklist.refreshed", f"worklist: {len(items)} items", data, patient=asked))


def most_used_character_set(items: Sequence[WorklistItem]) -> tuple[str, ...]:
    """What the information system writes in, by its last answer; empty where that was the default repertoire."""
    used = Counter(item.specific_character_set for item in items if any(item.specific_character_set))
    return used.most_common(1)[0][0] if used else ()
