"""One TCP connection on our one IPv4 interface: bounded waits, one vectored write a PDU, quick acknowledgements.

DCMTK and others write a PDU in two pieces with Nagle's algorithm on, so each small answer of theirs waits for our
acknowledgement, which the kernel delays by 40 ms. TCP_QUICKACK is not permanent: the kernel leaves the mode by itself,
so it is set again around every receive. The same trap on our side is closed by TCP_NODELAY and one write per PDU.

`TlsTransport` does the same with TLS in between. Whoever has a transport need not know which of the two it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

from firmware_app.net.errors import ConnectFailed, ConnectionLost, NetworkError, TimedOut, TlsFailed
from firmware_app.net.node import ANY_ADDRESS, Node
from firmware_app.net.tls import ListenerTls, TlsSession
from firmware_app.net.tls_reasons import TlsFault
from firmware_app.progress import waiting

RECEIVE_SIZE = 64 * 1024
MAX_READS_AT_CLOSE = 128  # more than a socket buffer holds: a peer that never stops must not keep us
TLS_HANDSHAKE = "TLS handshake"
CIPHERTEXT_PIECE = 64 * 1024
BUFFERS_AT_ONCE = 1024  # IOV_MAX
Buffer = bytes | bytearray | memoryview


@contextmanager
def bounded(label: str, what: str, seconds: float) -> Iterator[None]:
    """At most `seconds` for the body; then TimedOut, saying what did not come."""
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise TimedOut(label, what, seconds)


def connection_lost(label: str, doing: str, error: OSError) -> NetworkError:
    """What a transport's error means to whoever was `doing` something over it."""
    if isinstance(error, TlsFault):
        return TlsFailed(label, doing, str(error))
    return ConnectionLost(label, doing, error.strerror or str(error))


