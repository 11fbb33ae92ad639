"""`specular commit` against an archive of another toolkit: where the report comes, what it says, and that it never comes."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commitment_peer import Archive, Asked, archive, report_on
from delivery_peer import dicom_instance
from records_material import SC_CLASS, uid_of

from firmware_app.cli import main

Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.dcm" for number in (1, 2, 3)]
    for number, path in enumerate(paths, start=1):
        path.write_bytes(dicom_instance(number))
    return paths


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], port: int) -> Run:
    def commit(peer: Archive, *words: object) -> tuple[int, list[dict[str, Any]], str]:
        node = f"{peer.ae_title}@127.0.0.1:{peer.port}"
        command = ["commit", node, "--calling", "INSTRUMENT", "--json", "--listen", str(port), "--timeout", "10"]
        status = main([*command, *map(str, words)])
        captured = capsys.readouterr()
        return status, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return commit


def test_committed_on_a_new_association(files: list[Path], port: int, run: Run) -> None:
    with archive() as peer:

        def on_action(asked: Asked) -> int:
            peer.later(peer.report_there, port, report_on(asked))
            return 0

        peer.on_action = on_action
        status, rows, errors = run(peer, *files)
        peer.join()
    assert (status, errors) == (0, "")
    assert [row["result"] for row in rows] == ["committed"] * 3
    assert [row["file"] for row in rows] == [str(path) for path in files]
    (asked,) = peer.asked
    assert {row["transaction_uid"] for row in rows} == {asked.transaction_uid}
    assert asked.references == [(SC_CLASS, uid_of(number)) for number in (1, 2, 3)]
    assert (asked.action_type, asked.instance) == (1, "1.2.840.10008.1.20.1.1")
    assert rows[0]["reported_by"] == "ARCHIVE at 127.0.0.1"
    assert peer.statuses == [0x0000]
