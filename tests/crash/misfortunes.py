"""A relay in front of a peer, on which connections meet misfortunes: refused, broken off, reset, silent, slow.

It knows the PDUs of PS3.8 9.3 by their headers only. What is drawn for a connection is decided when it opens; `healthy`
ends all of it. An answer that the relay drops has been given by the peer: the requestor cannot know whether.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["none", "refuse", "reset", "abort", "cut", "hang", "slow"]
WEIGHTS: Final[dict[Kind, float]] = {
    "none": 0.5,
    "refuse": 0.09,  # A-ASSOCIATE-RJ
    "reset": 0.06,  # RST before anything was said
    "abort": 0.11,  # A-ABORT in the place of the n-th PDU of the peer
    "cut": 0.11,  # RST in the place of the n-th PDU of the requestor or of the peer
    "hang": 0.05,  # from the n-th PDU of the peer on nothing more comes
    "slow": 0.08,  # every PDU of the peer comes late
}
_ABORT: Final = struct.pack(">BxI4B", 7, 4, 0, 0, 0, 0)  # A-ABORT, source: service user
_REJECTS: Final = (  # A-ASSOCIATE-RJ: result, source, reason (table 9-21)
    struct.pack(">BxIxBBB", 3, 4, 2, 3, 1),  # transient: temporary congestion
    struct.pack(">BxIxBBB", 3, 4, 2, 3, 2),  # transient: local limit exceeded
    struct.pack(">BxIxBBB", 3, 4, 1, 1, 1),  # permanent: no reason given
)
_AT_MOST: Final = 6  # an exam's delivery has that many PDUs of the peer
SLOW_S: Final = 0.12
HANG_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Misfortune:
    kind: Kind
    at: int = 0  # which PDU
    upwards: bool = False  # of the requestor


class Relay:
    """Listens on a port of its own for the peer on `target`."""

    def __init__(self, target: int, seed: int) -> None:
        self._target = target
        self._chance = random.Random(seed)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = int(self._listening.getsockname()[1])
        self.healthy = False
        self.met: Counter[str] = Counter()
        threading.Thread(target=self._accept, daemon=True).start()

    def _draw(self) -> Misfortune:
        if self.healthy:
            return Misfortune("none")
        (kind,) = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        return Misfortune(kind, 1 + self._chance.randrange(_AT_MOST), self._chance.random() < 0.5)

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            drawn = self._draw()
            self.met[drawn.kind] += 1
            threading.Thread(target=self._serve, args=(near, drawn), daemon=True).start()

    def _serve(self, near: socket.socket, drawn: Misfortune) -> None:
        with near, contextlib.suppress(OSError):
            if drawn.kind == "reset":
                _reset(near)
                return
            if drawn.kind == "refuse":
                near.settimeout(HANG_S)
                near.recv(65536)
                near.sendall(_REJECTS[drawn.at % len(_REJECTS)])
                near.recv(65536)
                return
            with socket.create_connection(("127.0.0.1", self._target)) as far:
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                up = threading.Thread(target=_carry, args=(near, far, near, drawn, True), daemon=True)
                up.start()
                _carry(far, near, near, drawn, False)
                _end(near)
                _end(far)
                up.join()


def _carry(source: socket.socket, sink: socket.socket, near: socket.socket, drawn: Misfortune, upwards: bool) -> None:
    """PDU by PDU until somebody ends it, or the drawn misfortune comes."""
    with contextlib.suppress(OSError, EOFError):
        number = 0
        while True:
            pdu = _pdu(source)
            number += 1
            if drawn.kind == "slow" and not upwards:
                time.sleep(SLOW_S)
            if number == drawn.at:
                if drawn.kind == "cut" and drawn.upwards is upwards:
                    _reset(near)
                    break
                if drawn.kind == "abort" and not upwards:
                    near.sendall(_ABORT)
                    break
                if drawn.kind == "hang" and not upwards:
                    near.settimeout(HANG_S)
                    while source.recv(65536):
                        pass
                    return
            sink.sendall(pdu)
    _end(sink)


def _pdu(source: socket.socket) -> bytes:
    header = _exactly(source, 6)
    return header + _exactly(source, int.from_bytes(header[2:6], "big"))


def _exactly(source: socket.socket, size: int) -> bytes:
    octets = bytearray()
    while len(octets) < size:
        more = source.recv(size - len(octets))
        if not more:
            raise EOFError
        octets += more
    return bytes(octets)


def _reset(near: socket.socket) -> None:
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    near.close()


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
