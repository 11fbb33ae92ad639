"""What the console can do with storage commitment: see the requests, and ask again by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firmware_app.console.commands import Argument, Command, CommandContext, CommandFailed, whole_number
from firmware_app.console.protocol import Reply
from firmware_app.records.store import Records
from firmware_app.services import screens
from firmware_app.services.commitment import CommitmentService


@dataclass(frozen=True, slots=True)
class CommitmentCommands:
    commitments: tuple[CommitmentService, ...]  # of each storage node
    records: Records

    def table(self) -> tuple[Command, ...]:
        return (
            Command(
                "commitment",
                "what nodes were asked to commit to, newest first: queued, requested, answered, expired",
                self._show,
                (Argument("--limit", "newest requests shown", whole_number(1, 10_000), default=20),),
            ),
            Command(
                "commitment retry",
                "ask again now for an instance that was refused or is waiting for its answer",
                self._retry,
                (Argument("UID", "SOP Instance UID, or all"),),
            ),
        )

    async def _show(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        reply = screens.commitments(await self.records.commitments.newest(arguments["limit"]))
        detail = "; ".join(each.detail for each in self.commitments)
        return Reply(f"{detail}\n{reply.text}", {"detail": detail, **(reply.data or {})})

    async def _retry(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        uid = arguments["uid"]
        count = sum([await each.retry(None if uid == "all" else uid) for each in self.commitments])
        if not count and uid != "all":
            raise CommandFailed(f"instance {uid} was not refused and waits for no answer (queue)")
        return Reply(f"{count} asked again", {"asked_again": count})
