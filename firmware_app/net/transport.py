"""One TCP connection on our one IPv4 interface: bounded waits, one vectored write a PDU, quick acknowledgements.

DCMTK and others write a PDU in two pieces with Nagle's algorithm on, so each small answer of theirs waits for our
acknowledgement, which the kernel delays by 40 ms. TCP_QUICKACK is not permanent: the kernel leaves the mode by itself,
so it is set again around every receive. The same trap on our side is closed by TCP_NODELAY and one write per PDU.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

from firmware_app.net.errors import ConnectFailed, TimedOut
from firmware_app.net.node import Node

RECEIVE_SIZE = 64 * 1024
Buffer = bytes | bytearray | memoryview


@contextmanager
def bounded(label: str, what: str, seconds: float) -> Iterator[None]:
    """At most `seconds` for the body; then TimedOut, saying what did not come."""
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise TimedOut(label, what, seconds)


class Transport:
    """Owns one connected, non-blocking socket until `close`. One task at a time sends, one receives."""

    def __init__(self, connected: socket.socket, label: str, write_s: float) -> None:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected
        self._label = label
        self._write_s = write_s
        self._inside_pdu = False  # a PDU is half written: nothing else may follow it

    async def send(self, *buffers: Buffer) -> None:
        """Write one PDU. TimedOut or OSError; the connection is then good only for closing."""
        self._inside_pdu = True
        views = [memoryview(buffer) for buffer in buffers]
        while views:
            try:
                written = self._socket.sendmsg(views)
            except BlockingIOError:
                with bounded(self._label, "room to send", self._write_s):
                    await trio.lowlevel.wait_writable(self._socket)
                continue
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if written:
                views[0] = views[0][written:]
        self._inside_pdu = False

    async def receive(self) -> bytes:
        """What has arrived, at most RECEIVE_SIZE; empty at the end of the stream. OSError when reset."""
        while True:
            self._acknowledge_at_once()
            try:
                octets = self._socket.recv(RECEIVE_SIZE)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._socket)
                continue
            self._acknowledge_at_once()
            await trio.lowlevel.checkpoint()
            return octets

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
            while self._socket.recv(RECEIVE_SIZE):
                pass
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    def _acknowledge_at_once(self) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


async def connect(node: Node, source_address: str) -> Transport:
    """A connection to the node from our own address; ConnectFailed or TimedOut."""
    with bounded(node.label, f"TCP connection from {source_address}", node.timeouts.connect_s):
        try:
            address = await resolve(node)
            connecting = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                await connect_socket(connecting, source_address, address)
                return Transport(connecting, node.label, node.timeouts.write_s)
            except BaseException:
                connecting.close()
                raise
        except OSError as error:
            raise ConnectFailed(node.label, f"{error.strerror or error} (from {source_address})") from error
    raise AssertionError("bounded() raises when its body did not return")


async def resolve(node: Node) -> tuple[str, int]:
    """IPv4 only. A dotted address needs no resolver, and no thread."""
    try:
        socket.inet_pton(socket.AF_INET, node.host)
    except OSError:
        found = await trio.socket.getaddrinfo(node.host, node.port, family=socket.AF_INET, type=socket.SOCK_STREAM)
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
