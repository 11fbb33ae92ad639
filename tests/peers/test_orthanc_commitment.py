"""Storage commitment of Orthanc: N-ACTION on one association, the report to our port on another, role proposed."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import trio
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, STORAGE_COMMITMENT_PUSH_MODEL
from firmware_app.net.association import associate
from firmware_app.net.instance_file import InstanceFile, read_instance_file
from firmware_app.net.listener import InboundAssociation, serve
from firmware_app.net.node import LocalApplicationEntity
from firmware_app.net.normalized import n_action
from firmware_app.net.performer import EventReport
from firmware_app.net.storage import store

pytestmark = pytest.mark.peer("orthanc")
COMMITMENT, INSTANCE = STORAGE_COMMITMENT_PUSH_MODEL, "1.2.840.10008.1.20.1.1"
REQUESTING = ((COMMITMENT, (IMPLICIT_VR_LITTLE_ENDIAN,)),)
ALL_HELD, SOME_MISSING = 1, 2


def tell_orthanc_our_port(url: str, port: int) -> None:
    us = {"AET": "SPECULAR", "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": True}
    request = urllib.request.Request(f"{url}/modalities/us", json.dumps(us).encode(), method="PUT")
    urllib.request.urlopen(request, timeout=20).close()


def reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


async def ask(orthanc: Any, local: LocalApplicationEntity, references: list[Dataset]) -> tuple[str, EventReport]:
    """Our Transaction UID, and the one report that comes."""
    information = Dataset()
    information.TransactionUID, information.ReferencedSOPSequence = generate_uid(), references
    send, receive = trio.open_memory_channel[EventReport](1)
    ended: list[InboundAssociation] = []

    async def take(report: EventReport) -> int:
        send.send_nowait(report)
        return 0

    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
            await serve(local, 0, on_event=take, observe=ended.append, task_status=task_status)

        port = await nursery.start(run)
        await trio.to_thread.run_sync(tell_orthanc_our_port, orthanc.url, port)
        async with associate(orthanc.node, local, REQUESTING) as association:
            await n_action(association, COMMITMENT, INSTANCE, 1, information)
        with trio.fail_after(30):
            report = await receive.receive()
            while not ended:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert (ended[0].outcome, ended[0].reports) == ("released", 1)
    return information.TransactionUID, report


@pytest.fixture
async def stored(orthanc: Any, local: LocalApplicationEntity, instances: dict[str, Path]) -> list[InstanceFile]:
    files = [read_instance_file(path) for path in instances.values()]
    assert {one.category async for one in store(orthanc.node, local, files)} == {"stored"}
    return files


async def test_what_is_held_is_committed(
    orthanc: Any, local: LocalApplicationEntity, stored: list[InstanceFile]
) -> None:
    references = [reference(file.sop_class_uid, file.sop_instance_uid) for file in stored]
    transaction_uid, report = await ask(orthanc, local, references)
    information = report.decode()
    assert (report.event_type_id, report.sop_instance_uid) == (ALL_HELD, INSTANCE)
    assert (report.peer.ae_title, information.TransactionUID) == ("ORTHANC", transaction_uid)
    committed = [item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence]
    assert sorted(committed) == sorted(file.sop_instance_uid for file in stored)


async def test_what_is_missing_is_named(
    orthanc: Any, local: LocalApplicationEntity, stored: list[InstanceFile]
) -> None:
    missing = generate_uid()
    held = reference(stored[0].sop_class_uid, stored[0].sop_instance_uid)
    _, report = await ask(orthanc, local, [held, reference(stored[0].sop_class_uid, missing)])
    information = report.decode()
    assert report.event_type_id == SOME_MISSING
    (failed,) = information.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (missing, 0x0112)
