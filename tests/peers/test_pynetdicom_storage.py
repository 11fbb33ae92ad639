"""Storage to pynetdicom's acceptor: the statuses of PS3.4 table B.2-1, and what an end without a release means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.pdu import A_RELEASE_RQ

from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, SECONDARY_CAPTURE_STORAGE
from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.storage import store

CONTEXTS = ((SECONDARY_CAPTURE_STORAGE, (IMPLICIT_VR_LITTLE_ENDIAN,)),)


@contextmanager
def archive(*handlers: Any) -> Iterator[Node]:
    entity = AE("PYNET")
    entity.add_supported_context(SECONDARY_CAPTURE_STORAGE, IMPLICIT_VR_LITTLE_ENDIAN)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
    assert server is not None
    try:
        yield Node("peer", "127.0.0.1", server.server_address[1], "PYNET", Timeouts.all(20))
    finally:
        server.shutdown()


STATUSES = [
    (0x0000, "stored", ""),
    (0xB000, "warning", "B000H coercion of data elements"),
    (0xB006, "warning", "B006H elements discarded"),
    (0xB007, "warning", "B007H data set does not match SOP class"),
    (0xA700, "retry", "A700H out of resources"),
    (0xA900, "permanent", "A900H data set does not match SOP class"),
    (0xC000, "permanent", "C000H cannot understand or process"),
]


async def test_every_status_on_one_association(local: LocalApplicationEntity, instances: dict[str, Path]) -> None:
    statuses = iter([status for status, _, _ in STATUSES])
    associations: list[Any] = []
    file = read_instance_file(instances["implicit"])
    handlers = (
        (evt.EVT_C_STORE, lambda event: next(statuses)),
        (evt.EVT_ACCEPTED, associations.append),
    )
    with archive(*handlers) as node:
        results = [one async for one in store(node, local, [file] * len(STATUSES), CONTEXTS)]
    assert [(one.status, one.category) for one in results] == [(status, category) for status, category, _ in STATUSES]
    for result, (_, _, words) in zip(results, STATUSES, strict=True):
        assert result.reason == (f"{node.label}: {words}" if words else "")
    assert len(associations) == 1


@pytest.mark.parametrize("end", ["abort", "close"])
async def test_what_is_stored_stays_stored_though_the_release_fails(
    local: LocalApplicationEntity, instances: dict[str, Path], end: str
) -> None:
    """SP-1P 4.2.4.3: when the data communication is successful the AE judges success even if the release fails."""

    asked: list[Any] = []

    def on_release(event: Any) -> None:
        if isinstance(event.pdu, A_RELEASE_RQ):
            asked.append(event)
            if end == "abort":
                event.assoc.abort()
            else:
                event.assoc.dul.socket.close()

    file = read_instance_file(instances["implicit"])
    with archive((evt.EVT_C_STORE, lambda event: 0), (evt.EVT_PDU_RECV, on_release)) as node:
        results = [one async for one in store(node, local, [file, file], CONTEXTS)]
    assert [(one.status, one.category, one.reason) for one in results] == [(0, "stored", "")] * 2
    assert len(asked) == 1


async def test_an_association_that_no_class_is_accepted_on_does_not_stop_the_next(
    local: LocalApplicationEntity, instances: dict[str, Path]
) -> None:
    """130 classes need two associations; of those on the first none is accepted."""
    file = read_instance_file(instances["implicit"])
    files = [replace(file, sop_class_uid=f"1.2.77.{number}", sop_instance_uid=f"1.2.{number}") for number in range(130)]
    files[-1] = file
    contexts = [(each.sop_class_uid, (IMPLICIT_VR_LITTLE_ENDIAN,)) for each in files]
    with archive((evt.EVT_C_STORE, lambda event: 0)) as node:
        results = [one async for one in store(node, local, files, contexts)]
    assert [one.category for one in results] == ["permanent"] * 129 + ["stored"]
    assert [one.sop_instance_uid for one in results] == [each.sop_instance_uid for each in files]
    assert "abstract syntax not supported" in results[0].reason
