"""DICOM over TLS on real sockets: our client, our port, and the bare peers between them."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from dicom_acceptor import Acceptor, Conversation, Handler
from tls_material import Credentials, TlsMaterial
from trio.testing import MockClock

from firmware_app.dicom.command import Command, CommandField
from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, SECONDARY_CAPTURE_STORAGE
from firmware_app.net.association import associate
from firmware_app.net.data_source import OctetSource
from firmware_app.net.errors import ConnectionLost, TimedOut, TlsFailed, is_worth_retrying
from firmware_app.net.listener import InboundAssociation, ListenerLimits, serve
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.tls import ClientTls, ListenerTls
from firmware_app.net.verification import VERIFICATION_CONTEXTS, echo

pytestmark = pytest.mark.peer("openssl")
US = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
PEER = LocalApplicationEntity("PEER", "127.0.0.1", "1.2.3.5", "PEER")
LIMITS = ListenerLimits(max_associations=2, max_connections=4, first_pdu_s=5, idle_s=30)
STORAGE = ((SECONDARY_CAPTURE_STORAGE, (IMPLICIT_VR_LITTLE_ENDIAN,)),)
Serve = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0.05)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@asynccontextmanager
async def our_port(
    tls: ListenerTls | None, client: ClientTls | None
) -> AsyncIterator[tuple[Node, list[InboundAssociation]]]:
    ended: list[InboundAssociation] = []
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
            await serve(US, 0, limits=LIMITS, tls=tls, observe=ended.append, task_status=task_status)

        port = await nursery.start(run)
        yield Node("us", "127.0.0.1", port, "SPECULAR", Timeouts.all(20), client), ended
        nursery.cancel_scope.cancel()


async def until(ended: list[InboundAssociation], count: int) -> None:
    with trio.fail_after(10):
        while len(ended) < count:
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def peer(tls: ClientTls, serve_one: Serve) -> AsyncIterator[Node]:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    node = Node("peer", "127.0.0.1", listener.socket.getsockname()[1], "PEER", Timeouts.all(20), tls)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve_one, [listener])
        yield node
        nursery.cancel_scope.cancel()


def server_context(material: TlsMaterial) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=material.authority.certificate)
    context.load_cert_chain(material.peer.certificate, material.peer.key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@asynccontextmanager
async def trio_peer(material: TlsMaterial, handler: Handler) -> AsyncIterator[Acceptor]:
    """Our scripted acceptor over trio's own TLS, which shares no line with ours."""

    async def serve_one(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, server_context(material), server_side=True)
        async with secured:
            await Conversation(secured, acceptor, handler).run()  # type: ignore[arg-type]

    async with peer(material.client(), serve_one) as node:
        acceptor = Acceptor(node)
        yield acceptor


# ------------------------------------------------------------------ what works


async def test_echo_over_tls(tls_material: TlsMaterial) -> None:
    async with our_port(tls_material.listener(), tls_material.client()) as (us, ended):
        result = await echo(us, PEER, count=3)
        await until(ended, 1)
    assert (result.count, result.security, result.release_failure) == (3, "TLSv1.3", None)
    assert ended == [InboundAssociation("127.0.0.1", "PEER", 3, "released")]


async def test_a_pinned_peer(tls_material: TlsMaterial) -> None:
    pinned = tls_material.client(pinned_sha256=frozenset([tls_material.peer.sha256]))
    async with our_port(tls_material.listener(), pinned) as (us, _):
        assert (await echo(us, PEER)).security == "TLSv1.3"


