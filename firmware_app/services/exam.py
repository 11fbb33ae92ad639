"""One exam at a time: from worklist items (or an unscheduled patient) to the delivered instances.

An exam is one performed procedure step. Where an information system wants to hear of it, the message is recorded in the
transaction that opens or closes the exam: no crash can leave one without the other.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from firmware_app.endothelium.edits import change_words
from firmware_app.endothelium.history import History
from firmware_app.model import (
    Code,
    Delivery,
    DeliveryState,
    Event,
    Exam,
    Eye,
    FixationPoint,
    FoundPatient,
    Measurement,
    Patient,
    WorklistItem,
)
from firmware_app.objects.discontinuation import UNSPECIFIED
from firmware_app.objects.identifiers import new_uid
from firmware_app.records.documents import ObjectRecord
from firmware_app.records.errors import RecordsError
from firmware_app.records.store import Records
from firmware_app.services.analysis import Analysed
from firmware_app.services.capture import Captured, CaptureService
from firmware_app.services.exam_requests import check_group, study_of
from firmware_app.services.eyepiece import Progress
from firmware_app.services.photographer import Photograph
from firmware_app.services.standing import moved
from firmware_app.services.step_reports import StepReports
from hw.errors import Refused

if TYPE_CHECKING:
    from firmware_app.services.deliverables import Deliverable, Drawn


@dataclass(frozen=True, slots=True)
class FinishedExam:
    exam: Exam
    deliverables: tuple[Deliverable, ...]
    files: tuple[str, ...]  # where each deliverable is kept
    pictures: tuple[str, ...]  # report and overlays, for people
    queued_for: str  # the node, or empty when nothing is sent by itself
    storage_node: str = ""  # empty when none is configured


class ExamService:
    def __init__(
        self,
        state_dir: Path,
        records: Records,
        capture: CaptureService,
        build: Callable[[Exam, dict[Eye, Analysed], datetime], tuple[tuple[Deliverable, ...], Drawn]],
        storage_node: str,
        wake_delivery: Callable[[], None],
        now: Callable[[], datetime],
        publish: Callable[[Event], None],
        *,
        steps: StepReports | None = None,
        send_automatically: bool = True,
        other_nodes: Mapping[str, bool] | None = None,
        print_accepted: Callable[[str], Awaitable[Sequence[object]]] | None = None,
        closed: Callable[[], None] = lambda: None,
        opened: Callable[[], None] = lambda: None,
        require_room: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    ) -> None:
        """`print_accepted` queues the films of an exam whose images are accepted; asked again, only missing ones.

        `opened` tells that an exam is open, `closed` that it is closed: then commitment is asked for its instances.
        `other_nodes`: further storage nodes, and whether what is finished goes there too by itself.
        `require_room` raises `Refused` where the disk has too little left to begin one.
        """
        self._state_dir = state_dir
        self._records = records
        self._capture = capture
        self._build = build
        self._storage_node = storage_node
        others = other_nodes or {}
        self._nodes = tuple(filter(None, (storage_node, *others)))
        by_themselves = [storage_node] if send_automatically and storage_node else []
        self._queue_for = (*by_themselves, *(node for node, automatic in others.items() if automatic))
        self._print_accepted = print_accepted
        self._closed = closed
        self._opened = opened
        self._require_room = require_room
        self._steps = steps or StepReports(None, lambda: None, publish)
        self._wake_delivery = wake_delivery
        self._now = now
        self._publish = publish
        self._accepted: dict[Eye, Captured] = {}
        self._measurements: dict[str, Analysed] = {}
        self._measured = trio.Event()
        self._changing = ""
        self.exam: Exam | None = None

    def require(self) -> Exam:
        if self.exam is None:
            raise Refused("no exam is open: start one first (exam start)")
        return self.exam

    async def start(
        self, items: Sequence[WorklistItem], patient: Patient, operator: str, found: FoundPatient | None = None
    ) -> Exam:
        """Open an exam for one request or for several of the same patient, whose study is then the first one's.

        An unscheduled one, without any, gets a Study Instance UID of ours (PS3.4 F.7.2.1.2 note 3). `found` is where
        its patient comes from, if from a patient query.
        """
        check_group(items)
        kind = ("unscheduled", "scheduled", "group")[min(len(items), 2)]
        new = self._new(tuple(items), patient, study_of(items) or new_uid(), operator)
        new = replace(new, found_patient=found)
        return await self._begin(new, f"{kind} exam {new.exam_id} started")

    async def append(self, exam_id: str, operator: str) -> Exam:
        """Go on with the study of a closed exam: a new step and new series for the same requests (PS3.17 J.2.3)."""
        with self._change("opened"):
            self._require_none()
            former = await self._records.exam(exam_id)
            if not await self._records.exam_is_finished(exam_id):
                raise Refused(f"exam {exam_id} was never closed: go on with it (exam resume {exam_id})")
        new = self._new(former.worklist_items, former.patient, former.study_instance_uid, operator)
        new = replace(new, appended_to=exam_id, found_patient=former.found_patient)
        return await self._begin(new, f"exam {new.exam_id} goes on with the study of exam {exam_id}")

    async def _begin(self, new: Exam, text: str) -> Exam:
        with self._change("opened"):
            self._require_none()
            await self._require_room()
            message = await self._steps.begun(new)
            exam = new if message is not None else replace(new, mpps_sop_instance_uid="")
            await self._records.begin_exam(exam, message)
            self._open(exam)
        self._steps.recorded()
        patient: dict[str, object] = {"name": exam.patient.name, "patient_id": exam.patient.patient_id}
        self._publish(Event("exam.started", text, {"exam_id": exam.exam_id}, patient=patient))
        return exam

    def _new(self, items: tuple[WorklistItem, ...], patient: Patient, study_instance_uid: str, operator: str) -> Exam:
        exam_id = uuid.uuid4().hex[:12]
        return Exam(
            exam_id=exam_id,
            patient=patient,
            study_instance_uid=study_instance_uid,
            series_instance_uid=new_uid(),
            started_at=self._now().isoformat(timespec="seconds"),
            worklist_items=items,
            operator=operator,
            performed_procedure_step_id=f"PPS{exam_id.upper()}",  # SH: at most 16 characters
            mpps_sop_instance_uid=self._steps.new_uid(),
        )

    async def take(self, eye: Eye, progress: Progress) -> Captured:
        """Capture one eye; a second capture of the same eye takes the first one's place in the report."""
        self._require_settled()  # a picture must not land in the exam after the one it was asked for
        captured = await self._capture.capture(self.require(), eye, progress)
        self._accept(captured)
        return captured

    async def take_by_itself(
        self, eye: Eye, progress: Progress, point: FixationPoint = FixationPoint.CENTRE
    ) -> tuple[Captured, Photograph]:
        """As `take`, from anywhere and without a hand; a peripheral one never takes a central one's place."""
        self._require_settled()
        captured, taken = await self._capture.auto(self.require(), eye, progress, point)
        self._accept(captured)
        return captured, taken

    async def take_series(
        self, eye: Eye, shots: int, progress: Progress, point: FixationPoint = FixationPoint.CENTRE
    ) -> list[Captured]:
        """Overlapping captures for a panorama; the one in the middle is the eye's in the report."""
        self._require_settled()
        captures = await self._capture.series(self.require(), eye, shots, progress, point)
        self._accept(captures[0])
        return captures

    def _accept(self, captured: Captured) -> None:
        """As the eye's picture in the report, unless it shows the periphery of a cornea whose centre is there."""
        eye, point = captured.capture.eye, captured.capture.point
        former = self._accepted.get(eye)
        if former is None or former.capture.point is not FixationPoint.CENTRE or point is FixationPoint.CENTRE:
            self._accepted[eye] = captured

    def measured(self, analysed: Analysed) -> None:
        self._measurements[analysed.captured.capture.capture_id] = analysed
        self._measured.set()
        self._measured = trio.Event()

    async def result(self, eye: Eye) -> Analysed:
        """The accepted capture of an eye with its measurement, waiting for the analysis where it still runs."""
        if eye not in self._accepted:
            raise Refused(f"the {eye.name.lower()} eye has no capture in this exam")
        captured = self._accepted[eye]
        while captured.capture.capture_id not in self._measurements:
            await self._measured.wait()
        return self._measurements[captured.capture.capture_id]

    async def revise(self, eye: Eye, revise: Callable[[Analysed], tuple[Measurement, History]]) -> tuple[Analysed, int]:
        """Replace an eye's numbers by what `revise` makes of them, with who did what as its history's last entry.

        It runs in a worker thread; what it raises comes out here and nothing has changed. Recorded as a new revision,
        which is returned with it, before anybody sees it.
        """
        if self.exam is None:
            raise Refused("no exam is open: numbers can only be changed before their exam is finished")
        analysed = await self.result(eye)
        with self._change("edited"):
            measurement, history = await trio.to_thread.run_sync(revise, analysed)
            revised = replace(analysed, measurement=measurement, history=history)
            capture_id = analysed.captured.capture.capture_id
            revision = await self._records.save_measurement(capture_id, measurement, history.records[-1])
            self.measured(revised)
        text = f"{eye.name.lower()} eye: {change_words(history.records[-1].change)} ({history.records[-1].action})"
        self._publish(Event("measurement.edited", text, {"capture_id": capture_id, "revision": revision}))
        return revised, revision

    @property
    def captured_eyes(self) -> tuple[Eye, ...]:
        return tuple(eye for eye in Eye if eye in self._accepted)

    async def finish(self, progress: Progress) -> FinishedExam:
        """Write report and instances, queue them for the archive, close the exam."""
        with self._change("finished"):
            exam = self._closable()
            if not self._accepted:
                raise Refused(f"exam {exam.exam_id} has no capture: capture an eye, or abandon the exam")
            return await self._finish(exam, progress)

    async def _finish(self, exam: Exam, progress: Progress) -> FinishedExam:
        results = {eye: await self.result(eye) for eye in self.captured_eyes}
        progress("writing report and objects")
        deliverables, drawn = await trio.to_thread.run_sync(self._build, exam, results, self._now())
        pictures = [str(await self._records.save_picture(exam.exam_id, name, png)) for name, png in drawn]
        there = {record.sop_instance_uid: record for record in await self._records.objects(exam.exam_id)}
        files = [
            self._path(there[each.sop_instance_uid]) if each.sop_instance_uid in there else await self._save(exam, each)
            for each in deliverables
        ]
        # Before the exam is closed: if the power goes in between, finishing it again queues what is missing.
        films = await self._print_accepted(exam.exam_id) if self._print_accepted else ()
        message = await self._steps.ended(exam, "COMPLETED", self._now(), [Path(file) for file in files])
        await self._records.finish_exam(exam.exam_id, message)
        self._close()
        self._steps.recorded()
        self._closed()
        if self._queue_for:
            self._wake_delivery()
        queued_for = " and ".join(self._queue_for)
        where = f"queued for {queued_for}" if queued_for else "kept"
        where += f", {len(films)} films queued" if films else ""
        self._publish(
            Event(
                "exam.finished",
                f"exam {exam.exam_id}: {len(deliverables)} instances {where}",
                {"exam_id": exam.exam_id, "instances": len(deliverables)},
            )
        )
        return FinishedExam(
            exam, deliverables, tuple(files), tuple(pictures), queued_for, storage_node=self._storage_node
        )

    async def _save(self, exam: Exam, deliverable: Deliverable) -> str:
        record = await self._records.save_object(
            exam.exam_id,
            deliverable.capture_id,
            kind=deliverable.kind,
            sop_class_uid=deliverable.sop_class_uid,
            sop_instance_uid=deliverable.sop_instance_uid,
            transfer_syntax_uid=deliverable.transfer_syntax_uid,
            data=deliverable.data,
            enqueue_for=self._queue_for,
        )
        for node in self._queue_for or ("",):
            self._publish(moved("delivery.queued", await self._records.delivery(record.sop_instance_uid, node)))
        for problem in deliverable.problems:
            # Only the attribute's name: the rest of the sentence may quote the patient.
            text = f"{deliverable.kind}: {problem.partition(':')[0]} could not be sent as it was"
            uid: dict[str, object] = {"sop_instance_uid": deliverable.sop_instance_uid}
            self._publish(Event("object.problem", text, uid, "warning"))
        return self._path(record)

    def _path(self, record: ObjectRecord) -> str:
        return str(self._state_dir / record.file)

    async def abandon(self, reason: Code = UNSPECIFIED) -> Exam:
        """Close the exam without delivering anything more; its captures stay on disk.

        What an interrupted finish has already made is listed in the discontinued step: it may have been sent.
        """
        with self._change("abandoned"):
            exam = self._closable()
            files = [self._state_dir / record.file for record in await self._records.objects(exam.exam_id)]
            message = await self._steps.ended(exam, "DISCONTINUED", self._now(), files, reason)
            await self._records.finish_exam(exam.exam_id, message)
            self._close()
        self._steps.recorded()
        self._closed()
        text = f"exam {exam.exam_id} abandoned: {reason.meaning}"
        self._publish(Event("exam.abandoned", text, {"exam_id": exam.exam_id, "reason": reason.value}))
        return exam

    async def send(self, what: str, to: str = "") -> tuple[Delivery, ...]:
        """Queue an exam's instances, or one instance, by hand; what is stored there stays as it is.

        `to` is one of the configured storage nodes; without one the archive.
        """
        node = to or self._storage_node
        if not node:
            raise Refused("no storage node is configured: storage.ip_address, storage.port and storage.ae_title")
        if node not in self._nodes:
            raise Refused(f"{node} is no configured storage node ({', '.join(self._nodes)})")
        uids = tuple(record.sop_instance_uid for record in await self._records.objects(what))
        if not uids:
            uids = ((await self._records.object(what)).sop_instance_uid,)
        for uid in uids:
            await self._records.enqueue(uid, node)
            await self._records.retry(uid, node)
        deliveries = tuple([await self._records.delivery(uid, node) for uid in uids])
        for delivery in deliveries:
            if delivery.state is DeliveryState.QUEUED:
                self._publish(moved("delivery.queued", delivery))
        self._wake_delivery()
        return deliveries

    async def interrupted(self) -> tuple[str, ...]:
        """Exams that were open when the service ended without closing them; `resume` opens one again."""
        open_id = self.exam.exam_id if self.exam else ""
        return tuple(exam.exam_id for exam in await self._records.unfinished_exams() if exam.exam_id != open_id)

    async def resume(self, exam_id: str, progress: Progress) -> Exam:
        """Open an interrupted exam again: its captures come back from disk and are measured anew.

        Numbers that were edited by hand come back as they were left.
        """
        with self._change("resumed"):
            self._require_none()
            if exam_id not in await self.interrupted():
                raise Refused(f"no interrupted exam {exam_id}")
            exam = await self._records.exam(exam_id)
            captures = await self._records.captures(exam_id)
            centred = {each.eye: each for each in captures if each.point is FixationPoint.CENTRE}
            latest = {each.eye: each for each in captures} | centred
            self._open(exam)
            for eye, capture in latest.items():
                captured = Captured(capture, await self._records.load_frame(capture.capture_id))
                self._accepted[eye] = captured
                edited = await self._edited(captured, progress)
                if edited is not None:
                    self.measured(edited)
                    continue
                progress(f"{eye.name.lower()} eye: {capture.capture_id} is here, measuring it again")
                await self._capture.hand_over(captured, progress)
        self._publish(Event("exam.resumed", f"exam {exam_id} open again", {"exam_id": exam_id}))
        return exam

    async def _edited(self, captured: Captured, progress: Progress) -> Analysed | None:
        """The capture's numbers as somebody left them; None where nobody edited them, or they cannot be read."""
        capture_id = captured.capture.capture_id
        try:
            history = History(await self._records.edits(capture_id))
            measurement = await self._records.measurement(capture_id)
        except RecordsError as error:
            progress(f"what was edited is lost: {error}")
            return None
        return Analysed(captured, measurement, history) if history.records and measurement is not None else None

    @contextmanager
    def _change(self, what: str) -> Iterator[None]:
        """Opening and closing wait for the disk; meanwhile another console is refused."""
        self._require_settled()
        self._changing = what
        try:
            yield
        finally:
            self._changing = ""

    def _require_settled(self) -> None:
        if self._changing:
            which = f"exam {self.exam.exam_id}" if self.exam else "an exam"
            raise Refused(f"{which} is being {self._changing}: wait until it is")

    def _require_none(self) -> None:
        if self.exam is not None:
            raise Refused(f"exam {self.exam.exam_id} is open: finish or abandon it first")

    def _closable(self) -> Exam:
        """The open exam, if nothing that belongs to it is still under way."""
        exam = self.require()
        if self._capture.busy:
            raise Refused(f"exam {exam.exam_id} stays open while the instrument is busy {self._capture.busy}")
        return exam

    def _open(self, exam: Exam) -> None:
        self.exam = exam
        self._opened()
        self._accepted.clear()
        self._measurements.clear()

    def _close(self) -> None:
        self.exam = None
        self._accepted.clear()
        self._measurements.clear()
