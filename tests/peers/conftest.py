"""Outside peers as session fixtures: real servers on kernel-chosen loopback ports, each started when first asked."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from dcmjs_acceptor import SOURCES, MppsAcceptor, PackagesMissing, packages_folder
from peers_material import program, write_instances, write_worklist

from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts

START_S = 20.0
WORKLIST_PLUGIN = "/usr/share/orthanc/plugins/libModalityWorklists.so"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Servers:
    """Processes that end with the session. A server that does not come up shows its log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []

    def start(self, port: int, *command: str, **variables: str) -> Path:
        """Returns the file that everything it says goes to; `variables` are added to its environment."""
        log_path = self.folder / f"{Path(command[0]).name}-{port}.log"
        log = log_path.open("wb")
        environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"} | variables
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, cwd=self.folder
        )
        self._running.append((process, log))
        deadline = time.monotonic() + START_S
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return log_path
        pytest.fail(f"{command[0]} did not open port {port}:\n{log_path.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        for process, log in self._running:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(tmp_path_factory.mktemp("peers"))
    yield running
    running.stop()


def peer_node(ae_title: str, port: int) -> Node:
    return Node("peer", "127.0.0.1", port, ae_title, Timeouts.all(20))


@pytest.fixture(scope="session")
def storescp(servers: Servers) -> Callable[..., Node]:
    """DCMTK storescp with the given options, one process for each set of them."""
    nodes: dict[tuple[str, ...], Node] = {}

    def start(*options: str) -> Node:
        if options not in nodes:
            port = free_port()
            servers.start(port, program("storescp"), "--fork", "-aet", "STORESCP", *options, str(port))
            nodes[options] = peer_node("STORESCP", port)
        return nodes[options]

    return start


@pytest.fixture(scope="session")
def worklist_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`<root>/WLM` for wlmscpfs, whose called AE title is the folder's name."""
    folder = tmp_path_factory.mktemp("worklist") / "WLM"
    folder.mkdir()
    write_worklist(folder)
    return folder


@pytest.fixture(scope="session")
def wlmscpfs(servers: Servers, worklist_folder: Path) -> Node:
    port = free_port()
    # -csk keeps the character set of each file
    servers.start(port, program("wlmscpfs"), "--fork", "-csk", "-dfp", str(worklist_folder.parent), str(port))
    return peer_node("WLM", port)


class Orthanc:
    def __init__(self, node: Node, http_port: int) -> None:
        self.node = node
        self.url = f"http://127.0.0.1:{http_port}"


@pytest.fixture(scope="session")
def orthanc(servers: Servers, worklist_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Orthanc:
    folder = tmp_path_factory.mktemp("orthanc")
    port, http_port = free_port(), free_port()
    configuration = {
        "Name": "TEST",
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "TemporaryDirectory": str(folder),
        "Plugins": [WORKLIST_PLUGIN],
        "Worklists": {"Enable": True, "Database": str(worklist_folder)},
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowFindWorklist": True,
        "OverwriteInstances": True,
        "DicomModalities": {"us": {"AET": "SPECULAR", "Host": "127.0.0.1", "Port": 1, "AllowFindWorklist": True}},
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration))
    servers.start(port, program("Orthanc"), str(path))
    return Orthanc(peer_node("ORTHANC", port), http_port)


@pytest.fixture(scope="session")
def dcmjs_mpps(servers: Servers) -> MppsAcceptor:
    """dcmjs-dimse as an MPPS acceptor, AE title DCMJS; for tests that are marked `peer("dcmjs")`."""
    port = free_port()
    try:
        packages = packages_folder()
    except PackagesMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    output = servers.start(port, program("node"), str(SOURCES / "acceptor.js"), str(port), NODE_PATH=str(packages))
    return MppsAcceptor(peer_node("DCMJS", port), output)


@pytest.fixture(scope="session")
def local() -> LocalApplicationEntity:
    return LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.826.0.1.3680043.10.1", "SPECULAR_TEST")


@pytest.fixture(scope="session")
def instances(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Secondary captures by transfer syntax: implicit, explicit, jpeg."""
    return write_instances(tmp_path_factory.mktemp("instances"))


@pytest.fixture
def servers_folder(tmp_path: Path) -> Path:
    """A folder that a server of this test alone may fill."""
    return tmp_path


@pytest.fixture(scope="session")
def unused_port() -> Callable[[], int]:
    """Ports that nobody listens on, for servers that are told theirs."""
    return free_port
