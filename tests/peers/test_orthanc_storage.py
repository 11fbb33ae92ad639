"""Storage to Orthanc: every transfer syntax of ours is kept as it is, and nothing of it is lost."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import trio
from stored_material import CONTEXTS, check_same_instance, write_all

from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.node import LocalApplicationEntity
from firmware_app.net.storage import store
from firmware_app.services.decompression import decompress

pytestmark = pytest.mark.peer("orthanc")


def fetch(url: str, sop_instance_uid: str) -> bytes:
    query = {"Level": "Instance", "Query": {"SOPInstanceUID": sop_instance_uid}}
    with urllib.request.urlopen(f"{url}/tools/find", json.dumps(query).encode(), timeout=20) as answer:
        (identifier,) = json.loads(answer.read())
    with urllib.request.urlopen(f"{url}/instances/{identifier}/file", timeout=20) as answer:
        octets: bytes = answer.read()
    return octets


async def test_every_syntax_is_kept(orthanc: Any, local: LocalApplicationEntity, tmp_path: Path) -> None:
    files = [read_instance_file(path) for path in write_all(tmp_path).values()]
    results = [one async for one in store(orthanc.node, local, files, CONTEXTS, decompress)]
    assert [one.category for one in results] == ["stored"] * len(files)
    for file in files:
        kept = tmp_path / "kept.dcm"
        kept.write_bytes(await trio.to_thread.run_sync(fetch, orthanc.url, file.sop_instance_uid))
        assert read_instance_file(kept).transfer_syntax_uid == file.transfer_syntax_uid
        check_same_instance(kept, file.path)
