"""Our association client against Orthanc: verification, worklist plugin, archive."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pydicom
import pytest
import trio
from peers_material import ODD_NAMES, PLAIN_ITEMS

from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.node import LocalApplicationEntity
from firmware_app.net.storage import store
from firmware_app.net.verification import echo
from firmware_app.net.worklist import WorklistQuery, find_worklist
from firmware_app.profiles import load_profile

pytestmark = pytest.mark.peer("orthanc")
KEYS = load_profile().worklist_keys


def read_url(url: str, query: dict[str, Any] | None = None) -> bytes:
    body = None if query is None else json.dumps(query).encode()
    with urllib.request.urlopen(url, body, timeout=20) as answer:
        octets: bytes = answer.read()
        return octets


async def test_echo(orthanc: Any, local: LocalApplicationEntity) -> None:
    result = await echo(orthanc.node, local, count=2)
    assert result.count == 2 and result.release_failure is None


async def test_worklist(orthanc: Any, local: LocalApplicationEntity) -> None:
    items = [item async for item in find_worklist(orthanc.node, local, WorklistQuery(), KEYS)]
    by_id = {item.patient.patient_id: item for item in items}
    assert len(items) == PLAIN_ITEMS + len(ODD_NAMES)
    assert by_id["P2"].patient.name == "PLAIN^2" and by_id["P2"].problems == ()
    assert by_id["P2"].scheduled_procedure_step_id == "S2"
    # Orthanc answers in Latin-1 whatever it was given; what survives that arrives.
    assert by_id["ODD-100"].patient.name == ODD_NAMES["ODD-100"][0]
    assert all("?" not in item.patient.patient_id for item in items)


async def test_worklist_query(orthanc: Any, local: LocalApplicationEntity) -> None:
    query = WorklistQuery(patient_id="P1", modality="OP", date="20260101-20260131")
    (item,) = [item async for item in find_worklist(orthanc.node, local, query, KEYS)]
    assert item.accession_number == "A0001"


async def test_stored_instances_are_really_there(
    orthanc: Any, local: LocalApplicationEntity, instances: dict[str, Path]
) -> None:
    files = [read_instance_file(path) for path in instances.values()]
    results = [result async for result in store(orthanc.node, local, files)]
    assert [(one.sop_instance_uid, one.category) for one in results] == [
        (file.sop_instance_uid, "stored") for file in files
    ]
    for file in files:
        query = {"Level": "Instance", "Query": {"SOPInstanceUID": file.sop_instance_uid}}
        octets = await trio.to_thread.run_sync(read_url, f"{orthanc.url}/tools/find", query)
        (identifier,) = json.loads(octets)
        octets = await trio.to_thread.run_sync(read_url, f"{orthanc.url}/instances/{identifier}/file")
        kept, sent = pydicom.dcmread(pydicom.filebase.DicomBytesIO(octets)), pydicom.dcmread(file.path)
        assert kept.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        assert kept.PixelData == sent.PixelData
