"""Whom the DICOM benchmark talks to: storescp with Nagle's algorithm or without, Orthanc, wlmscpfs, a canned worklist.

python tests/benchmarks/dicom_servers.py canned       # prints its port; ends with its standard input
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "peers")]

from dicom_material import WORKLIST_COUNT, worklist_entry  # noqa: E402
from peers_material import program  # noqa: E402

START_S = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(*, nodelay: bool = False) -> dict[str, str]:
    """For client and server. DCMTK's switch against Nagle's algorithm is TCP_NODELAY in the environment.

    All that is Python may keep its byte code, as installed programs have it: ours comes from a source tree.
    """
    unwanted = ("TCP_NODELAY", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "TCP_NODELAY": "1"} if nodelay else kept


@contextmanager
def serving(folder: Path, port: int, *command: str, nodelay: bool = False) -> Iterator[int]:
    """The server while the scope lasts; the value is its port."""
    log_path = folder / f"{Path(command[0]).name}-{port}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(nodelay=nodelay),
        )
        try:
            deadline = time.monotonic() + START_S
            while not listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]}: {log_path.read_text(errors='replace')[-2000:]}")
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def storescp(folder: Path, *, nodelay: bool = False) -> AbstractContextManager[int]:
    port = free_port()
    return serving(folder, port, program("storescp"), "--fork", "-aet", "PEER", "--ignore", str(port), nodelay=nodelay)


def wlmscpfs(folder: Path) -> AbstractContextManager[int]:
    """Serves the folder PEER inside `folder`: the called AE title names it."""
    port = free_port()
    return serving(folder, port, program("wlmscpfs"), "--fork", "-csk", "-dfp", str(folder), str(port))


def orthanc(folder: Path) -> AbstractContextManager[int]:
    port, http_port = free_port(), free_port()
    database = folder / "orthanc"
    database.mkdir()
    configuration = {
        "Name": "BENCH",
        "StorageDirectory": str(database),
        "IndexDirectory": str(database),
        "TemporaryDirectory": str(database),
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "PEER",
        "DicomPort": port,
        "DicomAlwaysAllowStore": True,
        "OverwriteInstances": True,
        "SyncStorageArea": False,
        "MaximumPduLength": 131072,
    }
    path = database / "orthanc.json"
    path.write_text(json.dumps(configuration))
    return serving(folder, port, program("Orthanc"), str(path))


@contextmanager
def canned_worklist() -> Iterator[int]:
    """The 1000 answers encoded beforehand and written in one go: what is measured is the client alone."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "canned"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()


# ------------------------------------------------------------------ the canned worklist, a process of its own


def canned_answers(*, explicit_vr: bool) -> bytes:
    """All PDUs of the answer to message 1 in context 1, which is what each of the three clients asks with."""
    from pydicom.filebase import DicomIO
    from pydicom.filewriter import write_dataset

    from firmware_app.dicom.command import DATA_SET_PRESENT, Command, CommandField, encode_command
    from firmware_app.dicom.pdu import COMMAND_FRAGMENT, LAST_FRAGMENT, encode_data_header

    def fragment(control: int, octets: bytes) -> bytes:
        return encode_data_header(1, control | LAST_FRAGMENT, len(octets)) + octets

    def response(status: int, data_set_type: int) -> bytes:
        command = Command(
            command_field=CommandField.C_FIND_RSP,
            message_id_being_responded_to=1,
            affected_sop_class_uid="1.2.840.10008.5.1.4.31",
            data_set_type=data_set_type,
            status=status,
        )
        return fragment(COMMAND_FRAGMENT, encode_command(command))

    pending = response(0xFF00, DATA_SET_PRESENT)
    pieces = []
    for number in range(WORKLIST_COUNT):
        buffer = DicomIO(BytesIO())
        buffer.is_little_endian, buffer.is_implicit_VR = True, not explicit_vr
        write_dataset(buffer, worklist_entry(number))
        identifier = buffer.parent.getvalue()
        pieces += [pending, fragment(0, identifier)]
    return b"".join(pieces) + response(0x0000, 0x0101)


def serve_canned() -> None:
    from firmware_app.dicom import events, pdu
    from firmware_app.dicom.association import Association
    from firmware_app.dicom.items import MaximumLength
    from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

    answers = {
        EXPLICIT_VR_LITTLE_ENDIAN: canned_answers(explicit_vr=True),
        IMPLICIT_VR_LITTLE_ENDIAN: canned_answers(explicit_vr=False),
    }

    def converse(peer: socket.socket) -> None:
        core = Association.acceptor(16384)
        core.transport_accepted()
        syntax = ""
        while octets := peer.recv(65536):
            core.receive_data(octets)
            while (event := core.next_event()) is not None:
                if isinstance(event, events.Requested):
                    (context,) = event.request.contexts
                    syntax = next(one for one in context.transfer_syntaxes if one in answers)
                    result = pdu.ContextResult(context.context_id, 0, syntax)
                    core.accept(pdu.AssociateAccept("PEER", "PEER", (result,), (MaximumLength(16384),)))
                elif isinstance(event, events.Received):
                    assert (event.message.context_id, event.message.command.message_id) == (1, 1)
                    peer.sendall(answers[syntax])
                elif isinstance(event, events.ReleaseRequested):
                    core.confirm_release()
            peer.sendall(core.data_to_send())
            if core.close_due or core.artim_running:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            peer, _ = listener.accept()
            with peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                converse(peer)


if __name__ == "__main__":
    import threading

    threading.Thread(target=serve_canned, daemon=True).start()
    sys.stdin.read()
