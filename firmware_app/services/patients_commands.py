"""The console's way to a patient of the archive: ask, read the list, open an exam for one of its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from firmware_app.console.commands import Argument, Command, CommandContext, CommandFailed, CommandUsage, whole_number
from firmware_app.console.protocol import Reply
from firmware_app.console.text import format_table
from firmware_app.net.errors import NetworkError
from firmware_app.profiles import QueryKey
from firmware_app.services import screens
from firmware_app.services.exam import ExamService
from firmware_app.services.patients import PatientList, PatientQueryService
from firmware_app.services.query_columns import patient_columns


@dataclass(frozen=True, slots=True)
class PatientCommands:
    """The handlers; their errors are the console's `EXPECTED`."""

    patients: PatientQueryService
    exams: ExamService
    operator: str

    def table(self) -> tuple[Command, ...]:
        return (
            Command(
                "patients",
                "ask the archive for patients now",
                self._patients,
                (
                    Argument("--name", "patient's name, * and ? are wildcards", default=""),
                    Argument("--id", "patient ID, * and ? are wildcards", default=""),
                    Argument("--last", "the list shown last, without asking again", flag=True),
                ),
            ),
            Command(
                "exam patient",
                "open an unscheduled exam for a patient of the list shown last (patients)",
                self._exam_patient,
                (Argument("NUMBER", "the patient's number in the list", whole_number(1, 100_000)),),
            ),
        )

    async def _patients(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        if arguments["last"]:
            if not self.patients.shown.asked_at:
                raise CommandFailed("no patients were shown yet: ask for them first (patients --name or --id)")
            return patients_screen(self.patients.shown, self.patients.keys)
        try:
            found = await self.patients.ask(patient_name=arguments["name"], patient_id=arguments["id"])
        except ValueError as error:
            raise CommandUsage(str(error)) from error
        except NetworkError as error:
            raise CommandFailed(str(error)) from error
        return patients_screen(found, self.patients.keys)

    async def _exam_patient(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        patients, number = self.patients.shown.patients, arguments["number"]
        if not patients:
            raise CommandFailed("no patients were shown yet, or none were found: ask for them first (patients)")
        if number > len(patients):
            raise CommandFailed(f"the list shown last has {len(patients)} patients, not {number}")
        found = patients[number - 1]
        return screens.exam_started(await self.exams.start((), found.patient, self.operator, found))


def patients_screen(found: PatientList, keys: tuple[QueryKey, ...]) -> Reply:
    columns = patient_columns(keys)
    head = ("#", *(column.heading for column in columns), "problems")
    rows = [
        (str(number), *(column.value(each) for column in columns), "; ".join(each.problems))
        for number, each in enumerate(found.patients, start=1)
    ]
    text = format_table(head, rows) if rows else "no patients match"
    if found.has_more:
        text += f"\nand more: only the first {len(rows)} are shown, ask for less"
    return Reply(
        f"{text}\nasked {found.asked_at}",
        {
            "patients": [asdict(each) for each in found.patients],
            "asked_at": found.asked_at,
            "has_more": found.has_more,
        },
    )
