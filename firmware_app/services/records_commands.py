"""What the console can do with the records themselves: what is in them, and what was rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from firmware_app.console.commands import Argument, Command, CommandContext, CommandFailed, whole_number
from firmware_app.console.protocol import Reply
from firmware_app.console.text import format_table
from firmware_app.records.history import ExamSummary
from firmware_app.records.store import Records
from firmware_app.services.records_keeping import RecordsKeeping


@dataclass(frozen=True, slots=True)
class RecordsCommands:
    keeping: RecordsKeeping
    records: Records
    operator: str

    def table(self) -> tuple[Command, ...]:
        limit = Argument("--limit", "newest exams shown", whole_number(1, 10_000), default=20)
        patient = Argument("--id", "only of this patient ID", default="")
        return (
            Command(
                "exams",
                "the exams on record, newest first, and where their instances stand",
                self._exams,
                (limit, patient),
            ),
            Command("records", "whether the database is sound, and what was rebuilt", self._show),
            Command(
                "records acknowledge",
                "what was rebuilt has been read: it is no alarm any more",
                self._acknowledge,
                (Argument("--by", "who says so", default=""),),
            ),
        )

    async def _exams(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return exams_screen(await self.records.history(arguments["id"], arguments["limit"]))

    async def _show(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        reports = await self.keeping.rebuilds()
        sentences = [sentence for report in reports for sentence in report.sentences()]
        lines = [*sentences, self.keeping.detail] if sentences else [self.keeping.detail]
        return Reply("\n".join(lines), {"detail": self.keeping.detail, "rebuilds": [asdict(each) for each in reports]})

    async def _acknowledge(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        reports = await self.keeping.acknowledge(arguments["by"] or self.operator)
        if not reports:
            raise CommandFailed("nothing was rebuilt that is not acknowledged already")
        return Reply(
            "\n".join(f"acknowledged, kept in {report.folder}: {report.short}" for report in reports),
            {"acknowledged": [report.folder for report in reports]},
        )


def exams_screen(exams: list[ExamSummary]) -> Reply:
    rows = [
        (
            each.exam_id,
            each.started_at,
            each.patient_id,
            each.patient_name,
            f"R {each.right} L {each.left}",
            "open" if each.is_open else "closed",
            ", ".join(f"{count} {state}" for state, count in each.deliveries.items()),
        )
        for each in exams
    ]
    head = ("exam", "started", "patient ID", "name", "captures", "state", "instances")
    text = format_table(head, rows) if rows else "no exam is on record"
    return Reply(text, {"exams": [asdict(each) for each in exams]})
