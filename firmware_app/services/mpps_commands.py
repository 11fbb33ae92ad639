"""What the console can do with the messages of performed procedure steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from firmware_app.console.commands import Argument, Command, CommandContext, CommandFailed, whole_number
from firmware_app.console.protocol import Reply
from firmware_app.console.text import format_table
from firmware_app.records.mpps import MppsDelivery, MppsRecords
from firmware_app.services.mpps import MppsService


@dataclass(frozen=True, slots=True)
class MppsCommands:
    """The handlers. What the records say are the console's expected errors."""

    mpps: MppsService
    records: MppsRecords

    def table(self) -> tuple[Command, ...]:
        return (
            Command(
                "mpps",
                "where every message of a performed procedure step stands: queued, sending, done, failed",
                self._messages,
                (Argument("--limit", "newest messages shown", whole_number(1, 10_000), default=50),),
            ),
            Command(
                "mpps retry",
                "send a failed message, or one that waits, again now, and with it the rest of its step",
                self._retry,
                (Argument("UID", "SOP Instance UID of the step, or all"),),
            ),
        )

    async def _messages(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        messages = await self.records.messages(newest_first=True, limit=arguments["limit"])
        return messages_screen(messages, self.mpps.detail)

    async def _retry(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        uid = arguments["uid"]
        count = await self.records.retry(None if uid == "all" else uid)
        if not count and uid != "all":
            raise CommandFailed(f"no message of step {uid} has failed or is waiting (mpps)")
        self.mpps.wake()
        return Reply(f"{count} messages queued again", {"queued": count})


def messages_screen(messages: Sequence[MppsDelivery], node: str) -> Reply:
    rows = [
        (
            str(each.state),
            each.operation,
            each.step_status,
            str(each.attempts),
            f"{each.status:04X}" if each.status is not None else "",
            each.next_attempt_at,
            each.exam_id,
            each.mpps_sop_instance_uid,
            each.reason,
        )
        for each in messages
    ]
    head = ("state", "operation", "step", "tries", "status", "next", "exam", "SOP Instance UID", "reason")
    text = format_table(head, rows) if rows else "no exam was reported yet"
    return Reply(f"{text}\n{node}", {"messages": [asdict(each) for each in messages], "node": node})
