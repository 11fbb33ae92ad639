"""The two commands that every console has: `help`, and `events` to watch what happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec

from firmware_app.console.commands import Argument, Command, CommandContext, whole_number
from firmware_app.console.protocol import Reply
from firmware_app.model import Event

EVENTS_PER_COMMAND_MAX = 1000  # what one reply holds; who wants more watches a subscription


class Events(Protocol):
    """The events of one subscriber; `take_missed` right after `receive` counts those lost just before it."""

    async def receive(self) -> Event: ...

    def take_missed(self) -> int: ...


Subscribing = Callable[[], AbstractContextManager[Events]]


async def _help(context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
    words = arguments["command"]
    text = context.table.help_text(words)
    listed = [{"name": each.name, "usage": each.usage, "help": each.help} for each in context.table.under(words)]
    return Reply(text, {"commands": listed})


HELP = Command(
    "help",
    "what the console can do, or one command in full",
    _help,
    (Argument("COMMAND", "the first word or words of a command", repeated=True, default=()),),
)


def events_command(subscribing: Subscribing) -> Command:
    async def events(context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        seen: list[Event] = []
        missed = 0
        with subscribing() as subscription:
            while len(seen) < arguments["count"]:
                event = await subscription.receive()
                missed += subscription.take_missed()
                seen.append(event)
                context.progress(f"{event.kind}: {event.text}")
        text = f"{len(seen)} events" + (f", {missed} missed" if missed else "")
        return Reply(text, {"events": [msgspec.to_builtins(event) for event in seen], "missed": missed})

    return Command(
        "events",
        "watch what happens, until COUNT events have come or the command is cancelled",
        events,
        (
            Argument(
                "COUNT",
                f"at most {EVENTS_PER_COMMAND_MAX}",
                whole_number(1, EVENTS_PER_COMMAND_MAX),
                default=EVENTS_PER_COMMAND_MAX,
            ),
        ),
    )
