"""Each wait on a peer has a bound of its own, and none is wound up by a peer that gives a little at a time."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from firmware_app.dicom import pdu
from firmware_app.dicom.command import DATA_SET_PRESENT, Command, CommandField, encode_command
from firmware_app.dicom.items import MaximumLength
from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, SECONDARY_CAPTURE_STORAGE, VERIFICATION
from firmware_app.net.association import associate
from firmware_app.net.data_source import OctetSource
from firmware_app.net.errors import AssociationRejected, TimedOut, is_worth_retrying
from firmware_app.net.instance_file import InstanceFile
from firmware_app.net.listener import serve
from firmware_app.net.node import ARTIM_S, LocalApplicationEntity, Node, Timeouts
from firmware_app.net.storage import store
from firmware_app.net.transport import Transport
from firmware_app.net.verification import VERIFICATION_CONTEXTS, echo

LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
TIMEOUTS = Timeouts(connect_s=11, association_s=12, write_s=13, response_s=14, release_s=15)
CONTEXT = (pdu.ContextResult(1, 0, IMPLICIT_VR_LITTLE_ENDIAN),)
ACCEPT = pdu.AssociateAccept("PEER", "SPECULAR", CONTEXT, (MaximumLength(16384),)).encode()
ANSWER = encode_command(Command(command_field=CommandField.C_ECHO_RSP, message_id_being_responded_to=1, status=0))
ECHOED = pdu.encode_data_header(1, 3, len(ANSWER)) + ANSWER
BUFFER_OCTETS = 64 * 1024
REJECTIONS = [
    # result, source, reason, words, worth another attempt
    (1, 1, 1, "rejected permanently by the application: no reason given", False),
    (1, 1, 2, "rejected permanently by the application: application context name not supported", False),
    (1, 1, 3, "rejected permanently by the application: calling AE title not recognized", False),
    (1, 1, 7, "rejected permanently by the application: called AE title not recognized", False),
    (1, 2, 2, r"by its association layer \(ACSE\): protocol version not supported", False),
    (2, 1, 1, "rejected for now by the application: no reason given", True),
    (2, 2, 1, r"rejected for now by its association layer \(ACSE\): no reason given", True),
    (2, 3, 1, "rejected for now by its presentation layer: temporary congestion", True),
    (2, 3, 2, "rejected for now by its presentation layer: local limit exceeded", True),
    (7, 8, 9, "with the unknown result 7 by the unknown source 8: unknown reason 9", False),
]


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0.03)


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[Node]:
    """A peer that sends its answers, each after having received something, and then nothing."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve_one(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                for answer in answers:
                    await stream.receive_some()
                    await stream.send_all(answer)
                async for _ in stream:
                    pass
            except trio.BrokenResourceError:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve_one, [listener])
        yield Node("peer", "127.0.0.1", listener.socket.getsockname()[1], "PEER", TIMEOUTS)
        nursery.cancel_scope.cancel()


async def test_the_association_has_its_bound(clock: MockClock) -> None:
    async with answering() as node:
        with pytest.raises(TimedOut, match="no answer to our association request within 12 s"):
            await echo(node, LOCAL)
    assert TIMEOUTS.association_s <= trio.current_time() <= TIMEOUTS.association_s + ARTIM_S + 0.1


async def test_the_response_has_its_bound(clock: MockClock) -> None:
    async with answering(ACCEPT) as node:
        with pytest.raises(TimedOut, match="no C-ECHO-RSP within 14 s"):
            await echo(node, LOCAL)
    assert TIMEOUTS.response_s <= trio.current_time() <= TIMEOUTS.response_s + ARTIM_S + 0.1


async def test_the_release_has_its_bound_and_costs_nothing_else(clock: MockClock) -> None:
    async with answering(ACCEPT, ECHOED) as node:
        result = await echo(node, LOCAL)
    assert str(result.release_failure).endswith("no A-RELEASE-RP within 15 s")
    assert TIMEOUTS.release_s <= trio.current_time() <= TIMEOUTS.release_s + ARTIM_S + 0.1


