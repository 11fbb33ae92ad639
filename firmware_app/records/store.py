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
from collections.abc import AsyncIterator, Callable
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
)
from firmware_app.records import files
from firmware_app.records.captures import CaptureTable
from firmware_app.records.commitments import CommitmentRecords, CommitmentTable
from firmware_app.records.database import Database, open_database
from firmware_app.records.disk_refusals import DiskRefusals
from firmware_app.records.documents import ObjectRecord
from firmware_app.records.errors import RecordConflict, StorageFault
from firmware_app.records.exams import ExamTable
from firmware_app.records.folders import EXAMS_FOLDER, ExamFolders
from firmware_app.records.instances import InstanceTable
from firmware_app.records.mpps import MppsMessage, MppsQueue, MppsRecords
from firmware_app.records.print_jobs import PrintQueue, PrintRecords
from firmware_app.records.queue import DeliveryQueue, Outgoing

DATABASE_NAME = "records.sqlite3"
LOCK_NAME = "lock"

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
    ) -> None:
        self._database = database
        self.disk = DiskRefusals(clock)
        self._folders = ExamFolders(state_dir, database)
        self._exams = ExamTable(self._folders, database)
        self._captures = CaptureTable(self._folders, database)
        self._instances = InstanceTable(self._folders, database)
        self._queue = DeliveryQueue(state_dir, database)
        self.mpps = MppsRecords(self._call, MppsQueue(database), clock)
        self._clock = clock
        self._one_at_a_time = one_at_a_time
        self.commitments = CommitmentRecords(self._call, CommitmentTable(database), clock)
        self.print_jobs = PrintRecords(self._call, PrintQueue(database), clock)

    async def _call(self, work: Callable[[], T]) -> T:
        def watched() -> tuple[T, bool]:
            before = self._database.changed_rows
            return work(), self._database.changed_rows != before

        try:
            result, has_written = await trio.to_thread.run_sync(watched, limiter=self._one_at_a_time)
        except StorageFault as fault:
            self.disk.refused(fault)
            raise
        if has_written:
            self.disk.taken()
        return result

    def now(self) -> datetime:
        """The clock by which the queue is ordered in time."""
        return self._clock()

    async def recover(self) -> None:
        """After opening: remove what a crash left half written, queue again what it left as sending."""
        await self._call(self._folders.tidy)
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

    async def capture(self, capture_id: str) -> Capture:
        return await self._call(partial(self._captures.capture, capture_id))

    async def captures(self, exam_id: str) -> list[Capture]:
        """In the order in which they were taken."""
        return await self._call(partial(self._captures.of_exam, exam_id))

    async def load_frame(self, capture_id: str) -> Frame:
        """The frame as captured; `FileDamaged` if its file no longer is what was written."""
        return await self._call(partial(self._captures.load_frame, capture_id))

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
        enqueue_for: str | None = None,
    ) -> ObjectRecord:
        """Write a DICOM instance and, with a node named, queue it there: both or neither.

        The same bytes again are harmless; others under the same UID are a `RecordConflict`, never a second image.
        """
        now = self._clock()

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
                node=enqueue_for,
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
        """Queue the instance for the node; if it already is or was, nothing changes."""
        await self._call(partial(self._instances.enqueue, sop_instance_uid, node, now=self._clock()))

    async def deliveries(
        self,
        *,
        state: DeliveryState | None = None,
        node: str | None = None,
        exam_id: str | None = None,
        newest_first: bool = False,
        limit: int = 1000,
    ) -> list[Delivery]:
        """Where every instance stands at every node, in the order of sending."""
        return await self._call(partial(self._queue.deliveries, state, node, exam_id, newest_first, limit))

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

    async def retry(self, sop_instance_uid: str, node: str | None = None) -> int:
        """By hand: queue a failed instance again and end the waiting of its nodes; returns how many are now due."""
        return await self._call(partial(self._queue.retry, sop_instance_uid, node, self._clock()))

    async def retry_all(self, node: str | None = None) -> int:
        """By hand: queue every failed instance again and end every waiting; returns how many are now due."""
        return await self._call(partial(self._queue.retry, None, node, self._clock()))


@contextlib.asynccontextmanager
async def open_records(
    state_dir: Path,
    *,
    clock: Callable[[], datetime] = local_now,
) -> AsyncIterator[Records]:
    """Open the state folder, creating, checking and migrating what is needed; close it with the scope.

    What a crash left as sending is queued again. Raises `StateLocked`, `SchemaTooNew`, `DatabaseDamaged` or
    `StorageFault`.
    """
    one_at_a_time = trio.CapacityLimiter(1)
    opened, database = await trio.to_thread.run_sync(_open, state_dir, limiter=one_at_a_time)
    try:
        records = Records(state_dir, database, clock, one_at_a_time)
        await records.recover()
        yield records
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(opened.close, limiter=one_at_a_time)


def _open(state_dir: Path) -> tuple[contextlib.ExitStack, Database]:
    with contextlib.ExitStack() as stack:
        files.make_folder(state_dir / EXAMS_FOLDER)
        stack.enter_context(files.folder_lock(state_dir / LOCK_NAME))
        database = stack.enter_context(open_database(state_dir / DATABASE_NAME))
        return stack.pop_all(), database
