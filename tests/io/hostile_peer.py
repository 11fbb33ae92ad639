"""A scripted acceptor on a thread, for clients in other processes. Its octets are written by none of our encoders.

A script reads what the client sends with `expect`, answers with `send` and may end the connection. What it leaves open
is read until the client closes. `words` tells all that the client sent: `RQ DATA RELEASE`, `RQ ABORT 2/6`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

PATIENCE_S = 20.0  # a client that is silent for longer has hung
REQUEST, DATA, RELEASE, REPLY, ABORT = 1, 4, 5, 6, 7
NAMES = {REQUEST: "RQ", DATA: "DATA", RELEASE: "RELEASE", REPLY: "REPLY"}

IMPLICIT, EXPLICIT = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1"
VERIFICATION = b"1.2.840.10008.1.1"


class Peer:
    """The far end of one connection."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(PATIENCE_S)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connected
        self.received = bytearray()
        self._taken = 0

    def expect(self, pdu_type: int) -> bytes:
        """The next PDU of the client, which is of this type."""
        header = self._take(6)
        assert header[0] == pdu_type, f"the client sent PDU {header[0]:02X}H instead of {pdu_type:02X}H"
        return self._take(struct.unpack_from(">I", header, 2)[0])

    def expect_message(self) -> None:
        """P-DATA-TF up to the last fragment of a command."""
        while not self.expect(DATA)[5] & 2:
            pass

    def _take(self, length: int) -> bytes:
        while len(self.received) < self._taken + length:
            octets = self.socket.recv(65536)
            assert octets, "the client closed too early"
            self.received += octets
        self._taken += length
        return bytes(self.received[self._taken - length : self._taken])

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def end(self, how: str) -> None:
        if how == "rst":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how in ("rst", "fin"):
            self.socket.close()
        elif how == "half":
            self.socket.shutdown(socket.SHUT_WR)

    def drain(self) -> None:
        """Read until the client is gone."""
        if self.socket.fileno() == -1:
            return
        try:
            while octets := self.socket.recv(65536):
                self.received += octets
        except ConnectionError:
            pass
        self.socket.close()

    @property
    def words(self) -> str:
        octets, said = bytes(self.received), []
        while len(octets) >= 6:
            pdu_type, length = struct.unpack_from(">BxI", octets)
            body, octets = octets[6 : 6 + length], octets[6 + length :]
            word = f"ABORT {body[2]}/{body[3]}" if pdu_type == ABORT else NAMES.get(pdu_type, f"{pdu_type:02X}H")
            if said[-1:] != ["DATA"] or word != "DATA":
                said.append(word)
        return " ".join([*said, *(["CUT"] if octets else [])])


Script = Callable[[Peer], None]


def serve_once(listening: socket.socket, script: Script) -> Peer:
    """Accept one connection, run the script, stay until the client is gone."""
    listening.settimeout(PATIENCE_S)
    connected, _ = listening.accept()
    peer = Peer(connected)
    try:
        script(peer)
        peer.drain()
    finally:
        connected.close()
    return peer


# ------------------------------------------------------------------ octets


def pdu(pdu_type: int, body: bytes) -> bytes:
    return struct.pack(">BxI", pdu_type, len(body)) + body


def item(item_type: int, body: bytes) -> bytes:
    return struct.pack(">BxH", item_type, len(body)) + body


def result(context_id: int = 1, code: int = 0, syntaxes: bytes | None = None) -> bytes:
    """A Presentation Context item of an A-ASSOCIATE-AC; `syntaxes` are its sub-items."""
    return item(0x21, bytes((context_id, 0, code, 0)) + (item(0x40, IMPLICIT) if syntaxes is None else syntaxes))


MAX_LENGTH = item(0x51, struct.pack(">I", 16384))
IMPLEMENTATION = item(0x52, b"1.2.3.4") + item(0x55, b"HOSTILE")


def accept(
    results: bytes | None = None,
    user: bytes = MAX_LENGTH + IMPLEMENTATION,
    *,
    version: int = 1,
    application: bytes = b"1.2.840.10008.3.1.1.1",
    tail: bytes = b"",
) -> bytes:
    body = struct.pack(">HH", version, 0) + b"PEER".ljust(16) + b"SPECULAR".ljust(16) + bytes(32)
    body += item(0x10, application) + (result() if results is None else results) + item(0x50, user) + tail
    return pdu(2, body)


def reject(code: int, source: int, reason: int) -> bytes:
    return pdu(3, bytes((0, code, source, reason)))


def element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def us(number: int, value: int) -> bytes:
    return element(number, struct.pack("<H", value))


def response(
    *,
    field: int | None = 0x8030,
    message_id: int | None = 1,
    data_set_type: int | None = 0x0101,
    status: int | None = 0,
    sop_class: bytes | None = VERIFICATION + b"\0",
    more: bytes = b"",
) -> bytes:
    """The command set of a C-ECHO-RSP; None leaves an element out."""
    body = element(2, sop_class) if sop_class is not None else b""
    for number, value in ((0x0100, field), (0x0120, message_id), (0x0800, data_set_type), (0x0900, status)):
        body += us(number, value) if value is not None else b""
    body += more
    return element(0, struct.pack("<I", len(body))) + body


def pdv(octets: bytes, context_id: int = 1, control: int = 3) -> bytes:
    return struct.pack(">IBB", len(octets) + 2, context_id, control) + octets


def data(octets: bytes, context_id: int = 1, control: int = 3) -> bytes:
    return pdu(DATA, pdv(octets, context_id, control))


ANSWER = data(response())
RELEASE_RQ, RELEASE_RP = pdu(RELEASE, bytes(4)), pdu(REPLY, bytes(4))
USER_ABORT, PROVIDER_ABORT = pdu(ABORT, bytes(4)), pdu(ABORT, b"\0\0\2\1")
