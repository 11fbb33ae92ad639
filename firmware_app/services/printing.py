"""Printing to one printer: the durable queue's films, in order, each in a film session of its own.

The queue is in the records, never in memory. While the printer is away or reports FAILURE, the head of the queue waits
and is tried again without end; a refusal that waiting does not mend parks the film with its reason. A film is never
printed twice by itself: where the answer to the order to print was lost, a person decides.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from firmware_app.model import Equipment, Event, EventLevel
from firmware_app.net.association import ContextPair
from firmware_app.net.errors import NetworkError
from firmware_app.net.film_print import FilmRefused, PrintedFilm, ask_printer, film_session, is_worth_another_film
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.net.printer_news import PrinterNews, PrinterStatus
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.film_settings import BadFilm, FilmSettings, film_settings
from firmware_app.objects.identifiers import new_uid
from firmware_app.profiles.profile import PrintTables
from firmware_app.progress import COMPUTE_S, finished, idle, working
from firmware_app.records.errors import FileDamaged, StorageFault, UnknownRecord, WrongState
from firmware_app.records.print_jobs import PrintJob, PrintState
from firmware_app.records.store import Records
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.queue_task import IDLE_LOOK_S, DiskFaults, wake
from hw.errors import Refused

if TYPE_CHECKING:
    from firmware_app.services.film_pages import Picture

SINGLE_IMAGE = {"layout": "1,1"}  # KodakQC statement 2.4.3: automatic printing is of single image pages
CAPTURE, INSTANCE = "capture/", "instance/"


@dataclass(frozen=True, slots=True)
class Printer:
    """The printer, how we present ourselves to it, and what its films may and shall look like."""

    node: Node
    local: LocalApplicationEntity
    contexts: tuple[ContextPair, ...]
    tables: PrintTables
    settings: FilmSettings
    automatic: bool
    policy: BackoffPolicy
    caption: Equipment | None = None  # named below every capture with its patient; None: captures have no caption


class PrintService:
    """Without a `printer` everything is refused, and `why_not` says why there is none."""

    def __init__(
        self,
        records: Records,
        state_dir: Path,
        printer: Printer | None,
        publish: Callable[[Event], None],
        *,
        why_not: str = "no printer is configured: print.ip_address, print.port and print.ae_title",
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._records = records
        self._jobs = records.print_jobs
        self._state_dir = state_dir
        self._printer = printer
        self._publish = publish
        self._why_not = why_not
        self._chance = chance
        self._one_association = trio.Lock()
        self._wake, self._woken = trio.open_memory_channel[None](1)
        self._in_trouble = ""
        self._refusals: Counter[int] = Counter()
        self._disk_faults = DiskFaults("print.paused", publish, chance)
        self._job_id = 0
        self._failed = 0

    @property
    def detail(self) -> str:
        """For the status screen, in a few words."""
        if self._printer is None:
            return self._why_not
        doing = f"waiting: {self._in_trouble}" if self._in_trouble else "idle"
        if self._job_id:
            doing = f"film {self._job_id} on its way to {self._printer.node.name}"
        return doing + (f"; {self._failed} films failed (print-jobs)" if self._failed else "")

    @contextlib.asynccontextmanager
    async def _association_turn(self) -> AsyncIterator[None]:
        with idle("the printer's only association"):
            await self._one_association.acquire()
        try:
            yield
        finally:
            self._one_association.release()

    def require(self) -> Printer:
        if self._printer is None:
            raise Refused(self._why_not)
        return self._printer

    async def printer(self) -> tuple[PrinterStatus, tuple[PrinterNews, ...]]:
        """How the printer is now, after the film that is on its way. Raises `Refused` or NetworkError."""
        printer = self.require()
        async with self._association_turn():
            return await ask_printer(printer.node, printer.local, printer.contexts)

    async def print_pictures(
        self, words: Sequence[str], given: Mapping[str, str] | None = None, *, reports: bool = False
    ) -> list[PrintJob]:
        """Queue what is named by exams, captures and instances, on as many films as it needs.

        An exam stands for its accepted images, and with `reports` for its report pages. Raises `Refused`,
        `UnknownRecord`, or `BadFilm` for settings that the profile does not have.
        """
        printer = self.require()
        settings = film_settings(printer.tables, printer.settings, given)
        found = [await self._find(word, reports) for word in words]
        exams = {exam_id for exam_id, _ in found}
        images = [image for _, each in found for image in each]
        films = [images[first : first + settings.places] for first in range(0, len(images), settings.places)]
        exam_id = exams.pop() if len(exams) == 1 else ""
        jobs = await self._jobs.add(exam_id, printer.node.name, asdict(settings), films)
        self.wake()
        return jobs

    async def exam_finished(self, exam_id: str) -> list[PrintJob]:
        """Automatic printing, where it is configured: one single image page per accepted image, each once.

        Films that the profile does not allow are told and not queued: an exam is finished with or without them.
        """
        if self._printer is None or not self._printer.automatic:
            return []
        try:
            settings = film_settings(self._printer.tables, self._printer.settings, SINGLE_IMAGE)
        except BadFilm as error:
            text = f"exam {exam_id} is not printed: [print] of the configuration: {error}"
            self._publish(Event("print.failed", text, {"exam_id": exam_id}, "alert"))
            return []
        images = await self._accepted_images(exam_id)
        jobs = await self._jobs.add_automatic(exam_id, self._printer.node.name, asdict(settings), images)
        self.wake()
        return jobs

    async def retry(self, job_id: int) -> PrintJob:
        """By hand: print a failed film again, or one that waits now. Raises `UnknownRecord` or `WrongState`."""
        job = await self._jobs.retry(job_id)
        self.wake()
        return job

    async def withdraw(self, job_id: int) -> PrintJob:
        """By hand: do not print a film that waits. Raises `UnknownRecord` or `WrongState`."""
        job = await self._jobs.withdraw(job_id)
        self.wake()
        return job

    def wake(self) -> None:
        wake(self._wake)

    async def run(self) -> None:
        """Print until cancelled. What was on its way is then queued again, or failed where it may be on film."""
        if self._printer is None:
            finished(self._why_not)
            return
        try:
            while True:
                with trio.move_on_after(await self.print_due(self._printer)), idle("a film to print"):
                    await self._woken.receive()
        finally:
            # A refusing disk is no reason to hide why we end: opening the records does the same again.
            with trio.CancelScope(shield=True), contextlib.suppress(StorageFault):
                await self._settle_interrupted(self._printer)

    # ------------------------------------------------------------------------------------------- finding pictures

    async def _find(self, word: str, reports: bool) -> tuple[str, list[str]]:
        try:
            exam = await self._records.exam(word)
        except UnknownRecord:
            return await self._find_one(word)
        images = await (self._report_pages(exam.exam_id) if reports else self._accepted_images(exam.exam_id))
        if not images:
            raise Refused(f"exam {word} has no {'report' if reports else 'accepted image'} yet: finish it first")
        return exam.exam_id, images

    async def _find_one(self, word: str) -> tuple[str, list[str]]:
        try:
            instance = await self._records.object(word)
        except UnknownRecord:
            try:
                capture = await self._records.capture(word)
            except UnknownRecord:
                raise UnknownRecord(f"no exam, capture or instance {word}") from None
            return capture.exam_id, [CAPTURE + capture.capture_id]
        if instance.kind == "image" and instance.capture_id:
            # The capture has every bit of the camera, an instance may have been compressed.
            return instance.exam_id, [CAPTURE + instance.capture_id]
        return instance.exam_id, [INSTANCE + word]

    async def _accepted_images(self, exam_id: str) -> list[str]:
        objects = await self._records.objects(exam_id)
        accepted = (each.capture_id for each in objects if each.kind == "image" and each.capture_id)
        return [CAPTURE + capture_id for capture_id in dict.fromkeys(accepted)]

    async def _report_pages(self, exam_id: str) -> list[str]:
        objects = await self._records.objects(exam_id)
        return [INSTANCE + each.sop_instance_uid for each in objects if each.kind == "report"]

    async def _picture(self, image: str, equipment: Equipment | None) -> Picture:
        if image.startswith(CAPTURE):
            return await self._captured(image.removeprefix(CAPTURE), equipment)
        uid = image.removeprefix(INSTANCE)
        await self._records.verify_object(uid)
        return self._state_dir / (await self._records.object(uid)).file

    async def _captured(self, capture_id: str, equipment: Equipment | None) -> Picture:
        from firmware_app.report.film_caption import FilmCaption
        from firmware_app.services.film_pages import CaptionedFrame

        frame = await self._records.load_frame(capture_id)
        if equipment is None:
            return frame
        capture = await self._records.capture(capture_id)
        exam = await self._records.exam(capture.exam_id)
        return CaptionedFrame(frame, FilmCaption(exam, capture, equipment))

    # ------------------------------------------------------------------------------------------- one film

    async def print_due(self, printer: Printer) -> float:
        """Print what is due and return how long nothing will be."""
        try:
            await self._settle_interrupted(printer)
            while True:
                job = await self._jobs.next_due(printer.node.name)
                wait_s = IDLE_LOOK_S if job is None else printer.policy.left_s(job.wait_s)
                if job is None or wait_s > 0:
                    self._failed = (await self._jobs.counts())[PrintState.FAILED]
                    self._disk_faults.over()
                    return wait_s
                await self._print(printer, job)
        except StorageFault as error:
            what_waits = f"printing at {printer.node.name} waits"
            return self._disk_faults.pause_s(error, what_waits, printer.node, printer.policy)

    async def _settle_interrupted(self, printer: Printer) -> None:
        in_doubt = await self._jobs.settle_interrupted(printer.node.name)
        if in_doubt:
            text = (
                f"{in_doubt} films may have been printed at {printer.node.name}: look, then print-retry or leave them"
            )
            self._publish(Event("print.uncertain", text, {"node": printer.node.name}, "alert"))

    async def _print(self, printer: Printer, job: PrintJob) -> None:
        from firmware_app.objects.film_attributes import film_session_attributes
        from firmware_app.services.film_files import NotPrintable
        from firmware_app.services.film_pages import compose_film

        try:
            job = await self._jobs.mark_sending(job.job_id)
        except WrongState:
            return  # withdrawn since we looked
        self._job_id = job.job_id
        try:
            settings = FilmSettings(**job.film)
            pictures = [await self._picture(image, printer.caption) for image in job.images]
            compose = partial(compose_film, printer.tables, settings, pictures)
            with working("composing a film", COMPUTE_S):
                film = await trio.to_thread.run_sync(compose)
            attributes = film_session_attributes(printer.tables, settings)
            async with (
                self._association_turn(),
                film_session(
                    printer.node, printer.local, printer.contexts, attributes, new_uid, self._tell_news
                ) as session,
            ):
                await session.print_film(film, partial(self._told_to_print, job), partial(self._settle_printed, job))
        except (FileDamaged, UnknownRecord, ObjectError, NotPrintable) as error:
            await self._park(job, None, str(error), "alert")
        except NetworkError as error:
            await self._settle_failure(printer, job, error)
        finally:
            self._job_id = 0

    async def _told_to_print(self, job: PrintJob) -> None:
        await self._jobs.mark_printing(job.job_id)

    async def _settle_printed(self, job: PrintJob, printed: PrintedFilm) -> None:
        # An answer that has arrived is recorded even if we are told to end now.
        with trio.CancelScope(shield=True):
            reason = "; ".join(printed.warnings)
            done = await self._jobs.mark_printed(job.job_id, printed.status, reason)
        self._refusals.pop(job.job_id, None)
        self._recovered(job)
        level: EventLevel = "warning" if printed.warnings else "info"
        self._tell("print.printed", f"printed at {job.node}", done, level)

    async def _settle_failure(self, printer: Printer, job: PrintJob, error: NetworkError) -> None:
        status = error.status if isinstance(error, FilmRefused) else None
        if status is not None:
            self._refusals[job.job_id] += 1
        spent = self._refusals[job.job_id] >= printer.policy.step_aside_after
        if spent or not is_worth_another_film(error):
            await self._park(job, status, str(error), "error")
            return
        delay_s = printer.policy.delay_s(job.attempts, self._chance)
        due = self._records.now() + timedelta(seconds=delay_s)
        waiting = await self._jobs.mark_retry(job.job_id, status, str(error), due)
        level: EventLevel = "debug" if self._in_trouble else "warning"
        self._in_trouble = str(error)
        text = f"not printed at {job.node}, next attempt in {delay_s:.0f} s"
        self._tell("print.retry", text, waiting, level)

    async def _park(self, job: PrintJob, status: int | None, reason: str, level: EventLevel) -> None:
        self._refusals.pop(job.job_id, None)
        parked = await self._jobs.mark_failed(job.job_id, status, reason)
        self._tell("print.failed", f"will not be printed at {job.node} until somebody decides", parked, level)

    def _recovered(self, job: PrintJob) -> None:
        if self._in_trouble:
            self._in_trouble = ""
            self._publish(Event("print.recovered", f"{job.node} prints again", {"node": job.node}))

    def _tell_news(self, news: PrinterNews) -> None:
        level: EventLevel = "warning" if news.is_trouble else "debug"
        data: dict[str, object] = {"state": news.state, "info": news.info}
        self._publish(Event("print.news", f"the {news.about} reports {news.words}", data, level))

    def _tell(self, kind: str, text: str, job: PrintJob, level: EventLevel) -> None:
        """The reason is ours only: a printer's own comment may name the patient, and is shown but never logged."""
        reason = job.reason if job.status is None else f"status {job.status:04X}"
        data: dict[str, object] = {
            "job_id": job.job_id,
            "node": job.node,
            "status": job.status,
            "attempts": job.attempts,
            "next_attempt_at": job.next_attempt_at,
        }
        self._publish(Event(kind, f"film {job.job_id} {text}" + (f": {reason}" if reason else ""), data, level))
