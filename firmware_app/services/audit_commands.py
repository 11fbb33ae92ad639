"""What the console can do with the audit trail. Reading it is part of it (PS3.15 A.5.3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree import ElementTree

from firmware_app.audit.chain import Entry
from firmware_app.console.commands import Argument, Command, CommandContext, whole_number
from firmware_app.console.protocol import Reply
from firmware_app.console.text import format_table
from firmware_app.services.audit import AuditService
from firmware_app.services.audit_sending import AuditSending

OUTCOMES = {"0": "", "4": "minor failure", "8": "serious failure", "12": "major failure"}


@dataclass(frozen=True, slots=True)
class AuditCommands:
    audit: AuditService
    sending: AuditSending
    operator: str

    def table(self) -> tuple[Command, ...]:
        return (
            Command(
                "audit",
                "the last messages of the audit trail, and whether its chain is whole; this is audited too",
                self._audit,
                (Argument("--limit", "newest messages shown", whole_number(1, 1000), default=20),),
            ),
        )

    async def _audit(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        entries = await self.audit.last(arguments["limit"])
        problems = await self.audit.problems()
        await self.audit.used(self.operator)
        chain = f"NOT WHOLE: {'; '.join(problems)}" if problems else "whole"
        rows = [row_of(entry) for entry in entries]
        head = ("#", "when", "what", "who", "outcome", "patient", "study")
        text = format_table(head, rows) if rows else "nothing was audited yet"
        data = {
            "messages": [asdict(entry) for entry in entries],
            "chain": problems,
            "tip": self.audit.trail.tip,
            "sending": self.sending.detail,
        }
        return Reply(f"{text}\nchain: {chain}, up to {self.audit.trail.tip}\n{self.sending.detail}", data)


def _who(participant: ElementTree.Element) -> str:
    """A person who came from somewhere (only messages of logins name people) with the address."""
    user, address = participant.get("UserID", ""), participant.get("NetworkAccessPointID")
    return f"{user} from {address}" if address and participant.get("UserName") else user


def row_of(entry: Entry) -> tuple[str, ...]:
    """A message for people; it is ours, and if somebody changed it into no XML, the chain says so."""
    try:
        root = ElementTree.fromstring(entry.message)
    except ElementTree.ParseError:
        return (str(entry.number), entry.at, "not readable", "", "", "", "")
    event = root.find("EventIdentification")
    codes = [] if event is None else [each.get("originalText", "") for each in event]
    who = ", ".join(_who(each) for each in root.findall("ActiveParticipant"))
    found = root.findall("ParticipantObjectIdentification")
    objects = {each.get("ParticipantObjectTypeCodeRole"): each for each in found}
    patient, study = objects.get("1"), objects.get("3")
    if study is not None and study.find("ParticipantObjectQuery") is not None:  # a SOP class that was asked
        study = None
    outcome = "" if event is None else OUTCOMES.get(event.get("EventOutcomeIndicator", ""), "")
    return (
        str(entry.number),
        entry.at,
        ": ".join(filter(None, codes)),
        who,
        outcome,
        "" if patient is None else patient.get("ParticipantObjectID", ""),
        "" if study is None else study.get("ParticipantObjectID", ""),
    )
