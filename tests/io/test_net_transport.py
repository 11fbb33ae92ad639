"""Octets on their way, over plain TCP and over TLS: none is lost to a cancellation, none follows a torn record."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from tls_material import TlsMaterial

from firmware_app.net.listener import accept
from firmware_app.net.node import Node, Timeouts
from firmware_app.net.tls_reasons import TlsFault
from firmware_app.net.transport import TlsTransport, Transport, accept_transport, connect

pytestmark = pytest.mark.peer("openssl")


PLAIN_AND_TLS = pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "tls"])


@asynccontextmanager
async def both_ends(material: TlsMaterial, over_tls: bool) -> AsyncIterator[tuple[Transport, Transport]]:
    """Our client's end and our acceptor's, connected and secured."""
    ends: list[Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        tls = material.client() if over_tls else None
        node = Node("peer", "127.0.0.1", listening.getsockname()[1], "PEER", Timeouts.all(5), tls)

        async def answer() -> None:
            connected, address = await accept(listening)
            ends.append(accept_transport(connected, address[0], 5, material.listener() if over_tls else None))
            await ends[0].secure()

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer)
                ends.insert(0, await connect(node, "127.0.0.1"))
            yield ends[0], ends[1]
        finally:
            for end in ends:
                end.close()


@PLAIN_AND_TLS
async def test_octets_are_not_lost_to_a_cancellation(tls_material: TlsMaterial, over_tls: bool) -> None:
    """The scope is cancelled while a receive that has octets lets others run: it is too late to cancel that one.

    Who runs first is trio's dice, hence twenty times.
    """
    async with both_ends(tls_material, over_tls) as (client, acceptor), trio.open_nursery() as nursery:
        received = b""
        for number in range(20):
            await client.send(bytes([number]))
            await wait_readable(acceptor)
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel, scope)
                received += await acceptor.receive()
        assert received == bytes(range(20))


async def cancel(scope: trio.CancelScope) -> None:
    scope.cancel()


@PLAIN_AND_TLS
async def test_a_farewell_follows_whole_pdus_only(tls_material: TlsMaterial, over_tls: bool) -> None:
    async with both_ends(tls_material, over_tls) as (client, acceptor):
        await client.send(b"header", bytearray(b"body"))
        client.send_at_once(b"farewell")
        client.close()
        client.close()
        assert await receive_all(acceptor) == b"headerbodyfarewell"
        if isinstance(acceptor, TlsTransport):
            assert acceptor.session.ended  # close_notify has come, not only a FIN

    async with both_ends(tls_material, over_tls) as (client, acceptor):
        sent = bytes(64 * 1024 * 1024)
        with trio.move_on_after(0.05) as scope:
            await client.send(sent)
        assert scope.cancelled_caught
        client.send_at_once(b"farewell")
        client.close()
        received = await receive_all(acceptor)
        assert len(received) < len(sent) and not any(received)


async def receive_all(transport: Transport) -> bytes:
    received = bytearray()
    with trio.fail_after(5):
        while octets := await transport.receive():
            received += octets
    return bytes(received)


@PLAIN_AND_TLS
async def test_what_is_pending_is_had_without_waiting(tls_material: TlsMaterial, over_tls: bool) -> None:
    async with both_ends(tls_material, over_tls) as (client, acceptor):
        assert acceptor.receive_pending() == b""
        await client.send(b"last words")
        client.close()
        await wait_readable(acceptor)
        assert acceptor.receive_pending() == b"last words"
        assert acceptor.receive_pending() == b""


async def wait_readable(transport: Transport) -> None:
    await trio.lowlevel.wait_readable(transport._socket)


async def test_a_write_that_fails_tells_what_the_peer_said_last(tls_material: TlsMaterial) -> None:
    """A TLS 1.3 client may write long before it reads that its certificate is refused."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        strange = tls_material.client(tls_material.stranger.issue("instrument"))
        node = Node("peer", "127.0.0.1", listening.getsockname()[1], "PEER", Timeouts.all(5), strange)

        async def refuse() -> None:
            connected, address = await accept(listening)
            transport = accept_transport(connected, address[0], 5, tls_material.listener())
            with pytest.raises(TlsFault, match="is not vouched for"):
                await transport.secure()
            transport.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            client = await connect(node, "127.0.0.1")
        with pytest.raises(TlsFault, match="the peer refused our certificate"):
            for _ in range(1000):
                await client.send(bytes(65536))
        assert await client.receive() == b""
        client.send_at_once(b"nobody hears this")
        client.close()
