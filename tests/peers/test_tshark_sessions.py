"""Sessions of ours with real peers, recorded on the way and judged by Wireshark's dissector: no expert warning."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from peers_material import program
from pynetdicom import AE
from pynetdicom import evt as pynetdicom_events

from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, SECONDARY_CAPTURE_STORAGE, VERIFICATION
from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.listener import serve
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.net.storage import store
from firmware_app.net.verification import echo
from firmware_app.net.worklist import WorklistQuery, find_worklist
from firmware_app.profiles import load_profile

pytestmark = pytest.mark.peer("tshark")
CLIENT_PORT, SERVER_PORT = 50000, 11112
SEGMENT = 1400  # text2pcap makes a packet of each
Piece = tuple[str, bytes]  # O: from the client, I: from the server, as text2pcap has it


@asynccontextmanager
async def recording(node: Node) -> AsyncIterator[tuple[Node, list[Piece]]]:
    """A proxy in front of the node, and what went through it, in order."""
    pieces: list[Piece] = []

    async def pump(source: trio.SocketStream, sink: trio.SocketStream, direction: str) -> None:
        async for octets in source:
            pieces.append((direction, bytes(octets)))
            await sink.send_all(octets)
        await sink.send_eof()

    async def carry(client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", node.port)
        try:
            async with client, server, trio.open_nursery() as nursery:
                nursery.start_soon(pump, client, server, "O")
                nursery.start_soon(pump, server, client, "I")
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # one side closed without waiting for the other

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, carry, 0, host="127.0.0.1"))
        yield replace(node, port=listeners[0].socket.getsockname()[1]), pieces
        nursery.cancel_scope.cancel()


def hex_dump(pieces: list[Piece]) -> str:
    lines: list[str] = []
    for direction, octets in pieces:
        for start in range(0, len(octets), SEGMENT):
            segment = octets[start : start + SEGMENT]
            lines.append(direction)
            lines += [f"{offset:06x} {segment[offset : offset + 16].hex(' ')}" for offset in range(0, len(segment), 16)]
    return "\n".join(lines) + "\n"


def dissect(pieces: list[Piece], folder: Path, wanted: str) -> list[str]:
    """The summaries of the packets that match the display filter."""
    dump, capture = folder / "session.txt", folder / "session.pcap"
    dump.write_text(hex_dump(pieces))
    ports = f"{SERVER_PORT},{CLIENT_PORT}"
    run("text2pcap", "-q", "-D", "-T", ports, "-4", "127.0.0.1,127.0.0.2", str(dump), str(capture))
    return run("tshark", "-r", str(capture), "-d", f"tcp.port=={SERVER_PORT},dicom", "-Y", wanted).splitlines()


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def check(pieces: list[Piece], folder: Path, *summaries: str) -> None:
    assert dissect(pieces, folder, "dicom && _ws.expert") == []
    packets = "\n".join(dissect(pieces, folder, "dicom"))
    for summary in ("A-ASSOCIATE request", "A-ASSOCIATE accept", *summaries, "A-RELEASE request", "A-RELEASE response"):
        assert summary in packets


Work = Callable[[Node, LocalApplicationEntity], Awaitable[None]]


async def echo_three_times(node: Node, local: LocalApplicationEntity) -> None:
    assert (await echo(node, local, count=3)).release_failure is None


async def ask_worklist(node: Node, local: LocalApplicationEntity) -> None:
    assert [item async for item in find_worklist(node, local, WorklistQuery(), load_profile().worklist_keys)]


def store_of(*paths: Path) -> Work:
    async def work(node: Node, local: LocalApplicationEntity) -> None:
        results = [one async for one in store(node, local, [read_instance_file(path) for path in paths])]
        assert [one.category for one in results] == ["stored"] * len(paths)

    return work


async def record(node: Node, local: LocalApplicationEntity, work: Work) -> list[Piece]:
    async with recording(node) as (proxy, pieces):
        await work(proxy, local)
    return pieces


ECHO = ("C-ECHO-RQ ID=3", "C-ECHO-RSP ID=3 (Success)")
FIND = ("C-FIND-RQ ID=1", "C-FIND-RSP ID=1 (Success)")
STORE = ("C-STORE-RQ ID=2", "C-STORE-RSP ID=2 (Success)")


@pytest.mark.peer("dcmtk")
async def test_dcmtk(
    storescp: Callable[..., Node],
    wlmscpfs: Node,
    local: LocalApplicationEntity,
    instances: dict[str, Path],
    tmp_path: Path,
) -> None:
    check(await record(storescp("--ignore"), local, echo_three_times), tmp_path, *ECHO)
    check(await record(wlmscpfs, local, ask_worklist), tmp_path, *FIND)
    files = store_of(instances["explicit"], instances["implicit"])
    check(await record(storescp("--ignore"), local, files), tmp_path, *STORE)


@pytest.mark.peer("orthanc")
async def test_orthanc(orthanc: Any, local: LocalApplicationEntity, instances: dict[str, Path], tmp_path: Path) -> None:
    check(await record(orthanc.node, local, echo_three_times), tmp_path, *ECHO)
    check(await record(orthanc.node, local, ask_worklist), tmp_path, *FIND)
    # Not JPEG: there the dissector takes a command set that arrives in two segments for garbage, when it is filtered.
    files = store_of(instances["explicit"], instances["implicit"])
    check(await record(orthanc.node, local, files), tmp_path, *STORE)


async def test_pynetdicom(local: LocalApplicationEntity, instances: dict[str, Path], tmp_path: Path) -> None:
    entity = AE("PYNET")
    entity.add_supported_context(VERIFICATION)
    entity.add_supported_context(SECONDARY_CAPTURE_STORAGE, IMPLICIT_VR_LITTLE_ENDIAN)
    handlers = [(pynetdicom_events.EVT_C_STORE, lambda event: 0x0000)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        node = Node("peer", "127.0.0.1", server.server_address[1], "PYNET")
        check(await record(node, local, echo_three_times), tmp_path, *ECHO)
        check(await record(node, local, store_of(*[instances["implicit"]] * 2)), tmp_path, *STORE)
    finally:
        server.shutdown()


@pytest.mark.peer("dcmtk")
async def test_our_own_port(local: LocalApplicationEntity, tmp_path: Path) -> None:
    """The other way round: DCMTK's echoscu asks us."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, local, 0))
        async with recording(Node("us", "127.0.0.1", port, local.ae_title)) as (proxy, pieces):
            command = [program("echoscu"), "-aec", local.ae_title, "127.0.0.1", str(proxy.port)]
            await trio.run_process(command)
        nursery.cancel_scope.cancel()
    check(pieces, tmp_path, "C-ECHO-RQ ID=1", "C-ECHO-RSP ID=1 (Success)")


@pytest.mark.peer("dcmtk")
async def test_the_dissector_does_find_what_is_wrong(
    storescp: Callable[..., Node], local: LocalApplicationEntity, tmp_path: Path
) -> None:
    pieces = await record(storescp("--ignore"), local, echo_three_times)
    at = next(number for number, (_, octets) in enumerate(pieces) if octets[0] == 4)
    direction, octets = pieces[at]
    pieces[at] = direction, octets[:10] + b"\x62" + octets[11:]  # a presentation context that was never proposed
    assert dissect(pieces, tmp_path, "dicom && _ws.expert")