@pytest.mark.parametrize("length", [0, 2, 16378, 16380, 9_000_002])
async def test_a_data_set_arrives_to_the_octet(tls_material: TlsMaterial, length: int) -> None:
    sent = os.urandom(length)
    async with trio_peer(tls_material, lambda _: [0]) as acceptor, associate(acceptor.node, US, STORAGE) as association:
        assert association.security == "TLSv1.3"
        context = association.context(SECONDARY_CAPTURE_STORAGE)
        command = Command(
            command_field=CommandField.C_STORE_RQ,
            message_id=association.next_message_id(),
            affected_sop_class_uid=SECONDARY_CAPTURE_STORAGE,
            affected_sop_instance_uid="1.2.3",
            priority=0,
            data_set_type=1,
        )
        answer = await association.request(context, command, OctetSource(sent))
    assert answer.command.status == 0 and association.release_failure is None
    assert acceptor.messages[0].data_set == sent
    assert acceptor.ends == ["released"]


async def test_renewed_files_need_no_restart(tls_material: TlsMaterial, tmp_path: Path) -> None:
    files = Credentials(str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"))

    def install(source: Credentials) -> None:
        shutil.copy(source.certificate, files.certificate)
        shutil.copy(source.key, files.key)

    install(tls_material.peer)
    async with our_port(tls_material.listener(files), None) as (us, _):
        for source in (tls_material.peer, tls_material.us):
            install(source)
            pinned = tls_material.client(files, pinned_sha256=frozenset([source.sha256]))
            await echo(replace(us, tls=pinned), PEER)


# ------------------------------------------------------------------ who is refused


async def test_our_certificate_is_refused_after_a_tls_1_3_handshake(tls_material: TlsMaterial) -> None:
    """The client is done before the server looks at its certificate; the alert and a reset then race our first PDU."""
    refused = tls_material.client(tls_material.stranger.issue("instrument"))
    async with our_port(tls_material.listener(), refused) as (us, ended):
        for _ in range(20):
            with pytest.raises(TlsFailed, match=r"refused our certificate.*does not know its authority") as caught:
                await echo(us, PEER)
            assert not is_worth_retrying(caught.value)
        await until(ended, 20)
    assert str(caught.value).startswith(f"us (SPECULAR at 127.0.0.1:{us.port}): TLS: the peer refused our certificate")
    assert {one.calling_ae_title for one in ended} == {""}
    assert all("is not vouched for by any authority that is trusted here" in one.outcome for one in ended)


async def test_the_peers_certificate_is_refused_before_anything_is_said(tls_material: TlsMaterial) -> None:
    async with our_port(tls_material.listener(), tls_material.client(server_name="pacs.example")) as (us, ended):
        with pytest.raises(TlsFailed, match=r"certificate \(CN=archive.*\) is not for pacs.example, while connecting"):
            await echo(us, PEER)
        await until(ended, 1)
    assert "the peer refused our certificate (CN=archive" in ended[0].outcome


async def test_a_pin_that_does_not_match(tls_material: TlsMaterial) -> None:
    async with our_port(tls_material.listener(), tls_material.client(pinned_sha256=frozenset(["0" * 64]))) as (
        us,
        ended,
    ):
        with pytest.raises(TlsFailed, match=f"is not the pinned one: its SHA-256 is {tls_material.peer.sha256}"):
            await echo(us, PEER)
        await until(ended, 1)
    assert (ended[0].calling_ae_title, ended[0].outcome) == ("", "closed by the peer")


async def test_files_that_are_gone_are_named(tls_material: TlsMaterial) -> None:
    before = open_descriptors()
    async with our_port(tls_material.listener(), tls_material.client(Credentials("/gone.pem", "/gone.key"))) as (us, _):
        with pytest.raises(TlsFailed, match=r"TLS: our certificate: /gone\.pem cannot be read: No such file"):
            await echo(us, PEER)
    with pytest.raises(OSError, match=r"our key: /gone\.key cannot be read"):
        await serve(US, 0, tls=tls_material.listener(Credentials(tls_material.peer.certificate, "/gone.key")))
    assert open_descriptors() == before


async def test_files_that_vanish_while_we_listen_cost_a_connection_each(
    tls_material: TlsMaterial, tmp_path: Path
) -> None:
    files = Credentials(str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"))
    shutil.copy(tls_material.peer.certificate, files.certificate)
    shutil.copy(tls_material.peer.key, files.key)
    async with our_port(tls_material.listener(files), tls_material.client()) as (us, ended):
        os.unlink(files.key)
        with pytest.raises(TlsFailed, match=r"handshake|reset"):
            await echo(us, PEER)
        await until(ended, 1)
        shutil.copy(tls_material.peer.key, files.key)
        await echo(us, PEER)
    assert ended[0].outcome.startswith(f"our key: {files.key} cannot be read")


# ------------------------------------------------------------------ no TLS


async def test_a_plain_peer_on_our_tls_port_is_dropped(tls_material: TlsMaterial) -> None:
    async with our_port(tls_material.listener(), None) as (us, ended):
        with pytest.raises(ConnectionLost):
            await echo(us, PEER)
        await until(ended, 1)
        assert ended[0].outcome == "the peer does not speak TLS: its first octet is 01H"
        await echo(replace(us, tls=tls_material.client()), PEER)  # and nobody else notices


async def test_tls_to_a_plain_port(tls_material: TlsMaterial) -> None:
    async with our_port(None, tls_material.client()) as (us, _):
        with pytest.raises(TlsFailed, match="the peer does not speak TLS: its first octet is 07H"):
            await echo(us, PEER)


@pytest.mark.parametrize(
    ("farewell", "why"),
    [
        (b"", "the peer closed the connection during the handshake; perhaps it does not speak TLS at this port, while"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the peer does not speak TLS: its first octet is 48H"),
        (b"\x16\x03\x03\x00\x02\x02", "the peer closed the connection during the handshake, while"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "agrees to none of our cipher suites, or requires a certificate"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "the peer speaks neither TLS 1.2 nor 1.3, only older versions"),
        (b"\x16\x03\x03\xff\xff" + b"\xff" * 40, "TLS: TLS is broken: "),
    ],
)
async def test_what_is_no_handshake(tls_material: TlsMaterial, farewell: bytes, why: str) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            if farewell:
                await stream.send_all(farewell)
            await stream.send_eof()
            await stream.receive_some()

    async with peer(tls_material.client(), answer) as node:
        with pytest.raises(TlsFailed) as caught:
            await echo(node, US)
    assert why in str(caught.value)


async def test_a_reset_during_the_handshake(tls_material: TlsMaterial) -> None:
    async def reset(stream: trio.SocketStream) -> None:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.receive_some()
        stream.socket.close()

    async with peer(tls_material.client(), reset) as node:
        with pytest.raises(
            TlsFailed,
            match="Connection reset by peer during the handshake; perhaps it does not speak TLS at this port, while",
        ):
            await echo(node, US)


# ------------------------------------------------------------------ time and cancellation


async def test_a_silent_peer_is_left_in_time(tls_material: TlsMaterial, clock: MockClock) -> None:
    async def silence(stream: trio.SocketStream) -> None:
        async with stream:
            await trio.sleep_forever()

    async with peer(tls_material.client(), silence) as node:
        before = open_descriptors()
        with pytest.raises(TimedOut, match="no TLS handshake within 3 s"):
            await echo(replace(node, timeouts=Timeouts.all(3)), US)
        assert open_descriptors() == before + 1  # the peer's own end


async def test_who_dribbles_a_handshake_is_dropped_in_time(tls_material: TlsMaterial, clock: MockClock) -> None:
    async with our_port(tls_material.listener(), None) as (us, ended):
        stream = await trio.open_tcp_stream(us.host, us.port)
        async with stream:
            await stream.send_all(b"\x16\x03\x01\x01\x00\x01")
            started = trio.current_time()
            await until_closed(stream)
            assert trio.current_time() - started == pytest.approx(LIMITS.first_pdu_s, abs=0.5)
    assert ended[0].outcome == f"127.0.0.1: no TLS handshake within {LIMITS.first_pdu_s:g} s"


async def until_closed(stream: trio.SocketStream) -> None:
    while await stream.receive_some():
        pass


async def test_cancelled_at_any_point_of_the_handshake_nothing_is_left(
    tls_material: TlsMaterial, clock: MockClock
) -> None:
    """Let the handshake come one receive farther each time, then leave the scope."""
    for steps in range(6):
        before = open_descriptors()
        served = 0

        async def serve_steps(stream: trio.SocketStream, steps: int = steps) -> None:
            nonlocal served
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            server = server_context(tls_material).wrap_bio(incoming, outgoing, server_side=True)
            async with stream:
                async for octets in stream:
                    incoming.write(octets)
                    with suppress(ssl.SSLWantReadError):
                        server.do_handshake()
                    if served == steps:
                        scope.cancel()
                        await stream.receive_some()
                        return
                    served += 1
                    if octets := outgoing.read():
                        await stream.send_all(octets)

        with trio.CancelScope() as scope:
            async with peer(tls_material.client(), serve_steps) as node:
                with trio.move_on_after(2):
                    await echo(node, US)
        assert open_descriptors() == before


async def test_the_end_without_close_notify_is_an_end(tls_material: TlsMaterial) -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, server_context(tls_material), server_side=True)
        await secured.do_handshake()
        await secured.receive_some()
        await stream.aclose()  # the socket below it

    async with peer(tls_material.client(), hang_up) as node:
        with pytest.raises(ConnectionLost, match="the connection was closed, while waiting for the answer"):
            await echo(node, US)


async def test_close_notify_is_an_end_too(tls_material: TlsMaterial) -> None:
    async def say_goodbye(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, server_context(tls_material), server_side=True, https_compatible=True)
        await secured.receive_some()
        await secured.aclose()

    async with peer(tls_material.client(), say_goodbye) as node:
        with pytest.raises(ConnectionLost, match="the connection was closed, while waiting for the answer"):
            await echo(node, US)


async def test_left_by_an_exception_the_peer_gets_our_abort(tls_material: TlsMaterial) -> None:
    async with trio_peer(tls_material, lambda _: []) as acceptor:
        with pytest.raises(KeyError):
            async with associate(acceptor.node, US, VERIFICATION_CONTEXTS):
                raise KeyError
        with trio.fail_after(5):
            while not acceptor.ends:
                await trio.lowlevel.checkpoint()
    assert acceptor.ends == ["aborted"]


async def test_a_peer_that_stops_reading_is_left_in_time(tls_material: TlsMaterial, clock: MockClock) -> None:
    """The record that is half written is the last one: neither A-ABORT nor close_notify may follow it."""

    async def stop_reading(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, server_context(tls_material), server_side=True)
        acceptor = Acceptor(node)
        conversation = Conversation(secured, acceptor, lambda _: [])  # type: ignore[arg-type]
        conversation.core.transport_accepted()
        while not acceptor.messages and not conversation.core.accepted:
            conversation.core.receive_data(await secured.receive_some())
            while (event := conversation.core.next_event()) is not None:
                await conversation.handle(event)
            await secured.send_all(conversation.core.data_to_send())
        await trio.sleep_forever()

    async with peer(tls_material.client(), stop_reading) as node:
        impatient = replace(node, timeouts=replace(Timeouts.all(20), write_s=2))
        with pytest.raises(TimedOut, match="room to send"):
            async with associate(impatient, US, STORAGE) as association:
                context = association.context(SECONDARY_CAPTURE_STORAGE)
                command = Command(
                    command_field=CommandField.C_STORE_RQ,
                    message_id=1,
                    affected_sop_class_uid=SECONDARY_CAPTURE_STORAGE,
                    affected_sop_instance_uid="1.2.3",
                    priority=0,
                    data_set_type=1,
                )
                await association.request(context, command, OctetSource(bytes(64 * 1024 * 1024)))