@asynccontextmanager
async def narrow(taken: Callable[[socket.socket], Awaitable[None]]) -> AsyncIterator[Transport]:
    """A connection with small buffers; `taken` is what its far end does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_OCTETS)
        with socket.create_connection(listening.getsockname()) as connecting, listening.accept()[0] as accepted:
            connecting.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_OCTETS)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(taken, accepted)
                yield Transport(connecting, "peer", TIMEOUTS.write_s)
                nursery.cancel_scope.cancel()


@pytest.mark.parametrize("octets", [0, 2048])
async def test_a_write_has_its_bound_whatever_is_taken_now_and_then(octets: int, clock: MockClock) -> None:
    async def take_a_little(accepted: socket.socket) -> None:
        while octets:
            await trio.sleep(TIMEOUTS.write_s / 2)
            accepted.recv(octets)

    async with narrow(take_a_little) as transport:
        with pytest.raises(TimedOut, match="no room to send within 13 s"):
            await transport.send(bytes(12), bytes(16 * BUFFER_OCTETS))
    assert trio.current_time() == pytest.approx(TIMEOUTS.write_s, abs=0.5)


async def test_a_slow_peer_is_no_dead_peer(mock_clock: MockClock) -> None:
    """Each PDU within the time, all of them in far more: a slow line is waited for."""

    async def take_slowly(accepted: socket.socket) -> None:
        received = 0
        while True:
            await trio.lowlevel.wait_readable(accepted)
            received += len(accepted.recv(BUFFER_OCTETS))
            if received > 4 * BUFFER_OCTETS:  # more than both kernel buffers can hide from the sender
                mock_clock.jump(TIMEOUTS.write_s / 2)
                received = 0

    async with narrow(take_slowly) as transport:
        await transport.send(*[bytes(BUFFER_OCTETS // 4)] * 200)
    assert trio.current_time() > 2 * TIMEOUTS.write_s


# ------------------------------------------------------------------ rejections


@pytest.mark.parametrize(("result", "source", "reason", "words", "again"), REJECTIONS)
async def test_rejections_keep_their_words_and_tell_what_is_worth_another_attempt(
    result: int, source: int, reason: int, words: str, again: bool
) -> None:
    async with answering(pdu.AssociateReject(result, source, reason).encode()) as node:
        with pytest.raises(AssociationRejected, match=words) as caught:
            await echo(node, LOCAL)
    assert (caught.value.result, caught.value.source, caught.value.reason) == (result, source, reason)
    assert (is_worth_retrying(caught.value), caught.value.permanent) == (again, not again)


@pytest.mark.parametrize(("result", "reason", "category"), [(2, 1, "retry"), (1, 1, "permanent"), (1, 7, "permanent")])
async def test_a_batch_that_is_rejected_waits_or_needs_a_person(result: int, reason: int, category: str) -> None:
    """Each instance keeps the reason; a transient rejection without one is worth another attempt (behaviour 7)."""
    files = [
        InstanceFile(Path("/nowhere"), SECONDARY_CAPTURE_STORAGE, f"1.2.{number}", IMPLICIT_VR_LITTLE_ENDIAN, 0, 0)
        for number in range(3)
    ]
    async with answering(pdu.AssociateReject(result, 1, reason).encode()) as node:
        results = [one async for one in store(node, LOCAL, files)]
    assert [(one.sop_instance_uid, one.status, one.category) for one in results] == [
        (file.sop_instance_uid, None, category) for file in files
    ]
    assert all("by the application" in one.reason for one in results)


# ------------------------------------------------------------------ maximum length, both ways

LENGTHS = [0, 8, 9, 100, 16384, 1024 * 1024]


@pytest.mark.parametrize("theirs", LENGTHS)
@pytest.mark.parametrize("ours", LENGTHS)
async def test_every_maximum_length_works_with_every_other(ours: int, theirs: int) -> None:
    """Our client and our port; 8 octets leave two for the message in each PDU."""
    us = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST", ours)
    them = LocalApplicationEntity("PEER", "127.0.0.1", "1.2.3.5", "PEER", theirs)
    command = Command(
        command_field=CommandField.C_STORE_RQ,
        message_id=1,
        affected_sop_class_uid=VERIFICATION,
        affected_sop_instance_uid="1.2",
        priority=0,
        data_set_type=DATA_SET_PRESENT,
    )
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
            await serve(them, 0, task_status=task_status)

        node = Node("them", "127.0.0.1", await nursery.start(run), "PEER", Timeouts.all(20))
        async with associate(node, us, VERIFICATION_CONTEXTS) as association:
            answer = await association.request(association.context(VERIFICATION), command, OctetSource(bytes(1000)))
        assert answer.command.status == 0x0211 and association.release_failure is None
        nursery.cancel_scope.cancel()
