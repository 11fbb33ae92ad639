"""What the console can do with the instrument: one command per operation of an exam, by hand or from a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from firmware_app.console.commands import (
    Argument,
    Command,
    CommandContext,
    CommandFailed,
    CommandUsage,
    number,
    whole_number,
)
from firmware_app.console.protocol import Reply
from firmware_app.model import Eye, Patient, Position
from firmware_app.objects.discontinuation import REASONS, UNSPECIFIED, discontinuation_reason
from firmware_app.objects.errors import ObjectError
from firmware_app.records.errors import RecordsError
from firmware_app.records.store import Records
from firmware_app.services import screens, typed_patient
from firmware_app.services.capture import CaptureService
from firmware_app.services.exam import ExamService
from firmware_app.services.status import StatusService
from firmware_app.services.worklist import WorklistService
from hw.errors import DeviceError

# Refusals, faults and what the archive of records says: their text is the operator's answer. All else is a bug.
EXPECTED: tuple[type[Exception], ...] = (DeviceError, RecordsError, ObjectError)

_EYE = Argument("EYE", "the patient's own right or left", Eye, choices=("R", "L"))
_UM = number(-1e6, 1e6)


@dataclass(frozen=True, slots=True)
class Commands:
    """The handlers, over the services that do the work. Their errors are the console's `EXPECTED`."""

    status: StatusService
    worklist: WorklistService
    capture: CaptureService
    exams: ExamService
    records: Records
    wake_delivery: Callable[[], None]
    operator: str

    def table(self) -> tuple[Command, ...]:
        """All but those of `instrument_commands`."""
        return (*self._opening_commands(), *self._exam_commands(), *self._delivery_commands())

    def _opening_commands(self) -> tuple[Command, ...]:
        return (
            Command(
                "worklist",
                "ask the information system for the scheduled patients now",
                self._worklist,
                (
                    Argument("--name", "patient's name, * and ? are wildcards", default=""),
                    Argument("--id", "patient ID, * and ? are wildcards", default=""),
                    Argument("--date", "YYYYMMDD, a range YYYYMMDD-YYYYMMDD, any, or today, the default", default=""),
                    Argument("--modality", "only steps of this modality", default=""),
                    Argument("--accession", "accession number", default=""),
                    Argument("--procedure", "requested procedure ID", default=""),
                    Argument("--last", "the last good list, without asking again", flag=True),
                ),
            ),
            Command(
                "exam start",
                "open an exam for an item of the worklist shown last, or for several of one patient",
                self._exam_start,
                (Argument("NUMBER", "the item's number in the list", whole_number(1, 100_000), repeated=True),),
            ),
            Command(
                "exam unscheduled",
                "open an exam for a patient who is on no worklist",
                self._exam_unscheduled,
                (
                    Argument("PATIENT_ID", "the hospital's ID", typed_patient.patient_id),
                    Argument("NAME", "Family^Given", typed_patient.person_name, default=""),
                    Argument("--birth-date", "YYYYMMDD", typed_patient.birth_date, default=""),
                    Argument("--sex", "M, F or O", choices=("M", "F", "O"), default=""),
                ),
            ),
        )

    def _exam_commands(self) -> tuple[Command, ...]:
        return (
            Command("exam show", "the open exam and what was captured so far", self._exam_show),
            Command("exam finish", "write report and instances, queue them for the archive", self._exam_finish),
            Command(
                "exam abandon",
                "close the exam without delivering; captures stay on disk",
                self._exam_abandon,
                (
                    Argument(
                        "REASON", f"{', '.join(REASONS)}, or the code", discontinuation_reason, default=UNSPECIFIED
                    ),
                ),
            ),
            Command(
                "exam append",
                "take more pictures for a closed exam: a new step and new series in its study",
                self._exam_append,
                (Argument("EXAM_ID", "the closed exam"),),
            ),
            Command(
                "exam resume",
                "open an interrupted exam again, with its captures",
                self._exam_resume,
                (Argument("EXAM_ID", "as shown by status"),),
            ),
            Command("results", "the numbers of an eye, waiting for the analysis", self._results, (_EYE,)),
        )

    def instrument_commands(self) -> tuple[Command, ...]:
        return (
            Command("status", "devices, exam, nodes, queue, event loop", self._status),
            Command("home", "find the stage's machine frame", self._home),
            Command("eye", "drive to the right or left eye", self._eye, (_EYE,)),
            Command("focus", "find the endothelium by contrast", self._focus),
            Command("capture", "take a burst and keep the sharpest frame", self._capture, (_EYE,)),
            Command("position", "where the stage is", self._position),
            Command(
                "move",
                "move the stage by um",
                self._move,
                (Argument("DX", "um", _UM), Argument("DY", "um", _UM), Argument("DZ", "um", _UM)),
            ),
            Command(
                "goto",
                "move the stage to a place in the machine frame",
                self._goto,
                (Argument("X", "um", _UM), Argument("Y", "um", _UM), Argument("Z", "um", _UM)),
            ),
            Command("stop", "stop the stage now, position kept", self._stop),
        )

    def _delivery_commands(self) -> tuple[Command, ...]:
        return (
            Command(
                "send",
                "queue the instances of a closed exam, or one instance, for the archive",
                self._send,
                (
                    Argument("WHAT", "the ID of a closed exam, or a SOP Instance UID"),
                    Argument("--to", "a configured storage node; without it the archive, storage", default=""),
                ),
            ),
            Command(
                "retry",
                "send a failed or waiting instance again now",
                self._retry,
                (Argument("UID", "SOP Instance UID, or all"),),
            ),
        )

    # ------------------------------------------------------------------------------------------- worklist and exam

    async def _worklist(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        if arguments["last"]:
            return screens.worklist(self.worklist.show_last(), self.worklist.keys)
        try:
            query = self.worklist.query(
                date=arguments["date"],
                modality=arguments["modality"],
                patient_name=arguments["name"],
                patient_id=arguments["id"],
                accession_number=arguments["accession"],
                requested_procedure_id=arguments["procedure"],
            )
        except ValueError as error:
            raise CommandUsage(f"worklist: {error}") from error
        status = await self.worklist.refresh(query)
        if status.error:
            raise CommandFailed(f"worklist: {status.error}")
        return screens.worklist(status, self.worklist.keys)

    async def _exam_start(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        items = self.worklist.shown  # never the list that refreshed itself since: its numbers are other patients
        numbers: tuple[int, ...] = arguments["number"]
        if not items:
            raise CommandFailed("no worklist was shown yet, or it was empty: ask for it first (worklist)")
        if max(numbers) > len(items):
            raise CommandFailed(f"the worklist shown last has {len(items)} items, not {max(numbers)}")
        chosen = [items[number - 1] for number in numbers]
        return screens.exam_started(await self.exams.start(chosen, chosen[0].patient, self.operator))

    async def _exam_unscheduled(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        patient = Patient(
            name=arguments["name"],
            patient_id=arguments["patient_id"],
            birth_date=arguments["birth_date"],
            sex=arguments["sex"],
        )
        try:
            typed_patient.check_writable(patient, self.worklist.character_sets)
        except ValueError as error:
            raise CommandUsage(f"exam unscheduled: {error}") from error
        return screens.exam_started(await self.exams.start((), patient, self.operator))

    async def _exam_append(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.exam_started(await self.exams.append(arguments["exam_id"], self.operator))

    async def _exam_show(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.exam(self.exams.require(), self.exams.captured_eyes)

    async def _exam_finish(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.exam_finished(await self.exams.finish(context.progress))

    async def _exam_abandon(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.exam_abandoned(await self.exams.abandon(arguments["reason"]), arguments["reason"])

    async def _exam_resume(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        exam = await self.exams.resume(arguments["exam_id"], context.progress)
        return screens.exam(exam, self.exams.captured_eyes)

    async def _results(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.result(await self.exams.result(arguments["eye"]))

    # ------------------------------------------------------------------------------------------- the instrument

    async def _status(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.status(await self.status.read())

    async def _home(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        context.progress("homing")
        return screens.position("homed, at", await self.capture.home())

    async def _eye(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        eye: Eye = arguments["eye"]
        context.progress(f"driving to the {eye.name.lower()} eye")
        return screens.position(f"at the {eye.name.lower()} eye,", await self.capture.go_to_eye(eye))

    async def _focus(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.focus(await self.capture.find_focus(context.progress))

    async def _capture(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.captured(await self.exams.take(arguments["eye"], context.progress))

    async def _position(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.position("stage at", await self.capture.position())

    async def _move(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        reached = await self.capture.move_by(arguments["dx"], arguments["dy"], arguments["dz"])
        return screens.position("stage at", reached)

    async def _goto(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        target = Position(arguments["x"], arguments["y"], arguments["z"])
        return screens.position("stage at", await self.capture.move_to(target))

    async def _stop(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.position("stopped at", await self.capture.stop())

    # ------------------------------------------------------------------------------------------- delivery

    async def _send(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.sent(await self.exams.send(arguments["what"], arguments["to"]))

    async def _retry(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        uid = arguments["uid"]
        count = await (self.records.retry_all() if uid == "all" else self.records.retry(uid))
        if not count and uid != "all":
            raise CommandFailed(f"no instance {uid} has failed or is waiting (queue)")
        self.wake_delivery()
        return Reply(f"{count} instances queued again", {"queued": count})
