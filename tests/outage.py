"""An archive and an information system that are away for a week of work: what happens meanwhile, and afterwards.

`week` takes the exams into real records, in virtual time, while delivery, commitment and MPPS find closed ports;
`recovery` opens the same records again, as after a restart, and lets the same services work with the embedded hospital.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import mpps_steps
import pydicom
import trio
import trio.testing
from pydicom.dataset import FileMetaDataset
from trio.testing import MockClock

from firmware_app.demo.exam import free_port
from firmware_app.demo.holdings import data_set_of
from firmware_app.demo.processes import Child, running
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, SECONDARY_CAPTURE_STORAGE
from firmware_app.model import CommitmentState, DeliveryState, Event
from firmware_app.net.listener import serve
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.records.mpps import MessageState
from firmware_app.records.store import Records, open_records
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.commitment import CommitmentPolicy, CommitmentService
from firmware_app.services.delivery import run_delivery, send_in_order
from firmware_app.services.mpps import MppsService

LOCAL = LocalApplicationEntity("TP_AM_SP1P_001", "127.0.0.1", "1.2.3.4.5", "TEST")
STORAGE, COMMITMENT, MPPS = "storage", "commitment", "mpps"
COMMITMENT_CLASS = "1.2.840.10008.1.20.1"
CONTEXTS = ((SECONDARY_CAPTURE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,)),)
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
POLICY = BackoffPolicy()
DAY_S = 86_400.0
READY_S = 60.0
Role = tuple[str, int, str]  # address, port and AE title


def instances_of(exam: int) -> range:
    """Two to four, as an exam of one or two eyes with its report has."""
    return range(2 + exam % 3)


def uid_of(exam: int, instance: int) -> str:
    return f"1.2.826.0.1.3680043.10.7.{exam}.{instance}"


def image(exam: int, instance: int, pixels: bytes, rows: int, columns: int) -> bytes:
    """A Secondary Capture of its own pixels, as a file."""
    one, meta = pydicom.Dataset(), FileMetaDataset()
    meta.MediaStorageSOPClassUID = one.SOPClassUID = SECONDARY_CAPTURE_STORAGE
    meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = uid_of(exam, instance)
    meta.TransferSyntaxUID = EXPLICIT_VR_LITTLE_ENDIAN
    one.PatientName, one.PatientID = f"Test^{exam}", f"P{exam}"
    one.StudyInstanceUID, one.SeriesInstanceUID = f"1.2.826.0.1.3680043.10.7.{exam}", f"1.2.3.{exam}.1"
    one.Modality, one.ConversionType, one.InstanceNumber = "OT", "DI", instance + 1
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.Rows, one.Columns = rows, columns
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 8, 8, 7, 0
    one.PixelData = pixels
    one["PixelData"].VR = "OB"
    one.file_meta = meta
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, one, enforce_file_format=True)
    return stream.getvalue()


@dataclass
class Material:
    """`exams` exams, numbered from 1, of images of `rows` times `columns`."""

    exams: int
    rows: int
    columns: int
    sent: dict[str, str] = field(default_factory=dict)  # SOP Instance UID -> SHA-256 of its data set, in order
    octets: int = 0
    _noise: bytes = b""

    def __post_init__(self) -> None:
        self._noise = random.Random(7).randbytes(2 * self.rows * self.columns)

    async def take(self, records: Records, exam: int) -> None:
        """One exam: begun and ended with its MPPS messages, its instances queued."""
        await mpps_steps.begin(records, exam)
        for number in instances_of(exam):
            start = (17 * exam + number) % (self.rows * self.columns)
            pixels = self._noise[start : start + self.rows * self.columns]
            data = image(exam, number, pixels, self.rows, self.columns)
            await records.save_object(
                mpps_steps.step_of(exam).exam_id, None, kind="image", sop_class_uid=SECONDARY_CAPTURE_STORAGE,
                sop_instance_uid=uid_of(exam, number), transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN, data=data,
                enqueue_for=STORAGE,
            )  # fmt: skip
            self.sent[uid_of(exam, number)] = sha256(data_set_of(data)).hexdigest()
            self.octets += len(data)
        await mpps_steps.end(records, exam)


class Services:
    """Delivery, commitment and MPPS as the instrument runs them."""

    def __init__(self, records: Records, nodes: dict[str, Node], publish: Callable[[Event], None]) -> None:
        self.records = records
        self._nodes = nodes
        self._publish = publish
        self.wake, self._woken = trio.open_memory_channel[None](1)
        self.mpps = MppsService(records, nodes[MPPS], LOCAL, publish, POLICY)
        self.commitment = CommitmentService(
            records,
            nodes[COMMITMENT],
            LOCAL,
            ((COMMITMENT_CLASS, (EXPLICIT_VR_LITTLE_ENDIAN,)),),
            STORAGE,
            # A report that a busy machine loses is asked for again while the run lasts.
            CommitmentPolicy(backoff=POLICY, report_timeout_s=60.0, same_association_wait_s=0.0),
            publish,
            lambda: None,
        )

    async def deliver(self, settled: Callable[[], None] | None = None) -> None:
        await run_delivery(
            self.records,
            self._nodes[STORAGE],
            LOCAL,
            self._woken,
            self._publish,
            POLICY,
            store=partial(send_in_order, contexts=CONTEXTS),
            on_settled=settled or self.commitment.wake,
        )

    async def run(self, port: int) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(serve, LOCAL, port, on_event=self.commitment.take_report))
            for service in (self.deliver, self.mpps.run, self.commitment.run):
                nursery.start_soon(service)


@asynccontextmanager
async def working(
    state: Path, nodes: dict[str, Node], port: int, clock: Callable[[], datetime], publish: Callable[[Event], None]
) -> AsyncIterator[Services]:
    async with open_records(state, clock=clock) as records, trio.open_nursery() as nursery:
        services = Services(records, nodes, publish)
        nursery.start_soon(services.run, port)
        yield services
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------------------------------- the week


@dataclass
class Week:
    """How often the services tried in vain while nobody was there, and the longest time between two of their tries."""

    tries: int = 0
    longest_wait_s: float = 0.0
    ended_at: datetime = START


async def pass_time(records: Records, clock: MockClock, until_s: float) -> None:
    """Let virtual time pass, from deadline to deadline, and only when no thread is at work: it would be overtaken."""
    threads = trio.to_thread.current_default_thread_limiter()
    while clock.current_time() < until_s:
        async with records._one_at_a_time:
            pass  # whoever is in it has finished
        await trio.testing.wait_all_tasks_blocked()
        if records._one_at_a_time.borrowed_tokens or threads.borrowed_tokens:
            continue
        next_s = trio.lowlevel.current_statistics().seconds_to_next_deadline
        clock.jump(min(next_s, until_s - clock.current_time()))


def week(state: Path, material: Material, days: float = 7.0) -> Week:
    """The exams in equal distances over so many days, all in virtual time, with nobody there."""
    virtual = MockClock()
    nobody = {name: Node(name, "127.0.0.1", free_port(), "NOBODY") for name in (STORAGE, COMMITMENT, MPPS)}
    told = Week()

    async def run() -> None:
        began_s = virtual.current_time()
        tried_at_s: list[float] = []

        def clock() -> datetime:
            return START + timedelta(seconds=virtual.current_time() - began_s)

        def publish(event: Event) -> None:
            if event.kind == "delivery.retry":
                tried_at_s.append(virtual.current_time())

        async with working(state, nobody, free_port(), clock, publish) as services:
            for exam in range(1, material.exams + 1):
                await material.take(services.records, exam)
                services.mpps.wake()
                await pass_time(services.records, virtual, began_s + exam * days * DAY_S / material.exams)
            assert (await services.records.counts())[DeliveryState.QUEUED] == len(material.sent)
        told.tries = len(tried_at_s)
        told.longest_wait_s = max(later - earlier for earlier, later in pairwise(tried_at_s))
        told.ended_at = clock()

    trio.run(run, clock=virtual)
    return told


# ------------------------------------------------------------------------------------------- afterwards


@dataclass
class Recovered:
    """How long it took, in real seconds from the moment that the services look, and what the hospital has seen."""

    stored_s: float = 0.0
    committed_s: float = 0.0
    stored: list[tuple[str, str]] = field(default_factory=list)  # SOP Instance UID and SHA-256, in order
    steps: list[tuple[str, str, str]] = field(default_factory=list)  # operation, UID and status, in order
    refused: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def hospital(folder: Path, station_port: int) -> Iterator[Child]:
    folder.mkdir(parents=True)
    arguments = ["hospital", "--out", str(folder / "archive"), "--station-port", str(station_port)]
    with running("hospital", arguments, folder) as child:
        yield child


def nodes_of(ready: dict[str, Any]) -> dict[str, Node]:
    roles = {STORAGE: "archive", COMMITMENT: "archive", MPPS: "worklist"}
    addresses = {name: ready[role] for name, role in roles.items()}
    return {
        name: Node(name, each["ip"], each["port"], each["ae_title"], Timeouts.all(60))
        for name, each in addresses.items()
    }


def recovery(state: Path, child: Child, station_port: int, began: datetime, *, limit_s: float = 3600.0) -> Recovered:
    """Until everything is stored, committed to and reported; nobody does anything by hand."""
    done = Recovered()
    nodes = nodes_of(child.first_line(READY_S))

    async def run() -> None:
        begun_s = time.perf_counter()

        def clock() -> datetime:
            return began + timedelta(hours=1, seconds=time.perf_counter() - begun_s)

        with trio.fail_after(limit_s):
            async with working(state, nodes, station_port, clock, lambda event: None) as services:
                while not await all_done(services.records, done, begun_s):  # noqa: ASYNC110 - nothing tells us
                    await trio.sleep(0.05)

    trio.run(run)
    for event in child.lines():
        if event.get("event") == "store":
            done.stored.append((event["sop_instance_uid"], event.get("sha256", "")))
        if event.get("event") == "mpps":
            done.steps.append((event["operation"], event["sop_instance_uid"], event.get("step_status", "")))
        if event.get("status", "0000") != "0000":
            done.refused.append(event)
    return done


async def all_done(records: Records, done: Recovered, begun_s: float) -> bool:
    tallies = await records.steering.tallies()
    stored = all(each.state is DeliveryState.STORED for each in tallies)
    if stored and not done.stored_s:
        done.stored_s = time.perf_counter() - begun_s
    steps = await records.mpps.counts()
    told = sum(steps.values()) == steps[MessageState.DONE]
    if stored and told and all(each.commitment is CommitmentState.COMMITTED for each in tallies):
        done.committed_s = time.perf_counter() - begun_s
        return True
    return False


def complaints(material: Material, done: Recovered) -> list[str]:
    """What is not as it has to be: order, completeness, exactly once, to the byte."""
    found = []
    if done.stored != list(material.sent.items()):
        found.append("the instances are not the same, or not in the order in which they were queued")
    if done.steps != mpps_steps.whole(*range(1, material.exams + 1)):
        found.append("the steps are not the same, or not in the order in which they were made")
    return found + [f"refused: {event}" for event in done.refused]
