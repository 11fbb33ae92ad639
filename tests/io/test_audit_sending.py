"""The trail over syslog with TLS: a receiver with a certificate on loopback, broken connections, restarts, order."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from records_material import START
from tls_material import TlsMaterial

from firmware_app.audit.syslog import Sender
from firmware_app.model import Event
from firmware_app.net.node import Node, Timeouts
from firmware_app.net.tls import ClientTls
from firmware_app.records.audit_trail import AuditTrail
from firmware_app.services.audit_sending import AuditSending
from firmware_app.services.backoff import BackoffPolicy

pytestmark = pytest.mark.peer("openssl")
AT = START.isoformat()
WAIT_S = 20.0


class Receiver:
    """RFC 5425 on Python's own ssl: asks for a client certificate, takes frames, breaks off when told to."""

    def __init__(self, material: TlsMaterial) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(material.peer.certificate, material.peer.key)
        self._context.load_verify_locations(material.authority.certificate)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self.messages: list[str] = []
        self.connections = 0
        self.break_after = 0  # messages of a connection; 0: never
        self.subjects: list[Any] = []
        self.trouble: list[str] = []
        self._changed = threading.Condition()
        self._listening: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    def start(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, args=(self._listening,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        assert self._listening is not None
        assert self._thread is not None
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(WAIT_S)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            plain.settimeout(WAIT_S)
            try:
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    self.connections += 1
                    self.subjects.append(connection.getpeercert())
                    self._take(connection, listening)
            except OSError as error:
                self.trouble.append(str(error))
                plain.close()

    def _take(self, connection: ssl.SSLSocket, listening: socket.socket) -> None:
        pending, taken = b"", 0
        connection.settimeout(0.05)
        while listening.fileno() != -1:
            try:
                octets = connection.recv(65536)
            except TimeoutError:
                continue
            if not octets:
                return
            pending += octets
            while (frame := self._next_frame(pending)) is not None:
                message, pending = frame
                with self._changed:
                    self.messages.append(message)
                    self._changed.notify_all()
                taken += 1
                if taken == self.break_after:
                    connection.close()
                    return

    @staticmethod
    def _next_frame(pending: bytes) -> tuple[str, bytes] | None:
        count, space, rest = pending.partition(b" ")
        if not space or len(rest) < int(count):
            return None
        return rest[: int(count)].decode(), rest[int(count) :]

    async def until(self, holds: Callable[[], bool]) -> None:
        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(holds, WAIT_S)

        assert await trio.to_thread.run_sync(wait), self.messages


def bodies(receiver: Receiver) -> list[str]:
    return [message.partition("\ufeff")[2] for message in receiver.messages]


async def polled(holds: Callable[[], bool]) -> None:
    with trio.fail_after(WAIT_S):
        while not holds():  # noqa: ASYNC110 - a file, or what another task thinks
            await trio.sleep(0.01)


class Side:
    def __init__(self, trail: AuditTrail, sending: AuditSending, events: list[Event]) -> None:
        self.trail, self.sending, self.events = trail, sending, events

    def tell(self, *messages: str) -> None:
        self.trail.append([(AT, message) for message in messages])
        self.sending.wake()

    async def until_sent(self, number: int) -> None:
        await polled(lambda: self.trail.sent() >= number)


@asynccontextmanager
async def side(folder: Path, port: int, tls: ClientTls, max_bytes: int = 1 << 20) -> AsyncIterator[Side]:
    trail = AuditTrail(folder, max_bytes)
    trail.open()
    events: list[Event] = []
    node = Node("audit", "127.0.0.1", port, "SYSLOG", Timeouts.all(10.0), tls)
    policy = BackoffPolicy(first_s=0.01, max_s=0.05)
    sending = AuditSending(trail, node, "127.0.0.1", Sender("ROOM1", "specular", "1"), events.append, policy)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sending.run)
        yield Side(trail, sending, events)
        nursery.cancel_scope.cancel()


@pytest.fixture
def receiver(tls_material: TlsMaterial) -> AsyncIterator[Receiver]:
    made = Receiver(tls_material)
    made.start()
    yield made
    made.stop()


async def test_in_order_over_one_connection(tmp_path: Path, receiver: Receiver, tls_material: TlsMaterial) -> None:
    async with side(tmp_path, receiver.port, tls_material.client()) as ours:
        ours.tell("<a/>", "<b>山田</b>")
        await receiver.until(lambda: len(receiver.messages) == 2)
        ours.tell("<c/>")
        await receiver.until(lambda: len(receiver.messages) == 3)
        await ours.until_sent(3)
    assert bodies(receiver) == ["<a/>", "<b>山田</b>", "<c/>"]
    assert receiver.messages[0].startswith("<85>1 2026-03-01T09:00:00.000+00:00 ROOM1 specular 1 DICOM+RFC3881 - ")
    assert receiver.connections == 1
    assert "instrument" in str(receiver.subjects[0])  # our certificate was asked for and shown


async def test_goes_on_where_it_stopped_after_a_restart(
    tmp_path: Path, receiver: Receiver, tls_material: TlsMaterial
) -> None:
    async with side(tmp_path, receiver.port, tls_material.client()) as ours:
        ours.tell("<a/>")
        await ours.until_sent(1)
    trail = AuditTrail(tmp_path, 1 << 20)
    trail.open()
    trail.append([(AT, "<b/>"), (AT, "<c/>")])  # while nothing was sent
    async with side(tmp_path, receiver.port, tls_material.client()) as ours:
        await ours.until_sent(3)
    assert bodies(receiver) == ["<a/>", "<b/>", "<c/>"]


async def test_a_receiver_that_is_down_and_comes_back(
    tmp_path: Path, receiver: Receiver, tls_material: TlsMaterial
) -> None:
    receiver.stop()
    async with side(tmp_path, receiver.port, tls_material.client()) as ours:
        ours.tell(*(f"<m>{number}</m>" for number in range(250)))
        await polled(lambda: bool(ours.sending.trouble))
        assert ours.trail.sent() == 0
        receiver.start()
        await ours.until_sent(250)
        levels = [event.level for event in ours.events if event.kind == "audit.waiting"]
        assert levels[0] == "warning"
        assert set(levels[1:]) <= {"debug"}
        assert [event.kind for event in ours.events if event.kind == "audit.sending"] == ["audit.sending"]
        assert ours.sending.trouble == ""
    assert bodies(receiver) == [f"<m>{number}</m>" for number in range(250)]


async def test_a_connection_that_breaks_loses_nothing_and_keeps_the_order(
    tmp_path: Path, receiver: Receiver, tls_material: TlsMaterial
) -> None:
    """The receiver reads seven messages of each connection and closes: what it did not read may have been confirmed
    by its kernel, so that only what was told one by one, each when the one before had arrived, is certain.
    """
    receiver.break_after = 7
    async with side(tmp_path, receiver.port, tls_material.client()) as ours:
        for number in range(1, 31):
            ours.tell(f"<m>{number}</m>")
            await receiver.until(lambda number=number: f"<m>{number}</m>" in "".join(receiver.messages))  # type: ignore[misc]
        await ours.until_sent(30)
    assert list(dict.fromkeys(bodies(receiver))) == [f"<m>{number}</m>" for number in range(1, 31)]
    assert receiver.connections >= 5


async def test_a_receiver_with_a_strange_certificate_gets_nothing(
    tmp_path: Path, receiver: Receiver, tls_material: TlsMaterial
) -> None:
    strange = tls_material.client(trusted=tls_material.stranger.certificate)
    async with side(tmp_path, receiver.port, strange) as ours:
        ours.tell("<patient/>")
        await polled(lambda: "certificate" in ours.sending.trouble)
        assert ours.trail.sent() == 0
    assert receiver.messages == []


async def test_what_is_dropped_unsent_is_told(tmp_path: Path, receiver: Receiver, tls_material: TlsMaterial) -> None:
    trail = AuditTrail(tmp_path, 16 * 1024)
    trail.open()
    for number in range(1, 201):
        trail.append([(AT, f"<m>{number}{'x' * 200}</m>")])
    first = trail.first_number()
    assert first > 1
    async with side(tmp_path, receiver.port, tls_material.client(), 16 * 1024) as ours:
        await ours.until_sent(200)
        (told,) = [event for event in ours.events if event.kind == "audit.dropped"]
    assert told.data["dropped"] == first - 1
    assert len(receiver.messages) == 201 - first


async def test_nobody_to_send_to(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path, 1 << 20)
    trail.open()
    nobody = AuditSending(trail, None, "127.0.0.1", Sender("h", "a", "1"), print, BackoffPolicy(first_s=1, max_s=2))
    with trio.fail_after(1):
        await nobody.run()
    assert "no receiver is configured" in nobody.detail
