"""What the console can do with the delivery queue: see where everything stands, hold, release, retry, redirect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from firmware_app.console.commands import Argument, Command, CommandContext, CommandFailed, whole_number
from firmware_app.console.protocol import Reply
from firmware_app.model import Event
from firmware_app.records.errors import UnknownRecord
from firmware_app.records.steering import Chosen, Decided
from firmware_app.records.store import Records
from firmware_app.services import queue_screen
from firmware_app.services.standing import Standing, moved

ALL = "all"
_WHAT = Argument("WHAT", "a SOP Instance UID, the ID of an exam, a storage node, or all")
_FROM = Argument("--node", "only what is for this node", default="")
# As they are typed: without a space.
STANDINGS = tuple(str(word).replace(" ", "-") for word in Standing)


@dataclass(frozen=True, slots=True)
class QueueCommands:
    """`nodes` are the configured storage nodes, `wake` has their deliveries look at the queue."""

    records: Records
    nodes: tuple[str, ...]
    wake: Callable[[], None]
    publish: Callable[[Event], None]

    def table(self) -> tuple[Command, ...]:
        return (
            Command(
                "queue",
                "where every instance stands, newest first: captured, queued, held, sending, stored, committed, failed",
                self._queue,
                (
                    Argument("--exam", "only of this exam", default=""),
                    _FROM,
                    Argument("--state", "only in this state", choices=STANDINGS, default=""),
                    Argument("--limit", "instances shown", whole_number(1, 10_000), default=50),
                    Argument("--counts", "only how many stand how at each node", flag=True),
                ),
            ),
            Command("queue hold", "send nothing of it until it is released", self._hold, (_WHAT, _FROM)),
            Command("queue release", "what was held is due now", self._release, (_WHAT, _FROM)),
            Command("queue retry", "what failed or waits is tried again now", self._retry, (_WHAT, _FROM)),
            Command(
                "queue redirect",
                "send what its node has not got yet to another storage node instead",
                self._redirect,
                (_WHAT, Argument("TO", "a configured storage node"), _FROM),
            ),
        )

    # ------------------------------------------------------------------------------------------- looking

    async def _queue(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        undelivered = await self.records.steering.tallies(undelivered=True)
        remarks = queue_screen.remarks(await self.records.steering.held_nodes(), undelivered, self.nodes)
        node, exam_id = arguments["node"] or None, arguments["exam"] or None
        if arguments["counts"]:
            tallies = await self.records.steering.tallies()
            return queue_screen.counts([each for each in tallies if node in (None, each.node)], remarks)
        deliveries = await self.records.deliveries(
            node=node,
            exam_id=exam_id,
            standing=arguments["state"].replace("-", " ") or None,
            newest_first=True,
            limit=arguments["limit"],
        )
        return queue_screen.queue(deliveries, remarks)

    # ------------------------------------------------------------------------------------------- deciding

    async def _hold(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        nodes, chosen = await self._chosen(arguments)
        if nodes:
            news = [node for node in nodes if await self.records.steering.hold_node(node)]
            self._tell_nodes("delivery.node_held", news, "is held: nothing is sent there until it is released")
            return Reply(f"nothing is sent to {', '.join(nodes)} until released", {"held_nodes": list(nodes)})
        done = await self.records.steering.hold(chosen)
        return self._decided("delivery.held", "held", done)

    async def _release(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        nodes, chosen = await self._chosen(arguments)
        news = [node for node in nodes if await self.records.steering.release_node(node)]
        self._tell_nodes("delivery.node_released", news, "is released")
        done = await self.records.steering.release(chosen)
        return self._decided("delivery.released", "released", done, [f"{node} is released" for node in news])

    async def _retry(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        _, chosen = await self._chosen(arguments)
        count = await self.records.retry(chosen.sop_instance_uid, chosen.node, exam_id=chosen.exam_id)
        if not count and arguments["what"] != ALL:
            raise CommandFailed(f"nothing of {arguments['what']} has failed or is waiting (queue)")
        self.wake()
        held = set(await self.records.steering.held_nodes()) & {chosen.node or node for node in self.nodes}
        stays = "".join(f"; {node} is held and gets nothing (queue release {node})" for node in sorted(held))
        return Reply(f"{count} instances queued again{stays}", {"queued": count})

    async def _redirect(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        to = arguments["to"]
        if to not in self.nodes:
            raise CommandFailed(f"{to} is no configured storage node ({self._known()})")
        _, chosen = await self._chosen(arguments)
        done = await self.records.steering.redirect(chosen, to)
        return self._decided("delivery.redirected", f"queued for {to} instead", done)

    def _decided(self, kind: str, words: str, done: Decided, node_wide: list[str] | None = None) -> Reply:
        if not done.deliveries and not node_wide:
            left = f": {done.being_sent} are being sent right now" if done.being_sent else " (queue)"
            raise CommandFailed(f"nothing there can be {words.partition(' ')[0]}{left}")
        for delivery in done.deliveries:
            self.publish(moved(kind, delivery))
        self.wake()
        return queue_screen.decided(words, done, node_wide="; ".join(node_wide or ()))

    def _tell_nodes(self, kind: str, nodes: list[str], words: str) -> None:
        for node in nodes:
            self.publish(Event(kind, f"{node} {words}", {"node": node}))

    # ------------------------------------------------------------------------------------------- what is meant

    async def _chosen(self, arguments: Mapping[str, Any]) -> tuple[tuple[str, ...], Chosen]:
        """The nodes as a whole, where one or all are meant, and the rows. Raises `CommandFailed`."""
        what, node = arguments["what"], arguments["node"] or None
        if what == ALL:
            return (node,) if node else self.nodes, Chosen(node=node)
        undelivered = await self.records.steering.tallies(undelivered=True)
        known = {*self.nodes, *(tally.node for tally in undelivered)}
        if what in known:
            if node not in (None, what):
                raise CommandFailed(f"{what} and {node} are two nodes: which is meant?")
            return (what,), Chosen(node=what)
        with suppress(UnknownRecord):
            return (), Chosen(sop_instance_uid=(await self.records.object(what)).sop_instance_uid, node=node)
        with suppress(UnknownRecord):
            return (), Chosen(exam_id=(await self.records.exam(what)).exam_id, node=node)
        raise CommandFailed(f"{what} is no instance, no exam and no storage node ({self._known()})")

    def _known(self) -> str:
        return ", ".join(self.nodes) or "none is configured"
