"""The records as the services see them: one object, asynchronous, every promise kept before a call returns.

All work on the database and the files runs in worker threads under a limiter of one. SQLite in serialised mode makes
single calls safe from several threads, which is not enough: a transaction belongs to the connection, so a second
thread between BEGIN and COMMIT would write into somebody else's transaction and be rolled back with it. The limiter
makes every method here one unbroken piece of work, and orders them.

A call that has started is finished and its result returned even if the caller is cancelled meanwhile (trio does not
abandon the thread); cancellation then comes at the caller's next checkpoint. Nothing is ever half recorded, and nobody
who was told of a capture can lose it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from firmware_app.calibration import Calibration
from firmware_app.endothelium.history import EditRecord
from firmware_app.gaze import Gaze
from firmware_app.model import (
    Capture,
    CornealThickness,
    Delivery,
    DeliveryState,
    Exam,
    Eye,
    Frame,
    Measurement,
    Position,
    Reject,
)
from firmware_app.progress import DISK_S, idle, working
from firmware_app.records import history
from firmware_app.records.captures import CaptureTable
from firmware_app.records.commitments import CommitmentRecords, CommitmentTable
from firmware_app.records.contacts import ContactRecords, ContactTable
from firmware_app.records.database import Database
from firmware_app.records.disk_refusals import DiskRefusals
from firmware_app.records.documents import ObjectRecord
from firmware_app.records.errors import DatabaseDamaged, RecordConflict, StorageFault
from firmware_app.records.exams import ExamTable
from firmware_app.records.folders import ExamFolders
from firmware_app.records.history import ExamSummary
from firmware_app.records.instances import InstanceTable
from firmware_app.records.mpps import MppsMessage, MppsQueue, MppsRecords
from firmware_app.records.opening import DATABASE_NAME as DATABASE_NAME
from firmware_app.records.opening import Notice, mark_damaged, open_state
from firmware_app.records.print_jobs import PrintQueue, PrintRecords
from firmware_app.records.queue import Chosen, DeliveryQueue, Outgoing
from firmware_app.records.rejects import RejectFolder
from firmware_app.records.removals import RemovalRecords, RemovalTable
from firmware_app.records.soundness import Soundness
from firmware_app.records.statistics import StatisticsRecords, StatisticsTable
from firmware_app.records.steering import Steering, SteeringRecords
from firmware_app.records.turn import Turn

T = TypeVar("T")


def local_now() -> datetime:
    return datetime.now().astimezone()


class Records:
    """Made by `open_records`. Every method may raise a `records.errors.RecordsError`."""

    def __init__(
        self,
        state_dir: Path,
        database: Database,
        clock: Callable[[], datetime],
        one_at_a_time: trio.CapacityLimiter,
        notices: tuple[Notice, ...] = (),
    ) -> None:
        self.disk = DiskRefusals(clock)
        self.notices = notices  # what happened at opening
        self.damage: DatabaseDamaged | None = None
        self.is_damaged = trio.Event()  # the database: the records should be opened again, which rebuilds it
        self._state_dir = state_dir
        self._database = database
        self._folders = ExamFolders(state_dir, database)
        self._exams = ExamTable(self._folders, database)
        self._captures = CaptureTable(self._folders, database)
        self._rejects = RejectFolder(self._folders)
        self._instances = InstanceTable(self._folders, database)
        self._queue = DeliveryQueue(state_dir, database)
        self.mpps = MppsRecords(self._call, MppsQueue(database), clock)
        self._clock = clock
        self._one_at_a_time = one_at_a_time
        self._thread = trio.CapacityLimiter(1)  # always free for whoever has the turn
        self.commitments = CommitmentRecords(self._call, CommitmentTable(database), clock)
        self.print_jobs = PrintRecords(self._call, PrintQueue(database), clock)
        self._removals = RemovalTable(self._folders, database)
        self.removals = RemovalRecords(self._call, self._removals, clock)
        steering = Steering(database, self._queue, self._instances.note_node)
        self.steering = SteeringRecords(self._call, steering, clock)
        self.statistics = StatisticsRecords(self._call, StatisticsTable(database))
        self.contacts = ContactRecords(self._call, ContactTable(database))
        self.soundness = Soundness(self._guarded, state_dir, database.path, clock)
        self.turn = Turn(one_at_a_time, trio.current_time())

    async def _call(self, work: Callable[[], T]) -> T:
        def watched() -> tuple[T, bool]:
            before = self._database.changed_rows
            return work(), self._database.changed_rows != before

        with idle("its turn at the records"):
            await self._one_at_a_time.acquire()
        try:
            with working("the disk", DISK_S), self.turn.taken():
                in_thread = partial(trio.to_thread.run_sync, watched, limiter=self._thread)
                result, has_written = await self._guarded(in_thread)
        except StorageFault as fault:
            self.disk.refused(fault)
            raise
        finally:
            self._one_at_a_time.release()
        if has_written:
            self.disk.taken()
        return result

    async def _guarded(self, call: Callable[[], Awaitable[T]]) -> T:
        """Damage is noted before it is told: whoever hears of it may end, and the next opening rebuilds."""
        try:
            return await call()
        except DatabaseDamaged as damage:
            self.damage = damage
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(mark_damaged, self._state_dir, damage)
            self.is_damaged.set()
            raise

    def now(self) -> datetime:
        """The clock by which the queue is ordered in time."""
        return self._clock()

    async def recover(self) -> None:
        """After opening: queue again what a crash left as sending, go on removing what it left of removed exams."""
        with contextlib.suppress(StorageFault):  # what stays is tried again when room is made
            await self._call(self._removals.finish)
        await self._call(partial(self._queue.requeue_interrupted, None, self._clock()))
        await self.mpps.requeue_interrupted()
        await self.print_jobs.settle_interrupted()

    # ------------------------------------------------------------------------------------------- exams

    async def begin_exam(self, exam: Exam, message: MppsMessage | None = None) -> None:
        """Record the exam with its patient as he or she is now, and queue the MPPS message of its start, or neither.

        Again with the same content is harmless.
        """
        await self._call(partial(self._exams.begin, exam, message, now=self._clock()))

    async def finish_exam(self, exam_id: str, message: MppsMessage | None = None) -> None:
        """Note when the exam was closed, and queue the MPPS message of its end: both or neither.

        Again keeps the first time and the first message.
        """
        await self._call(partial(self._exams.finish, exam_id, message, now=self._clock()))

    async def exam_is_finished(self, exam_id: str) -> bool:
        return await self._call(partial(self._exams.is_finished, exam_id))

    async def save_picture(self, exam_id: str, name: str, png: bytes) -> Path:
        """Write a picture for people (report, overlay), or what is told of one as JSON, into the exam's folder.

        One of the same name is replaced.
        """
        return await self._call(partial(self._exams.save_picture, exam_id, name, png))

    async def exam(self, exam_id: str) -> Exam:
        return await self._call(partial(self._exams.exam, exam_id))

    async def exams(self, limit: int = 100) -> list[Exam]:
        """Newest first."""
        return await self._call(partial(self._exams.newest, limit))

    async def history(self, patient_id: str = "", limit: int = 20) -> list[ExamSummary]:
        """Newest first, each with its captures and where its instances stand; of one patient or of all."""
        return await self._call(partial(history.newest, self._database, patient_id, limit))

    async def unfinished_exams(self, limit: int = 20) -> list[Exam]:
        """Begun and never closed, newest first."""
        return await self._call(partial(self._exams.unfinished, limit))

    # ------------------------------------------------------------------------------------------- captures

    async def save_capture(
        self,
        exam: Exam,
        frame: Frame,
        *,
        eye: Eye,
        position: Position,
        um_per_px: float | None,
        sharpness: float,
        simulated: bool,
        gaze: Gaze | None = None,
        calibration: Calibration | None = None,
        thickness: CornealThickness | None = None,
    ) -> Capture:
        """The capture is on disk, flushed and named in the database, when this returns; otherwise it was not taken."""
        now = self._clock()

        def save() -> Capture:
            return self._captures.save(
                self._exams.exam(exam.exam_id),
                frame,
                eye=eye,
                position=position,
                um_per_px=um_per_px,
                sharpness=sharpness,
                simulated=simulated,
                gaze=gaze,
                calibration=calibration,
                thickness=thickness,
                now=now,
            )

        return await self._call(save)

    async def save_rejects(self, capture: Capture, rejects: Sequence[Reject]) -> Path:
        """Keep frames that were not good enough beside their capture; where the list of them is."""
        return await self._call(partial(self._rejects.save, capture, rejects))

    async def capture(self, capture_id: str) -> Capture:
        return await self._call(partial(self._captures.capture, capture_id))

    async def captures(self, exam_id: str) -> list[Capture]:
        """In the order in which they were taken."""
        return await self._call(partial(self._captures.of_exam, exam_id))

    async def load_frame(self, capture_id: str) -> Frame:
        """The frame as captured; `FileDamaged` if its file no longer is what was written, or `ExamRemoved`."""

        def load() -> Frame:
            self._removals.check_present(self._captures.capture(capture_id).exam_id)
            return self._captures.load_frame(capture_id)

        return await self._call(load)

    async def save_measurement(self, capture_id: str, measurement: Measurement, edit: EditRecord | None = None) -> int:
        """Record a measurement beside the capture's earlier ones and return its revision, from 1.

        `edit` is what a person did to the one before.
        """
        save = partial(self._captures.save_measurement, capture_id, measurement, edit, now=self._clock())
        return await self._call(save)

    async def measurement(self, capture_id: str) -> Measurement | None:
        """The latest measurement of the capture."""
        return await self._call(partial(self._captures.measurement, capture_id))

    async def edits(self, capture_id: str) -> tuple[EditRecord, ...]:
        """What was done by hand to the capture's last measurement by the instrument, in order."""
        return await self._call(partial(self._captures.edits, capture_id))

    # ------------------------------------------------------------------------------------------- instances

    async def save_object(
        self,
        exam_id: str,
        capture_id: str | None,
        *,
        kind: str,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        data: bytes,
        enqueue_for: str | Sequence[str] | None = None,
    ) -> ObjectRecord:
        """Write a DICOM instance and, with nodes named, queue it there: all of it or nothing.

        The same bytes again are harmless; others under the same UID are a `RecordConflict`, never a second image.
        """
        now = self._clock()
        nodes = (enqueue_for,) if isinstance(enqueue_for, str) else tuple(enqueue_for or ())

        def save() -> ObjectRecord:
            exam = self._exams.exam(exam_id)
            if capture_id is not None and self._captures.capture(capture_id).exam_id != exam_id:
                raise RecordConflict(f"capture {capture_id} is not of exam {exam_id}")
            return self._instances.save(
                exam,
                capture_id,
                kind=kind,
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
                data=data,
                nodes=nodes,
                now=now,
            )

        return await self._call(save)

    async def object(self, sop_instance_uid: str) -> ObjectRecord:
        return await self._call(partial(self._instances.record, sop_instance_uid))

    async def objects(self, exam_id: str) -> list[ObjectRecord]:
        """In the order in which they were made."""
        return await self._call(partial(self._instances.of_exam, exam_id))

    async def verify_object(self, sop_instance_uid: str) -> None:
        """`FileDamaged` if the instance's file no longer is what was written."""
        await self._call(partial(self._instances.verify, sop_instance_uid))

    # ------------------------------------------------------------------------------------------- delivery

    async def enqueue(self, sop_instance_uid: str, node: str) -> None:
        """Queue the instance for the node; if it already is or was, nothing changes. `ExamRemoved` if its file is."""
        now = self._clock()

        def enqueue() -> None:
            self._removals.check_present(self._instances.record(sop_instance_uid).exam_id)
            self._instances.enqueue(sop_instance_uid, node, now=now)

        await self._call(enqueue)

    async def deliveries(
        self,
        *,
        state: DeliveryState | None = None,
        node: str | None = None,
        exam_id: str | None = None,
        newest_first: bool = False,
        limit: int = 1000,
        standing: str | None = None,
    ) -> list[Delivery]:
        """Where every instance stands at every node, in the order of sending; `standing`: only of this word."""
        look = partial(self._queue.deliveries, state, node, exam_id, newest_first, limit, standing=standing)
        return await self._call(look)

    async def delivery(self, sop_instance_uid: str, node: str) -> Delivery:
        return await self._call(partial(self._queue.delivery, sop_instance_uid, node))

    async def counts(self, node: str | None = None) -> dict[DeliveryState, int]:
        return await self._call(partial(self._queue.counts, node))

    async def next_due(self, node: str, now: datetime | None = None, limit: int = 1) -> list[Outgoing]:
        """The node's queue from its head, in order, at most `limit`; `wait_s` says when each is due."""
        return await self._call(partial(self._queue.next_due, node, now or self._clock(), limit))

    async def mark_sending(self, sop_instance_uid: str, node: str) -> Delivery:
        return await self._call(partial(self._queue.mark_sending, sop_instance_uid, node, self._clock()))

    async def mark_stored(self, sop_instance_uid: str, node: str, status: int, reason: str = "") -> Delivery:
        return await self._call(partial(self._queue.mark_stored, sop_instance_uid, node, status, reason, self._clock()))

    async def mark_stored_and_next(
        self, sop_instance_uid: str, following: str, node: str, status: int, reason: str = ""
    ) -> tuple[Delivery, Delivery | None]:
        """As `mark_stored`, and at once `mark_sending` for the following; None: it is no longer to be sent."""
        now = self._clock()
        work = partial(self._queue.mark_stored_and_next, sop_instance_uid, following, node, status, reason, now)
        return await self._call(work)

    async def mark_retry(
        self,
        sop_instance_uid: str,
        node: str,
        status: int | None,
        reason: str,
        next_attempt_at: datetime,
        *,
        step_aside: bool = False,
    ) -> Delivery:
        """Queue it again for later: at its old place, or behind all others if it steps aside."""
        now = self._clock()
        return await self._call(
            partial(self._queue.mark_retry, sop_instance_uid, node, status, reason, next_attempt_at, step_aside, now)
        )

    async def mark_failed(self, sop_instance_uid: str, node: str, status: int | None, reason: str) -> Delivery:
        """Park it, with the reason, until somebody decides."""
        return await self._call(partial(self._queue.mark_failed, sop_instance_uid, node, status, reason, self._clock()))

    async def requeue_interrupted(self, node: str) -> int:
        """Queue again what a broken-off send of this node left behind; returns how many."""
        return await self._call(partial(self._queue.requeue_interrupted, node, self._clock()))

    async def retry(
        self, sop_instance_uid: str | None = None, node: str | None = None, *, exam_id: str | None = None
    ) -> int:
        """By hand: queue failed instances again and end the waiting of their nodes; returns how many are now due."""
        chosen = Chosen(sop_instance_uid, exam_id, node)
        return await self._call(partial(self._queue.retry, chosen, self._clock()))

    async def retry_all(self, node: str | None = None) -> int:
        """By hand: queue every failed instance again and end every waiting; returns how many are now due."""
        return await self.retry(None, node)


@contextlib.asynccontextmanager
async def open_records(
    state_dir: Path,
    *,
    clock: Callable[[], datetime] = local_now,
    default_node: str = "",
    progress: Callable[[str], None] = lambda text: None,
) -> AsyncIterator[Records]:
    """Open the state folder, creating, checking, rebuilding and migrating what is needed; close it with the scope.

    What a crash left as sending is queued again. A damaged database is rebuilt, which `progress` is told step by step,
    in a worker thread; `default_node` is where instances then go whose sidecars are too old to say it. Raises
    `StateLocked`, `SchemaTooNew`, `StorageFault`, or `DatabaseDamaged` where rebuilding does not help.
    """
    one_at_a_time = trio.CapacityLimiter(1)
    opening = partial(open_state, state_dir, clock(), default_node, progress)
    opened = await trio.to_thread.run_sync(opening, limiter=one_at_a_time)
    try:
        records = Records(state_dir, opened.database, clock, one_at_a_time, tuple(opened.notices))
        await records.recover()
        yield records
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(opened.stack.close, limiter=one_at_a_time)
