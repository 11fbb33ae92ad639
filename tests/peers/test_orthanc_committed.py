"""From the queue to "committed" with Orthanc: delivery, commitment service and our own port together, and the verb."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pydicom
import pytest
import trio

from firmware_app.cli import main
from firmware_app.config import Config
from firmware_app.model import CommitmentState, DeliveryState, Event, Exam, Patient
from firmware_app.net.listener import ListenerRules
from firmware_app.profiles import load_profile
from firmware_app.records.store import Records, open_records
from firmware_app.services import queue_screen
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.commitment import CommitmentPolicy, CommitmentService
from firmware_app.services.delivery import run_delivery, send_in_order
from firmware_app.services.listening import ListenerService, offers_of
from firmware_app.services.peers import contexts_of, local_entity

pytestmark = pytest.mark.peer("orthanc")
BACKOFF = BackoffPolicy(first_s=0.05, max_s=1.0)
PROFILE = load_profile("specular")
STORE = partial(send_in_order, contexts=contexts_of(PROFILE, "storage"))
EXAM = Exam("exam-1", Patient(), "1.2.3", "1.2.3.1", "2026-03-01T10:00:00+01:00")


def ask_orthanc(url: str, method: str = "GET", body: object = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=20) as answer:
        return json.loads(answer.read() or b"null")


def tell_our_port(orthanc: Any, port: int) -> None:
    us = {"AET": "SPECULAR", "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": True}
    ask_orthanc(f"{orthanc.url}/modalities/us", "PUT", us)


def delete_from_orthanc(orthanc: Any, sop_instance_uid: str) -> None:
    for one in ask_orthanc(f"{orthanc.url}/instances?expand"):
        if one["MainDicomTags"]["SOPInstanceUID"] == sop_instance_uid:
            ask_orthanc(f"{orthanc.url}/instances/{one['ID']}", "DELETE")


@dataclass
class Instrument:
    records: Records
    commitment: CommitmentService
    wake_delivery: trio.MemorySendChannel[None]
    events: list[Event]
    arrived: trio.Event

    def publish(self, event: Event) -> None:
        self.events.append(event)
        self.arrived.set()
        self.arrived = trio.Event()

    async def until(self, kind: str) -> Event:
        with trio.fail_after(60):
            while True:
                for event in self.events:
                    if event.kind == kind:
                        return event
                await self.arrived.wait()

    async def finish_exam(self, paths: list[Path]) -> list[str]:
        await self.records.begin_exam(EXAM)
        uids = []
        for path in paths:
            header = pydicom.dcmread(path, stop_before_pixels=True)
            await self.records.save_object(
                EXAM.exam_id,
                None,
                kind="image",
                sop_class_uid=str(header.SOPClassUID),
                sop_instance_uid=str(header.SOPInstanceUID),
                transfer_syntax_uid=str(header.file_meta.TransferSyntaxUID),
                data=path.read_bytes(),
                enqueue_for="storage",
            )
            uids.append(str(header.SOPInstanceUID))
        await self.records.finish_exam(EXAM.exam_id)
        self.wake_delivery.send_nowait(None)
        return uids


@asynccontextmanager
async def instrument(orthanc: Any, state_dir: Path, port: int, policy: CommitmentPolicy) -> AsyncIterator[Instrument]:
    wake, woken = trio.open_memory_channel[None](1)
    local = partial(local_entity, Config(), PROFILE, "127.0.0.1", calling="SPECULAR")
    async with open_records(state_dir) as records, trio.open_nursery() as nursery:
        made: list[Instrument] = []

        def publish(event: Event) -> None:
            made[0].publish(event)

        def store_again() -> None:
            with suppress(trio.WouldBlock):
                wake.send_nowait(None)

        commitment = CommitmentService(
            records,
            replace(orthanc.node, name="commitment"),
            local("commitment"),
            contexts_of(PROFILE, "commitment"),
            "storage",
            policy,
            publish,
            store_again,
        )
        listener = ListenerService(
            local("listener"), port, ListenerRules(), publish, commitment.take_report, offers=offers_of(PROFILE)
        )
        made.append(Instrument(records, commitment, wake, [], trio.Event()))
        nursery.start_soon(listener.run)
        await made[0].until("listener.ready")
        deliver = partial(run_delivery, store=STORE, on_settled=commitment.wake)
        nursery.start_soon(
            deliver, records, replace(orthanc.node, name="storage"), local("storage"), woken, publish, BACKOFF
        )
        nursery.start_soon(commitment.run)
        yield made[0]
        nursery.cancel_scope.cancel()


async def test_from_the_queue_to_committed(
    orthanc: Any, instances: dict[str, Path], tmp_path: Path, unused_port: Callable[[], int]
) -> None:
    port = unused_port()
    await trio.to_thread.run_sync(tell_our_port, orthanc, port)
    policy = CommitmentPolicy(backoff=BACKOFF, report_timeout_s=30, same_association_wait_s=0)
    async with instrument(orthanc, tmp_path, port, policy) as running:
        uids = await running.finish_exam([instances["implicit"], instances["explicit"]])
        committed = await running.until("commitment.committed")
        assert committed.data["instances"] == uids
        deliveries = await running.records.deliveries()
        assert {each.state for each in deliveries} == {DeliveryState.STORED}
        assert {each.commitment for each in deliveries} == {CommitmentState.COMMITTED}
        assert queue_screen.queue(deliveries).text.count("committed") == 2
        (transaction,) = await running.records.commitments.newest()
        assert transaction.answered_by == "ORTHANC at 127.0.0.1"


async def test_what_the_archive_lost_is_stored_again_and_then_committed(
    orthanc: Any, instances: dict[str, Path], tmp_path: Path, unused_port: Callable[[], int]
) -> None:
    """Its report names 0112H; the first attempts to report find our port shut, and Orthanc never repeats them."""
    port = unused_port()
    await trio.to_thread.run_sync(tell_our_port, orthanc, unused_port())
    policy = CommitmentPolicy(backoff=BACKOFF, report_timeout_s=1, same_association_wait_s=0)
    async with instrument(orthanc, tmp_path, port, policy) as running:
        uids = await running.finish_exam([instances["implicit"], instances["explicit"]])
        await running.until("commitment.requested")
        await trio.to_thread.run_sync(delete_from_orthanc, orthanc, uids[0])
        await trio.to_thread.run_sync(tell_our_port, orthanc, port)
        assert "no report within 1 s" in (await running.until("commitment.expired")).text
        again = await running.until("commitment.stored_again")
        assert again.data["instances"] == uids[:1]
        assert "0112H no such object instance" in again.text
        with trio.fail_after(60):
            while [each.commitment for each in await running.records.deliveries()] != [CommitmentState.COMMITTED] * 2:
                await running.arrived.wait()
        assert [event.data["instances"] for event in running.events if event.kind == "commitment.committed"] == [
            uids[1:],
            uids[:1],
        ]


def test_by_hand(
    orthanc: Any, instances: dict[str, Path], unused_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    port = unused_port()
    tell_our_port(orthanc, port)
    node = f"ORTHANC@127.0.0.1:{orthanc.node.port}"
    held, lost = instances["implicit"], instances["explicit"]
    assert main(["store", node, str(held)]) == 0
    delete_from_orthanc(orthanc, str(pydicom.dcmread(lost).SOPInstanceUID))
    capsys.readouterr()
    words = ["commit", node, "--calling", "SPECULAR", "--listen", str(port), "--wait", "20", str(held), str(lost)]
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        f"committed   {held}",
        f"refused     {lost}: 0112H no such object instance",
    ]
    assert captured.err == f"specular commit: {lost}: refused: 0112H no such object instance\n"
