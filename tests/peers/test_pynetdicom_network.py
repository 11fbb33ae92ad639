"""Our association client against pynetdicom's acceptor, in threads of this process, with handlers of each test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import trio
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from firmware_app.dicom.uids import (
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_WORKLIST_FIND,
    SECONDARY_CAPTURE_STORAGE,
    VERIFICATION,
)
from firmware_app.net.find import IGNORED_KEYS
from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.storage import store
from firmware_app.net.verification import echo
from firmware_app.net.worklist import WorklistQuery, find_worklist
from firmware_app.profiles import load_profile

KEYS = load_profile().worklist_keys


@contextmanager
def acceptor(*handlers: Any, maximum_pdu_size: int = 16382) -> Iterator[Node]:
    entity = AE("PYNET")
    entity.maximum_pdu_size = maximum_pdu_size
    for abstract_syntax in (VERIFICATION, MODALITY_WORKLIST_FIND, SECONDARY_CAPTURE_STORAGE):
        entity.add_supported_context(abstract_syntax, IMPLICIT_VR_LITTLE_ENDIAN)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
    assert server is not None
    try:
        yield Node("peer", "127.0.0.1", server.server_address[1], "PYNET", Timeouts.all(20))
    finally:
        server.shutdown()


async def test_echo(local: LocalApplicationEntity) -> None:
    with acceptor() as node:
        result = await echo(node, local, count=50)
    assert result.peer_implementation_version_name.startswith("PYNETDICOM_")


async def test_store_statuses_over_an_unlimited_and_a_tiny_maximum_length(
    local: LocalApplicationEntity, instances: dict[str, Path]
) -> None:
    file = read_instance_file(instances["implicit"])
    for maximum_pdu_size in (0, 1000):
        statuses = iter([0xB006, 0xA701, 0xA900, 0x0000])
        received: list[bytes] = []

        def on_store(event: Any, statuses: Iterator[int] = statuses, received: list[bytes] = received) -> int:
            received.append(event.request.DataSet.getvalue())
            return next(statuses)

        with acceptor((evt.EVT_C_STORE, on_store), maximum_pdu_size=maximum_pdu_size) as node:
            results = [one async for one in store(node, local, [file] * 4)]
        assert [one.category for one in results] == ["warning", "retry", "permanent", "stored"]
        assert received == [file.path.read_bytes()[file.data_set_offset :]] * 4


def patient(number: int) -> Dataset:
    identifier = Dataset()
    identifier.PatientName, identifier.PatientID, identifier.StudyInstanceUID = f"NAME^{number}", f"P{number}", "1.2.3"
    return identifier


async def test_both_pending_statuses(local: LocalApplicationEntity) -> None:
    def on_find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xFF00, patient(1)
        yield 0xFF01, patient(2)

    with acceptor((evt.EVT_C_FIND, on_find)) as node:
        items = [one async for one in find_worklist(node, local, WorklistQuery(), KEYS)]
    assert [item.patient.name for item in items] == ["NAME^1", "NAME^2"]
    assert IGNORED_KEYS in items[1].problems


async def test_stopping_early_is_heard_as_a_cancel(local: LocalApplicationEntity) -> None:
    cancelled: list[bool] = []

    def on_find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xFF00, patient(0)
        yield 0xFF00, patient(1)
        # pynetdicom reads nothing while responses wait to be sent: it hears a C-CANCEL only when it has a pause.
        give_up_s = time.monotonic() + 50
        while not (heard := event.is_cancelled) and time.monotonic() < give_up_s:  # it forgets once asked
            time.sleep(0.002)
        cancelled.append(heard)
        yield 0xFE00, None

    with acceptor((evt.EVT_C_FIND, on_find)) as node, trio.fail_after(60):
        async with aclosing(find_worklist(node, local, WorklistQuery(), KEYS)) as items:
            async for _ in items:
                break
    assert cancelled == [True]
