"""The audit trail: what happens in the instrument, as messages of PS3.15 A.5, on disk in the order of happening.

Learnt from the events, as log and console are; whom they are about is looked up in the records. A disk that refuses is
tried again, and that recording had stopped is then part of the trail. The subscription holds far more than an exam
tells; were it ever full, that messages are missing is part of the trail too.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from firmware_app.audit import builders
from firmware_app.audit import messages as m
from firmware_app.audit.builders import Peer, Subject, Us
from firmware_app.audit.chain import Entry
from firmware_app.audit.messages import AuditMessage, AuditSource, Instances
from firmware_app.audit.xml import message_xml
from firmware_app.model import Event, Exam
from firmware_app.progress import DISK_S, idle, working
from firmware_app.records.audit_trail import AuditTrail
from firmware_app.records.errors import RecordsError, StorageFault
from firmware_app.records.store import Records
from firmware_app.services.events import Subscription

# Some minutes of the busiest exam, while a disk does not answer.
EVENTS_MAX = 10_000
AGAIN_S = 10.0
# What has happened is written when the service ends, but a dead disk is not waited for.
LAST_S = 1.0
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
MODALITY_WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"

T = TypeVar("T")
Messages = Iterable[AuditMessage]
Teller = Callable[[Event, str], Awaitable[Messages]]


@dataclass(frozen=True, slots=True)
class Stamped:
    """An event and when it was heard: what is looked up later belongs to that moment."""

    event: Event
    at: str


class AuditService:
    """`peers` are the configured nodes by name; `wake_sending` is called when there is something new to send."""

    def __init__(
        self,
        trail: AuditTrail,
        records: Records,
        us: Us,
        source: AuditSource,
        peers: Mapping[str, Peer],
        publish: Callable[[Event], None],
        now: Callable[[], datetime],
        wake_sending: Callable[[], None] = lambda: None,
    ) -> None:
        self._trail = trail
        self._records = records
        self._us = us
        self._source = source
        self._peers = peers
        self._publish = publish
        self._now = now
        self._wake_sending = wake_sending
        self._disk = trio.CapacityLimiter(1)
        self._unwritten: list[tuple[str, str]] = []
        self._writing = trio.Lock()  # a reader of the trail is part of it too, beside the task that hears the events
        self._refused_at = ""
        self._is_open = False
        self._tellers: dict[str, Teller] = {
            "service.ready": self._starts,
            "service.stopping": self._stops,
            "exam.started": partial(self._exam, "C"),
            "exam.resumed": partial(self._exam, "R"),
            "exam.finished": partial(self._exam, "U"),
            "exam.abandoned": partial(self._exam, "U"),
            "measurement.edited": self._edited,
            "delivery.begun": self._begins_to_send,
            "delivery.stored": partial(self._sent, "0"),
            "delivery.failed": partial(self._sent, "8"),
            "print.printed": self._printed,
            "worklist.refreshed": partial(self._asked, MODALITY_WORKLIST_FIND, "0"),
            "worklist.failed": partial(self._asked, MODALITY_WORKLIST_FIND, "8"),
            "patients.found": partial(self._asked, PATIENT_ROOT_FIND, "0"),
            "patients.failed": partial(self._asked, PATIENT_ROOT_FIND, "8"),
            "retention.removed": self._deleted,
            "console.connected": partial(self._console, True),
            "console.disconnected": partial(self._console, False),
            "listener.refused": self._refused_a_node,
        }

    @property
    def trail(self) -> AuditTrail:
        return self._trail

    @property
    def uri(self) -> str:
        return self._trail.folder.as_uri()

    async def last(self, count: int) -> list[Entry]:
        """Newest last. Raises `StorageFault`."""
        return await self._call(partial(self._trail.last, count))

    async def problems(self) -> list[str]:
        """What is wrong with the chain, in words. Raises `StorageFault`."""
        return await self._call(self._trail.problems)

    async def used(self, user_id: str) -> None:
        """Somebody has read the trail."""
        await self._keep([builders.audit_log_used(self._us, user_id, self.uri, self._at())])

    async def session(self, user: str, address: str, at: str, *, comes: bool) -> None:
        """Somebody came over SSH, or left, at a moment that is noted."""
        await self._keep([builders.user_authentication(self._us, user, user, at, comes=comes, address=address)])

    async def run(self, events: Subscription) -> None:
        """Write until cancelled, and then what was heard until then."""
        await self._open()
        try:
            while True:
                with idle("something to audit"):
                    event = await self._next(events)
                if event is not None:
                    with trio.CancelScope(shield=True):  # what was heard is written even if we are told to end now
                        await self._take(Stamped(event, self._at()))
                elif self._unwritten:
                    await self._keep([])
                missed = events.take_missed()
                if missed:
                    await self._missed(missed)
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(LAST_S):
                while (event := events.take_at_once()) is not None:
                    await self._take(Stamped(event, self._at()))

    async def _next(self, events: Subscription) -> Event | None:
        """None: a disk that refused is to be tried again."""
        with trio.move_on_after(AGAIN_S if self._unwritten else float("inf")):
            return await events.receive()
        return None

    async def _open(self) -> None:
        while not self._is_open:
            try:
                await self._call(self._trail.open)
                self._is_open = True
            except StorageFault as error:
                self._tell_refusal(error)
                with idle("the disk, which refuses"):
                    await trio.sleep(AGAIN_S)
        if self._trail.trouble:
            await self._alert(m.AUDIT_RECORDING_STOPPED, self._trail.trouble, "8")

    async def _take(self, heard: Stamped) -> None:
        tell = self._tellers.get(heard.event.kind)
        if tell is None:
            return
        try:
            messages = list(await tell(heard.event, heard.at))
        except RecordsError as error:
            why = f"{heard.event.kind}: whom it was about could not be read: {type(error).__name__}"
            await self._alert(m.AUDIT_RECORDING_STOPPED, why, "4")
            return
        await self._keep(messages)

    async def _keep(self, messages: Messages) -> None:
        self._unwritten += [(message.at, message_xml(message, self._source)) for message in messages]
        if not self._is_open or not await self._write():
            return
        if self._refused_at:
            stopped_at, self._refused_at = self._refused_at, ""
            self._publish(Event("audit.recovered", "the audit trail is written again"))
            await self._alert(m.AUDIT_RECORDING_STOPPED, f"the disk refused from {stopped_at} on", "8")
            await self._alert(m.AUDIT_RECORDING_STARTED, "the disk takes the trail again", "0")
        self._wake_sending()

    async def _write(self) -> bool:
        """Everything that is unwritten, once; False where there was nothing, or the disk refused."""
        async with self._writing:
            batch = tuple(self._unwritten)
            if not batch:
                return False
            try:
                await self._call(partial(self._trail.append, batch))
            except StorageFault as error:
                self._tell_refusal(error)
                del self._unwritten[:-EVENTS_MAX]
                return False
            del self._unwritten[: len(batch)]
            return True

    def _tell_refusal(self, error: StorageFault) -> None:
        if not self._refused_at:
            self._refused_at = self._at()
            self._publish(Event("audit.failed", f"the audit trail cannot be written: {error}", level="alert"))

    async def _missed(self, count: int) -> None:
        await self._alert(m.AUDIT_RECORDING_STOPPED, f"{count} events were told faster than they could be kept", "8")

    async def _alert(self, kind: m.Code, text: str, outcome: m.Outcome) -> None:
        await self._keep([builders.security_alert(self._us, kind, text, self._at(), outcome)])

    async def _call(self, work: Callable[[], T]) -> T:
        with working("the disk of the audit trail", DISK_S):
            return await trio.to_thread.run_sync(work, limiter=self._disk)

    def _at(self) -> str:
        return self._now().isoformat(timespec="milliseconds")

    # ------------------------------------------------------------------------------------------- what an event means

    async def _starts(self, _: Event, at: str) -> Messages:
        return [builders.application_activity(self._us, at, starts=True)]

    async def _stops(self, _: Event, at: str) -> Messages:
        return [builders.application_activity(self._us, at, starts=False)]

    async def _exam(self, action: m.Action, event: Event, at: str) -> Messages:
        exam = await self._records.exam(str(event.data["exam_id"]))
        subject = subject_of(exam)
        record = builders.procedure_record(self._us, subject, action, at, event.text)
        is_typed = action == "C" and not exam.worklist_items and not exam.found_patient and not exam.appended_to
        typed = [builders.patient_record(self._us, subject, "C", at)] if is_typed else []
        return [*typed, record]

    async def _edited(self, event: Event, at: str) -> Messages:
        capture = await self._records.capture(str(event.data["capture_id"]))
        exam = await self._records.exam(capture.exam_id)
        return [builders.procedure_record(self._us, subject_of(exam), "U", at, event.text)]

    async def _begins_to_send(self, event: Event, at: str) -> Messages:
        uids = event.data.get("instances")
        of_exam: dict[str, list[str]] = {}
        classes: dict[str, str] = {}
        for uid in uids if isinstance(uids, (list, tuple)) else ():
            record = await self._records.object(str(uid))
            of_exam.setdefault(record.exam_id, []).append(record.sop_instance_uid)
            classes[record.sop_instance_uid] = record.sop_class_uid
        return [
            builders.begin_transferring(
                self._us, self._peer(event), subject_of(await self._records.exam(exam_id)), by_class(which, classes), at
            )
            for exam_id, which in of_exam.items()
        ]

    async def _sent(self, outcome: m.Outcome, event: Event, at: str) -> Messages:
        record = await self._records.object(str(event.data["sop_instance_uid"]))
        exam = await self._records.exam(record.exam_id)
        which = [Instances(record.sop_class_uid, 1, (record.sop_instance_uid,))]
        why = "" if outcome == "0" else event.text
        return [builders.instances_transferred(self._us, self._peer(event), subject_of(exam), which, at, outcome, why)]

    async def _printed(self, event: Event, at: str) -> Messages:
        job = await self._records.print_jobs.job(int(str(event.data["job_id"])))
        exams = {job.exam_id} if job.exam_id else await self._exams_of(job.images)
        return [
            builders.export(self._us, self._peer(event), m.FILM, subject_of(await self._records.exam(exam_id)), at)
            for exam_id in sorted(exams)
        ]

    async def _exams_of(self, images: Iterable[str]) -> set[str]:
        found = set()
        for image in images:
            kind, _, name = image.partition("/")
            if kind == "capture":
                found.add((await self._records.capture(name)).exam_id)
            else:
                found.add((await self._records.object(name)).exam_id)
        return found

    async def _asked(self, sop_class_uid: str, outcome: m.Outcome, event: Event, at: str) -> Messages:
        keys = event.patient.get("keys")
        octets = await trio.to_thread.run_sync(query_octets, keys if isinstance(keys, dict) else {})
        asked = str(event.data.get("sop_class_uid") or sop_class_uid)
        why = "" if outcome == "0" else event.text
        return [builders.query(self._us, self._peer(event), asked, octets, EXPLICIT_VR_LITTLE_ENDIAN, at, outcome, why)]

    async def _deleted(self, event: Event, at: str) -> Messages:
        exam = await self._records.exam(str(event.data["exam_id"]))
        return [builders.study_deleted(self._us, subject_of(exam), (), at)]

    async def _console(self, comes: bool, event: Event, at: str) -> Messages:
        user_id, name = str(event.data.get("user_id", "")), str(event.data.get("user", ""))
        return [builders.user_authentication(self._us, name or user_id, name, at, comes=comes)]

    async def _refused_a_node(self, event: Event, at: str) -> Messages:
        address, title = str(event.data.get("peer_address", "")), str(event.data.get("calling_ae_title", ""))
        performer = Peer(title or address, address).participant()
        return [
            builders.security_alert(self._us, m.NODE_AUTHENTICATION, event.text, at, "4", performer, title or address)
        ]

    def _peer(self, event: Event) -> Peer:
        name = str(event.data.get("node", ""))
        return self._peers.get(name, Peer(name or "unknown", ""))


def subject_of(exam: Exam) -> Subject:
    """Whom and what an exam is about."""
    numbers = dict.fromkeys(item.accession_number for item in exam.worklist_items if item.accession_number)
    steps = (exam.mpps_sop_instance_uid,) if exam.mpps_sop_instance_uid else ()
    return Subject(exam.patient.patient_id, exam.patient.name, exam.study_instance_uid, tuple(numbers), steps)


def by_class(uids: Iterable[str], classes: Mapping[str, str]) -> list[Instances]:
    grouped: dict[str, list[str]] = {}
    for uid in uids:
        grouped.setdefault(classes[uid], []).append(uid)
    return [Instances(sop_class_uid, len(which), tuple(which)) for sop_class_uid, which in grouped.items()]


def query_octets(keys: Mapping[str, str]) -> bytes:
    """The matching keys as a data set, Explicit VR Little Endian and Unicode; return keys say nothing of anybody."""
    from pydicom.dataset import Dataset

    from firmware_app.net.attributes import encode_attributes
    from firmware_app.net.query import put_key

    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    for path, value in keys.items():
        put_key(identifier, path.split("."), value)
    return encode_attributes(identifier, EXPLICIT_VR_LITTLE_ENDIAN)


def process_id() -> str:
    return f"specular[{os.getpid()}]"


def trail_folder(state_dir: Path) -> Path:
    return state_dir / "audit"
