"""Data success stands although the release fails: SP-1P 4.2.1.3.1.3, 4.2.2.2.5.3, 4.2.3.2.5.3 and 4.2.4.2.5.3.

Each verb of the command line speaks to a pynetdicom peer over a line that carries everything but the A-RELEASE-RQ. What
it says and its exit status are those of a line that carries that too.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from objects_samples import build, camera
from PIL import Image
from pydicom.dataset import Dataset
from wire_peer import wire_peer

from firmware_app.cli import main
from firmware_app.objects.encoding import encode_part10
from firmware_app.profiles import load_profile

PATIENCE_S = 20.0
RELEASE_RQ, ABORT = 0x05, bytes([7, 0, 0, 0, 0, 4, 0, 0, 0, 0])
ENDS = ("abort", "fin", "rst", "silence")
PROFILES = ("specular", "sp-1p", "kodakqc")
# A release that is never answered is waited for as long as this says, and nothing else is.
NODE = """
[{name}]
ip_address = "127.0.0.1"
port = {port}
ae_title = "PEER"
timeouts.release_s = 0.1
"""
# Verb, the service that it needs, and what it has to say about the data.
VERBS: dict[str, tuple[str, Callable[[list[dict[str, Any]]], bool]]] = {
    "echo": ("verification", lambda rows: rows[0]["count"] == 1),
    "worklist": ("worklist", lambda rows: [row["patient"]["patient_id"] for row in rows] == ["P-1"]),
    "patients": ("patient_query", lambda rows: [row["patient"]["patient_id"] for row in rows] == ["P-1"]),
    "store": ("storage", lambda rows: [row["category"] for row in rows] == ["stored"]),
    "commit": ("commitment", lambda rows: "no report" in json.dumps(rows)),
    "mpps": ("mpps", lambda rows: [row["category"] for row in rows] == ["done"]),
    "print": ("print", lambda rows: [row["category"] for row in rows] == ["printed"]),
}


class Line:
    """One connection at a time from `port` to the peer; `end` is what happens instead of a release."""

    def __init__(self, peer_port: int) -> None:
        self.peer_port = peer_port
        self.end = "carry"
        self.withheld = 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self.peer_port)) as peer:
                client.settimeout(PATIENCE_S)
                back = threading.Thread(target=self.carry_back, args=(peer, client))
                back.start()
                self.carry(client, peer)
                peer.close()
                back.join()

    def carry(self, client: socket.socket, peer: socket.socket) -> None:
        """PDU by PDU, until the client or the line ends it."""
        while header := read_exactly(client, 6):
            body = read_exactly(client, struct.unpack_from(">I", header, 2)[0])
            if header[0] == RELEASE_RQ and self.end != "carry":
                self.withheld += 1
                peer.shutdown(socket.SHUT_RDWR)
                self.instead(client)
                return
            peer.sendall(header + body)
        peer.shutdown(socket.SHUT_RDWR)

    def instead(self, client: socket.socket) -> None:
        if self.end == "abort":
            client.sendall(ABORT)
        elif self.end == "rst":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif self.end == "silence":
            while read_exactly(client, 1):
                pass

    def carry_back(self, peer: socket.socket, client: socket.socket) -> None:
        try:
            while octets := peer.recv(65536):
                client.sendall(octets)
        except OSError:
            pass


def read_exactly(source: socket.socket, length: int) -> bytes:
    """Nothing at the end of the connection."""
    octets = b""
    while len(octets) < length:
        try:
            more = source.recv(length - len(octets))
        except ConnectionError:
            return b""
        if not more:
            return b""
        octets += more
    return octets


@contextmanager
def line_to(peer_port: int) -> Iterator[Line]:
    line = Line(peer_port)
    serving = threading.Thread(target=line.serve)
    serving.start()
    try:
        yield line
    finally:
        line.listening.shutdown(socket.SHUT_RDWR)
        line.listening.close()
        serving.join()


def match() -> Dataset:
    found = Dataset()
    found.PatientName, found.PatientID, found.QueryRetrieveLevel = "Doe^Jane", "P-1", "PATIENT"
    return found


def words(verb: str, folder: Path) -> list[str]:
    if verb in ("store", "commit"):
        return [str(folder / "image.dcm"), *(["--listen", "0", "--wait", "0.05"] if verb == "commit" else [])]
    return {
        "mpps": ["start", "--patient-id", "P-1", "--uid", "2.25.7", "--step-id", "PPS-1"],
        "print": [str(folder / "image.png")],
    }.get(verb, [])


@pytest.mark.parametrize(
    ("profile_name", "verb"),
    [
        (name, verb)
        for name in PROFILES
        for verb, (service, _) in VERBS.items()
        if service in load_profile(name).application_entity
    ],
)
def test_what_was_answered_stands(
    profile_name: str, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = load_profile(profile_name)
    setting = next(iter(profile.storage_modality))  # type: ignore[var-annotated]
    (tmp_path / "image.dcm").write_bytes(
        encode_part10(build(camera(), profile=profile, storage_setting=setting).dataset)
    )
    Image.new("L", (40, 30), 90).save(tmp_path / "image.png")
    file, node = tmp_path / "specular.toml", {"echo": "storage"}.get(verb, VERBS[verb][0])
    contexts = {
        (context.abstract_syntax, syntax)
        for entity in profile.application_entity.values()
        for context in entity.contexts
        for syntax in context.transfer_syntaxes
    }

    def say() -> tuple[int, list[dict[str, Any]]]:
        status = main([verb, node, *words(verb, tmp_path), "--json", "--config", str(file)])
        return status, [json.loads(row) for row in capsys.readouterr().out.splitlines()]

    with wire_peer(contexts) as peer, line_to(peer.port) as line:
        peer.matches = [match()]
        tables = [NODE.format(name=name, port=line.port) for name in {"storage", node}]
        file.write_text(f'profile = "{profile_name}"\nnetwork.interface = "lo"\n{"".join(tables)}')
        status, rows = say()
        assert VERBS[verb][1](rows), rows
        for number, end in enumerate(ENDS if profile_name == "specular" else ENDS[:1], start=1):
            line.end = end
            again = say()
            assert (again[0], comparable(again[1])) == (status, comparable(rows)), end
            assert line.withheld == number
    assert status == (1 if verb == "commit" else 0)  # this peer never reports on a commitment


def comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what differs from one time to the next, and without the note that the release failed."""
    varying = (
        "seconds",
        "echo_ms",
        "release_failure",
        "transaction_uid",
        "film_box_uid",
        "print_job_uid",
        "study_instance_uid",
    )
    return [{key: value for key, value in row.items() if key not in varying} for row in rows]
