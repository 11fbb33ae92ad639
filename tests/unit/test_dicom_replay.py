"""Recorded octets of real peers, and other people's fuzzing seeds, through our association objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_app.dicom import events, pdu
from firmware_app.dicom.association import Association
from firmware_app.dicom.command import CommandField, decode_command
from firmware_app.dicom.errors import RemoteProtocolError
from firmware_app.dicom.message import MessageAssembler
from firmware_app.dicom.state import State
from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN
from firmware_app.dicom.worklist_item import read_worklist_item

pytestmark = pytest.mark.shared_data
CHUNK = 7


def split_pdus(octets: bytes) -> list[bytes]:
    pieces = []
    while octets:
        end = pdu.HEADER.size + pdu.HEADER.unpack_from(octets)[1]
        pieces.append(octets[:end])
        octets = octets[end:]
    return pieces


def sessions(shared: Path) -> list[tuple[bytes, bytes]]:
    folder = shared / "data" / "dicom" / "recorded_peers"
    return [
        (one.read_bytes(), Path(str(one).replace(".c2s.", ".s2c.")).read_bytes()) for one in folder.glob("*.c2s.bin")
    ]


def test_every_recorded_pdu_is_read_and_written_back(shared: Path) -> None:
    count = 0
    for session in sessions(shared):
        for stream in session:
            for octets in split_pdus(stream):
                again = pdu.decode_pdu(octets).encode()
                assert pdu.decode_pdu(again) == pdu.decode_pdu(octets)
                count += 1
    assert count > 100


def test_recorded_sessions_run_to_their_release(shared: Path) -> None:
    """What the client wrote goes into an acceptor of ours, what the server wrote into a requestor of ours."""
    for from_client, from_server in sessions(shared):
        client_pdus, server_pdus = split_pdus(from_client), split_pdus(from_server)
        request, accept = pdu.decode_pdu(client_pdus[0]), pdu.decode_pdu(server_pdus[0])
        assert isinstance(request, pdu.AssociateRequest) and isinstance(accept, pdu.AssociateAccept)
        requestor = Association.requestor(request)
        requestor.request()
        requestor.transport_connected()
        replay(requestor, from_server)
        acceptor = Association.acceptor(0)
        acceptor.transport_accepted()
        replay(acceptor, from_client, accept)


def replay(association: Association, octets: bytes, accept: pdu.AssociateAccept | None = None) -> None:
    messages = 0
    for offset in range(0, len(octets), CHUNK):
        association.receive_data(octets[offset : offset + CHUNK])
        while (event := association.next_event()) is not None:
            if isinstance(event, events.Requested):
                assert accept is not None
                association.accept(accept)
            if isinstance(event, events.Received):
                messages += 1
            if isinstance(event, events.ReleaseRequested):
                association.confirm_release()
            if association.role.value == "requestor" and isinstance(event, events.Received):
                finish_if_last(association, octets, offset)
    assert messages
    assert association.state in (State.IDLE, State.AWAIT_CLOSE, State.ESTABLISHED)


def finish_if_last(association: Association, octets: bytes, offset: int) -> None:
    """Ask for the release that the recorded client asked for, once only its answer is left."""
    if len(octets) - offset - CHUNK <= 10 and association.state is State.ESTABLISHED and octets[-10] == 6:
        association.release()


@pytest.mark.parametrize("peer", ["dcmtk_wlmscpfs", "orthanc", "pynet"])
def test_recorded_worklists_become_items(shared: Path, peer: str) -> None:
    stream = (shared / "data" / "dicom" / "recorded_peers" / f"{peer}_mwl.01.s2c.bin").read_bytes()
    assembler = MessageAssembler()
    items = []
    for octets in split_pdus(stream):
        decoded = pdu.decode_pdu(octets)
        if isinstance(decoded, pdu.AssociateAccept):
            explicit_vr = decoded.contexts[0].transfer_syntax != IMPLICIT_VR_LITTLE_ENDIAN
        if isinstance(decoded, pdu.DataTransfer):
            for value in decoded.values:
                message = assembler.add(value)
                if message is not None and message.data_set is not None:
                    assert message.command.command_field is CommandField.C_FIND_RSP
                    items.append(read_worklist_item(message.data_set, explicit_vr=explicit_vr))
    assert len(items) >= 10
    assert all(item.patient.name for item in items)
    if peer == "dcmtk_wlmscpfs":
        assert "Yamada^Tarou=山田^太郎=やまだ^たろう" in [item.patient.name for item in items]


def test_encoded_samples_never_break_a_decoder(shared: Path) -> None:
    for path in (shared / "data" / "dicom" / "pynetdicom_encoded").glob("*.bin"):
        octets = path.read_bytes()
        for decode in (pdu.decode_pdu, decode_command):
            try:
                decode(octets)
            except RemoteProtocolError:
                continue


def test_fuzzing_seeds_never_break_an_acceptor(shared: Path) -> None:
    for path in (shared / "data" / "dicom" / "profuzzbench_dcmqrscp").glob("*.raw"):
        octets = path.read_bytes()
        for start in (0, 4):  # the replay variants have a length before each packet
            association = Association.acceptor(16384)
            association.transport_accepted()
            association.receive_data(octets[start:])
            try:
                while (event := association.next_event()) is not None:
                    if isinstance(event, events.Requested):
                        answers = tuple(
                            pdu.ContextResult(one.context_id, 0, one.transfer_syntaxes[0])
                            for one in event.request.contexts
                        )
                        association.accept(pdu.AssociateAccept("A", "B", answers))
            except RemoteProtocolError:
                assert association.state is State.AWAIT_CLOSE
