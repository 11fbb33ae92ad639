"""Left at any await, an association ends at once: A-ABORT where the table has it, no socket, no task, no timer."""

from __future__ import annotations

import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock

from firmware_app.dicom import pdu
from firmware_app.dicom.command import DATA_SET_PRESENT, Command, CommandField, encode_command
from firmware_app.dicom.items import AsynchronousOperationsWindow, MaximumLength
from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from firmware_app.net.association import associate
from firmware_app.net.data_source import OctetSource
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.verification import VERIFICATION_CONTEXTS, echo, echo_once

LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
WINDOW = AsynchronousOperationsWindow(0, 1)
ACCEPT = pdu.AssociateAccept(
    "PEER", "SPECULAR", (pdu.ContextResult(1, 0, IMPLICIT_VR_LITTLE_ENDIAN),), (MaximumLength(16384), WINDOW)
).encode()
ANSWER = encode_command(Command(command_field=CommandField.C_ECHO_RSP, message_id_being_responded_to=1, status=0))
ECHOED = pdu.encode_data_header(1, 3, len(ANSWER)) + ANSWER
ABORT = pdu.Abort(0).encode()
AT_ONCE_S = 0.05
DATA_OCTETS = 16 * 1024 * 1024  # more than any socket buffer


@pytest.fixture
def clock() -> MockClock:
    """It jumps as soon as nothing moves for this long: whatever waited for a timer would show it."""
    return MockClock(autojump_threshold=0.03)


@dataclass
class Peer:
    """Answers each PDU type of `answers` once, stops reading at the type `deaf_after`, and keeps what came."""

    answers: dict[int, bytes]
    deaf_after: int = 0
    port: int = 0
    octets: bytearray = field(default_factory=bytearray)
    stuck: trio.Event = field(default_factory=trio.Event)  # the client now waits for what never comes
    wake: trio.Event = field(default_factory=trio.Event)  # a deaf peer reads again
    closed: trio.Event = field(default_factory=trio.Event)

    @property
    def node(self) -> Node:
        return Node("peer", "127.0.0.1", self.port, "PEER", Timeouts.all(20))

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            seen = 0
            try:
                async for octets in stream:
                    self.octets += octets
                    for kind, _ in whole_pdus(self.octets)[0][seen:]:
                        seen += 1
                        await self.answer(stream, kind)
            except trio.BrokenResourceError:
                pass
            self.closed.set()

    async def answer(self, stream: trio.SocketStream, kind: int) -> None:
        if kind in self.answers:
            await stream.send_all(self.answers[kind])
        if kind == self.deaf_after:
            await self.wake.wait()
        elif kind not in self.answers:
            self.stuck.set()


def whole_pdus(octets: bytearray) -> tuple[list[tuple[int, bytes]], bytes]:
    """Type and octets of each PDU, and what is left of one that was cut."""
    found, offset = [], 0
    while len(octets) - offset >= 6:
        end = offset + 6 + struct.unpack_from(">I", octets, offset + 2)[0]
        if end > len(octets):
            break
        found.append((octets[offset], bytes(octets[offset:end])))
        offset = end
    return found, bytes(octets[offset:])


@asynccontextmanager
async def running(peer: Peer) -> AsyncIterator[Peer]:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    peer.port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, peer.serve, [listener])
        yield peer
        nursery.cancel_scope.cancel()


def left_behind() -> tuple[int, int]:
    """Open descriptors and living tasks of this process."""
    return len(os.listdir("/proc/self/fd")), trio.lowlevel.current_statistics().tasks_living


# ------------------------------------------------------------------ what the client is doing


async def do_echo(node: Node, stuck: trio.Event) -> None:
    await echo(node, LOCAL)


async def do_nothing(node: Node, stuck: trio.Event) -> None:
    async with associate(node, LOCAL, VERIFICATION_CONTEXTS):
        stuck.set()
        await trio.sleep_forever()


async def attend(node: Node, stuck: trio.Event) -> None:
    async with associate(node, LOCAL, VERIFICATION_CONTEXTS) as association:
        await echo_once(association)
        stuck.set()
        await association.attend(3600, lambda: False)


async def send_commands(node: Node, stuck: trio.Event) -> None:
    """As many as the socket takes, and one more."""
    async with associate(node, LOCAL, VERIFICATION_CONTEXTS, user_items=(WINDOW,)) as association:
        context = association.context(VERIFICATION)
        while True:
            command = Command(
                command_field=CommandField.N_GET_RQ,
                message_id=association.next_message_id(),
                requested_sop_class_uid=VERIFICATION,
                requested_sop_instance_uid="1.2.3",
                attribute_identifiers=tuple(range(10_000)),
            )
            await association.send(context, command)


