"""What the console can do with the printer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from firmware_app.console.commands import Argument, Command, CommandContext, CommandFailed, whole_number
from firmware_app.console.protocol import Reply
from firmware_app.console.text import format_table
from firmware_app.net.errors import NetworkError
from firmware_app.records.print_jobs import PrintJob, PrintRecords
from firmware_app.services.film_options import FILM_OPTIONS
from firmware_app.services.printing import PrintService

_JOB = Argument("JOB", "the film's number, as print-jobs shows it", whole_number(1, 10**9))


@dataclass(frozen=True, slots=True)
class PrintCommands:
    """The handlers. What the services refuse, and what the records say, are the console's expected errors."""

    printing: PrintService
    jobs: PrintRecords

    def table(self) -> tuple[Command, ...]:
        settings = tuple(Argument(option, text, default="") for option, _, _, text in FILM_OPTIONS)
        return (
            Command(
                "print",
                "queue pictures for the printer: of exams, captures or instances",
                self._print,
                (
                    Argument("--report", "of an exam its report page, not its images", flag=True),
                    *settings,
                    Argument("EXAM_ID|UID", "an exam, a capture or a SOP Instance UID", repeated=True),
                ),
            ),
            Command("printer", "ask the printer how it is", self._printer),
            Command(
                "print-jobs",
                "where every film stands: queued, sending, printing, printed, failed",
                self._print_jobs,
                (Argument("--limit", "newest films shown", whole_number(1, 10_000), default=50),),
            ),
            Command("print-retry", "print a failed film again, or one that waits now", self._print_retry, (_JOB,)),
            Command("print-cancel", "do not print a film that waits", self._print_cancel, (_JOB,)),
        )

    async def _print(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        keys = {name: option.removeprefix("--").replace("-", "_") for option, name, _, _ in FILM_OPTIONS}
        given = {name: arguments[key] for name, key in keys.items() if arguments[key]}
        words: Sequence[str] = arguments["exam_id|uid"]
        jobs = await self.printing.print_pictures(words, given, reports=arguments["report"])
        numbers = ", ".join(str(job.job_id) for job in jobs)
        return Reply(
            f"{len(jobs)} films queued for {jobs[0].node}: {numbers} (print-jobs)",
            {"jobs": [asdict(job) for job in jobs]},
        )

    async def _printer(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        try:
            status, news = await self.printing.printer()
        except NetworkError as error:
            raise CommandFailed(f"printer: {error}") from error
        shown = {key.replace("_", " "): value for key, value in asdict(status).items() if value}
        lines = [f"{key}: {value}" for key, value in shown.items()]
        lines += [f"the {each.about} reports {each.words}" for each in news]
        lines.append(f"here: {self.printing.detail}")
        return Reply("\n".join(lines), {**asdict(status), "events": [asdict(each) for each in news]})

    async def _print_jobs(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        jobs = await self.jobs.jobs(arguments["limit"])
        rows = [_cells(job) for job in jobs]
        head = ("film", "state", "node", "tries", "status", "next", "exam", "images", "reason")
        text = format_table(head, rows) if rows else "nothing was printed yet"
        return Reply(text, {"jobs": [asdict(job) for job in jobs]})

    async def _print_retry(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        job = await self.printing.retry(arguments["job"])
        return Reply(f"film {job.job_id} is printed as soon as its turn comes", {"job": asdict(job)})

    async def _print_cancel(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        job = await self.printing.withdraw(arguments["job"])
        return Reply(f"film {job.job_id} is not printed", {"job": asdict(job)})


def _cells(job: PrintJob) -> tuple[str, ...]:
    return (
        str(job.job_id),
        str(job.state),
        job.node,
        str(job.attempts),
        "" if job.status is None else f"{job.status:04X}",
        job.next_attempt_at,
        job.exam_id,
        ", ".join(job.images),
        job.reason,
    )