class Transport:
    """Owns one connected, non-blocking socket until `close`. One task at a time sends, one receives."""

    def __init__(self, connected: socket.socket, label: str, write_s: float) -> None:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected
        self._label = label
        self._write_s = write_s
        self._inside_pdu = False  # a PDU is half written: nothing else may follow it

    @property
    def security(self) -> str:
        """`TLSv1.3`; empty where there is none."""
        return ""

    async def secure(self) -> None:
        """Before the first PDU. TlsFault or OSError; the connection is then good only for closing."""

    async def send(self, *buffers: Buffer) -> None:
        """Write whole PDUs. TimedOut or OSError; the connection is then good only for closing.

        The bound is of each buffer: a peer that takes a few octets now and then is not waited for again and again.
        """
        self._inside_pdu = True
        views = [memoryview(buffer) for buffer in buffers]
        deadline: float | None = None
        while views:
            try:
                written = self._socket.sendmsg(views[:BUFFERS_AT_ONCE])
            except BlockingIOError:
                deadline = trio.current_time() + self._write_s if deadline is None else deadline
                with trio.move_on_at(deadline) as patience, waiting(f"{self._label} to take what is sent"):
                    await trio.lowlevel.wait_writable(self._socket)
                if patience.cancelled_caught:
                    raise TimedOut(self._label, "room to send", self._write_s) from None
                continue
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
                deadline = None
            if written:
                views[0] = views[0][written:]
        self._inside_pdu = False

    async def receive(self) -> bytes:
        """What has arrived, at most RECEIVE_SIZE; empty at the end of the stream. OSError when reset."""
        while True:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._acknowledge_at_once()
            try:
                octets = self._socket.recv(RECEIVE_SIZE)
            except BlockingIOError:
                with waiting(self._label):
                    await trio.lowlevel.wait_readable(self._socket)
                continue
            self._acknowledge_at_once()
            await trio.lowlevel.cancel_shielded_checkpoint()  # a deadline that passes now must not cost these octets
            return octets

    @property
    def unconfirmed(self) -> int:
        """Octets sent that the peer's kernel has not acknowledged yet (tcp(7), SIOCOUTQ); 0 of a closed socket."""
        if self._socket.fileno() == -1:
            return 0
        return int.from_bytes(fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def receive_pending(self) -> bytes:
        """What is here already, without waiting; empty also when there is nothing."""
        with suppress(OSError):
            return self._socket.recv(RECEIVE_SIZE)
        return b""

    def send_at_once(self, octets: bytes) -> None:
        """A farewell without waiting: it goes out if whole PDUs are before it and the kernel has room."""
        if octets and not self._inside_pdu:
            with suppress(OSError):
                self._socket.send(octets)

    def close(self) -> None:
        """Idempotent. Whoever waits on the socket is told first."""
        if self._socket.fileno() == -1:
            return
        with suppress(OSError):
            # Unread octets would make the kernel send RST, and the peer lose the farewell it has not read yet.
            self._socket.shutdown(socket.SHUT_WR)
            for _ in range(MAX_READS_AT_CLOSE):
                if not self._socket.recv(RECEIVE_SIZE):
                    break
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    def _acknowledge_at_once(self) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class TlsTransport(Transport):
    """The same over TLS. The peer's FIN ends the stream with or without close_notify: DICOM has its own ends.

    A `TlsFault` is raised once; after it the stream has ended, and nothing more is written.
    """

    def __init__(self, connected: socket.socket, label: str, write_s: float, session: TlsSession) -> None:
        super().__init__(connected, label, write_s)
        self.session = session
        self._is_secure = False
        self._unsent = b""  # ciphertext that the kernel had no room for when nobody could wait
        self._read_ahead = b""

    @property
    def security(self) -> str:
        return self.session.version

    async def secure(self) -> None:
        try:
            while not self.session.shake_hands():
                await self._send_ciphertext()
                octets = await super().receive()
                if not octets:
                    raise TlsFault(f"the peer closed the connection during the handshake{self._suspicion()}")
                self.session.receive_ciphertext(octets)
            await self._send_ciphertext()
        except TlsFault:
            self._flush_at_once()  # an alert tells the peer why
            raise
        except OSError as error:
            raise TlsFault(f"{error.strerror or error} during the handshake{self._suspicion()}") from error
        self._is_secure = True

    async def send(self, *buffers: Buffer) -> None:
        # One copy, so that a PDU's header does not become a record of its own.
        self.session.write(buffers[0] if len(buffers) == 1 else b"".join(buffers))
        try:
            await self._send_ciphertext()
        except OSError:
            # A TLS 1.3 client learns only after its handshake that it is refused, and by then may write: why, if the
            # peer said so before it closed.
            self.session.receive_ciphertext(super().receive_pending())
            self._read_ahead = self._read()
            raise

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        octets = self._read()
        if octets:  # read ahead, or here since the handshake
            await trio.lowlevel.cancel_shielded_checkpoint()
        while not octets and not self.session.ended:
            ciphertext = await super().receive()
            if not ciphertext:
                return b""
            self.session.receive_ciphertext(ciphertext)
            octets = self._read()
        return octets

    def receive_pending(self) -> bytes:
        self.session.receive_ciphertext(super().receive_pending())
        with suppress(TlsFault):
            return self._read()
        return b""

    def send_at_once(self, octets: bytes) -> None:
        if octets and self._is_secure and not self._inside_pdu:
            with suppress(TlsFault):
                self.session.write(octets)
            self._flush_at_once()

    def close(self) -> None:
        if self._socket.fileno() != -1 and self._is_secure and not self._inside_pdu:
            self.session.say_goodbye()
            self._flush_at_once()
        super().close()

    def _suspicion(self) -> str:
        return "" if self.session.has_heard else "; perhaps it does not speak TLS at this port"

    async def _send_ciphertext(self) -> None:
        ciphertext = memoryview(self._unsent + self.session.ciphertext_to_send())
        self._unsent = b""
        if ciphertext:
            # In pieces, because the bound is of each: not a whole block of a file within the time for one PDU.
            starts = range(0, len(ciphertext), CIPHERTEXT_PIECE)
            await super().send(*(ciphertext[start : start + CIPHERTEXT_PIECE] for start in starts))

    def _flush_at_once(self) -> None:
        """What the kernel has no room for goes before the next PDU: a record must not be torn."""
        if self._inside_pdu:
            return
        self._unsent += self.session.ciphertext_to_send()
        if self._unsent:
            with suppress(OSError):
                self._unsent = self._unsent[self._socket.send(self._unsent) :]

    def _read(self) -> bytes:
        octets, self._read_ahead = self._read_ahead, b""
        try:
            return octets or self.session.read()
        except TlsFault:
            self._is_secure = False
            raise
        finally:
            self._flush_at_once()  # an alert, or the answer to a key update


async def connect(node: Node, source_address: str) -> Transport:
    """A connection to the node from our own address, and TLS where the node has it; a NetworkError says why not."""
    label, write_s = node.label, node.timeouts.write_s
    if node.tls is None:
        return Transport(await connect_tcp(node, source_address), label, write_s)
    try:
        session = TlsSession.client(node.tls, node.host)
        transport = TlsTransport(await connect_tcp(node, source_address), label, write_s, session)
        try:
            with bounded(label, TLS_HANDSHAKE, node.timeouts.connect_s):
                await transport.secure()
        except BaseException:
            transport.close()
            raise
    except OSError as error:
        raise TlsFailed(label, "connecting", error.strerror or str(error)) from error
    return transport


def accept_transport(connected: socket.socket, address: str, write_s: float, tls: ListenerTls | None) -> Transport:
    """The acceptor's end, not secured yet. TlsFault, with the socket closed, where our certificate cannot be used."""
    if tls is None:
        return Transport(connected, address, write_s)
    try:
        return TlsTransport(connected, address, write_s, TlsSession.acceptor(tls))
    except TlsFault:
        connected.close()
        raise


async def connect_tcp(node: Node, source_address: str) -> socket.socket:
    ours = "" if source_address == ANY_ADDRESS else f" from {source_address}"
    with (
        bounded(node.label, f"TCP connection{ours}", node.timeouts.connect_s),
        waiting(f"a connection to {node.label}"),
    ):
        try:
            address = await resolve(node)
            connecting = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                await connect_socket(connecting, source_address, address)
                return connecting
            except BaseException:
                connecting.close()
                raise
        except OSError as error:
            raise ConnectFailed(node.label, f"{error.strerror or error}{ours}") from error
    raise AssertionError("bounded() raises when its body did not return")


async def resolve(node: Node) -> tuple[str, int]:
    """IPv4 only. A dotted address needs no resolver, and no thread."""
    try:
        socket.inet_pton(socket.AF_INET, node.host)
    except OSError:
        try:
            found = await trio.socket.getaddrinfo(node.host, node.port, family=socket.AF_INET, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:  # a label of over 63 characters is no IDNA
            why = (error.strerror if isinstance(error, socket.gaierror) else "") or str(error)
            raise OSError(
                errno.EADDRNOTAVAIL, f"{node.host} has no IPv4 address, and only IPv4 is used: {why}"
            ) from error
        return str(found[0][4][0]), node.port
    return node.host, node.port


async def connect_socket(connecting: socket.socket, source_address: str, address: tuple[str, int]) -> None:
    connecting.setblocking(False)
    connecting.bind((source_address, 0))
    failure = connecting.connect_ex(address)
    if failure == errno.EINPROGRESS:
        await trio.lowlevel.wait_writable(connecting)
        failure = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failure:
        raise OSError(failure, os.strerror(failure))