async def send_data(node: Node, stuck: trio.Event) -> None:
    async with associate(node, LOCAL, VERIFICATION_CONTEXTS) as association:
        command = Command(
            command_field=CommandField.C_STORE_RQ,
            message_id=association.next_message_id(),
            affected_sop_class_uid=VERIFICATION,
            affected_sop_instance_uid="1.2.3",
            priority=0,
            data_set_type=DATA_SET_PRESENT,
        )
        await association.send(association.context(VERIFICATION), command, OctetSource(bytes(DATA_OCTETS)))


Work = Callable[[Node, trio.Event], Awaitable[None]]
# phase: the peer's answers, what the client does, the last PDU that the peer gets
WAITING: dict[str, tuple[dict[int, bytes], Work]] = {
    "negotiating": ({}, do_echo),
    "between operations": ({1: ACCEPT}, do_nothing),
    "awaiting a response": ({1: ACCEPT}, do_echo),
    "attending": ({1: ACCEPT, 4: ECHOED}, attend),
    "awaiting the release": ({1: ACCEPT, 4: ECHOED}, do_echo),
}


@pytest.mark.parametrize("phase", WAITING)
async def test_cancelled_while_waiting(phase: str, clock: MockClock) -> None:
    answers, work = WAITING[phase]
    async with running(Peer(answers)) as peer:
        await trio.testing.wait_all_tasks_blocked()
        before = left_behind()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, peer.node, peer.stuck)
            await peer.stuck.wait()
            started = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - started <= AT_ONCE_S
        await peer.closed.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert left_behind() == before
    pdus, rest = whole_pdus(peer.octets)
    assert (pdus[-1][1], rest) == (ABORT, b"")


@pytest.mark.parametrize("work", [send_commands, send_data])
async def test_cancelled_while_sending(work: Work, clock: MockClock) -> None:
    """The peer's window is full. Inside a PDU nothing may follow, and between two there is hardly room for A-ABORT."""
    async with running(Peer({1: ACCEPT}, deaf_after=1)) as peer:
        await trio.testing.wait_all_tasks_blocked()
        before = left_behind()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, peer.node, peer.stuck)
            await trio.sleep(1)  # the clock jumps when the socket takes no more
            started = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - started <= AT_ONCE_S
        peer.wake.set()
        await peer.closed.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert left_behind() == before
    pdus, rest = whole_pdus(peer.octets)
    assert len(peer.octets) < DATA_OCTETS
    assert {kind for kind, _ in pdus[:-1]} <= {1, 4}
    assert not rest or rest[0] == 4
    assert pdus[-1][0] == 4 or (pdus[-1][1], rest) == (ABORT, b"")


async def test_cancelled_while_connecting(clock: MockClock) -> None:
    """A listener whose backlog is full never completes the handshake."""
    listener = trio.socket.socket()
    await listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    node = Node("full", "127.0.0.1", listener.getsockname()[1], "X", Timeouts.all(20))
    waiting = [trio.socket.socket() for _ in range(3)]
    try:
        for one in waiting:
            with trio.move_on_after(0.01):
                await one.connect(("127.0.0.1", node.port))
        before = left_behind()
        with trio.move_on_after(1) as patience:
            await echo(node, LOCAL)
        assert patience.cancelled_caught and trio.current_time() - patience.deadline <= AT_ONCE_S
        await trio.testing.wait_all_tasks_blocked()
        assert left_behind() == before
    finally:
        for one in (*waiting, listener):
            one.close()


async def test_cancelled_before_anything() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")  # nobody accepts, so every descriptor is ours
    async with listener:
        before = left_behind()
        with trio.CancelScope() as scope:
            scope.cancel()
            await echo(Node("peer", "127.0.0.1", listener.socket.getsockname()[1], "PEER"), LOCAL)
        assert scope.cancelled_caught and left_behind() == before


async def test_a_thousand_cancelled_operations_leave_nothing_behind() -> None:
    """In turn while negotiating, waiting for a response, and waiting for the release; on the real clock."""
    phases = [WAITING[name][0] for name in ("negotiating", "awaiting a response", "awaiting the release")]
    aborted = 0
    before = None
    for number in range(1000 + len(phases)):
        if number == len(phases):
            before = left_behind()
        async with running(Peer(phases[number % len(phases)])) as peer:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(do_echo, peer.node, peer.stuck)
                await peer.stuck.wait()
                nursery.cancel_scope.cancel()
            await peer.closed.wait()
            aborted += peer.octets.endswith(ABORT)
    assert aborted == 1000 + len(phases)
    assert left_behind() == before
