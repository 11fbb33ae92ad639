"""A scripted peer that misbehaves in every way: the client ends in time, answers as PS3.8 says, and tells the truth.

The peer listens on loopback and runs one script for its one connection. What the client sent is read by our own
decoder; what it should answer is written here as octets.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from firmware_app.dicom import pdu
from firmware_app.dicom.command import Command, CommandField, decode_command, encode_command
from firmware_app.dicom.items import AsynchronousOperationsWindow, MaximumLength
from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, MODALITY_WORKLIST_FIND, VERIFICATION
from firmware_app.net.association import associate
from firmware_app.net.errors import (
    Aborted,
    AssociationRejected,
    ConnectionLost,
    DimseFailure,
    NetworkError,
    NoUsableContext,
    PeerReleased,
    RemoteProtocolError,
    TimedOut,
)
from firmware_app.net.node import ARTIM_S, LocalApplicationEntity, Node, Timeouts
from firmware_app.net.verification import VERIFICATION_CONTEXTS, EchoResult, echo, echo_once

WAIT_S = 20.0
# Loopback delivers at once: when nothing has moved for this long, nothing will, and the clock may jump.
QUIET_S = 0.02
LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")

ACCEPT = pdu.AssociateAccept(
    "PEER", "SPECULAR", (pdu.ContextResult(1, 0, IMPLICIT_VR_LITTLE_ENDIAN),), (MaximumLength(16384),)
).encode()
ANY_NUMBER = AsynchronousOperationsWindow(0, 1)
ACCEPT_ANY_NUMBER = pdu.AssociateAccept(
    "PEER", "SPECULAR", (pdu.ContextResult(1, 0, IMPLICIT_VR_LITTLE_ENDIAN),), (MaximumLength(16384), ANY_NUMBER)
).encode()
RELEASE_RQ, RELEASE_RP = pdu.ReleaseRequest().encode(), pdu.ReleaseReply().encode()
USER_ABORT, PROVIDER_ABORT = pdu.Abort(0).encode(), pdu.Abort(2, 1).encode()
UNEXPECTED, UNRECOGNIZED, INVALID = (pdu.Abort(2, reason).encode() for reason in (2, 1, 6))


def response(message_id: int = 1, status: int = 0, field: CommandField = CommandField.C_ECHO_RSP) -> bytes:
    return data(encode_command(Command(command_field=field, message_id_being_responded_to=message_id, status=status)))


def data(command: bytes, context_id: int = 1, control: int = 3) -> bytes:
    return pdu.encode_data_header(context_id, control, len(command)) + command


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=QUIET_S)


class Peer:
    """The far end of the one connection. What the client sent after the script ended is in `farewell`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.received = bytearray()
        self.farewell = b""

    async def expect(self, pdu_type: int) -> bytes:
        """The next PDU from the client, which is of this type."""
        while len(self.received) < 6 or len(self.received) < 6 + struct.unpack_from(">I", self.received, 2)[0]:
            octets = await self.stream.receive_some()
            assert octets, f"the client closed instead of sending PDU {pdu_type:02X}H"
            self.received += octets
        end = 6 + struct.unpack_from(">I", self.received, 2)[0]
        assert self.received[0] == pdu_type
        expected = bytes(self.received[:end])
        del self.received[:end]
        return expected

    async def send(self, octets: bytes) -> None:
        await self.stream.send_all(octets)

    async def send_slowly(self, octets: bytes) -> None:
        for octet in octets:
            await self.stream.send_all(bytes([octet]))
            await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.stream.aclose()

    async def accept(self) -> None:
        await self.expect(1)
        await self.send(ACCEPT)

    async def accept_echo(self) -> None:
        await self.accept()
        await self.expect(4)


Script = Callable[[Peer], Awaitable[None]]


async def converse(script: Script) -> tuple[EchoResult | NetworkError, bytes, float]:
    """One echo against the script: its outcome, what the client sent last, and how long it took."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    node = Node("peer", "127.0.0.1", listener.socket.getsockname()[1], "PEER", Timeouts.all(WAIT_S))
    outcome: EchoResult | NetworkError
    last: list[bytes] = []

    async def serve() -> None:
        async with await listener.accept() as stream:
            peer = Peer(stream)
            await script(peer)
            if stream.socket.fileno() == -1:
                return
            try:
                async for octets in stream:
                    peer.received += octets
            except trio.BrokenResourceError:
                pass
            last.append(bytes(peer.received))

    started = trio.current_time()
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        try:
            outcome = await echo(node, LOCAL)
        except NetworkError as error:
            outcome = error
        seconds = trio.current_time() - started
    return outcome, last[0] if last else b"", seconds


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Node]:
    """The peer alone, for a client of the test's own; the script has run when the scope ends."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]

    async def serve() -> None:
        async with await listener.accept() as stream:
            await script(Peer(stream))

    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        yield Node("peer", "127.0.0.1", listener.socket.getsockname()[1], "PEER", Timeouts.all(WAIT_S))


# ------------------------------------------------------------------ the scripts


async def silence(peer: Peer) -> None:
    """Nothing at all."""


def answer_request(octets: bytes, then: str = "wait") -> Script:
    async def script(peer: Peer) -> None:
        await peer.expect(1)
        await peer.send(octets)
        await finish(peer, then)

    return script


def answer_echo(octets: bytes, then: str = "wait") -> Script:
    async def script(peer: Peer) -> None:
        await peer.accept_echo()
        await peer.send(octets)
        await finish(peer, then)

    return script


def answer_release(octets: bytes, then: str = "wait") -> Script:
    async def script(peer: Peer) -> None:
        await peer.accept_echo()
        await peer.send(response())
        await peer.expect(5)
        await peer.send(octets)
        await finish(peer, then)

    return script


async def finish(peer: Peer, then: str) -> None:
    if then == "fin":
        await peer.stream.aclose()
    elif then == "half close":
        await peer.stream.send_eof()
    elif then == "rst":
        await peer.reset()


TOO_LONG = b"\x02\0\xff\xff\xff\xff" + bytes(64)
REJECT = pdu.AssociateReject(1, 1, 7).encode()
BAD_ACCEPT = pdu.encode_pdu(2, ACCEPT[6:-4])  # its last item is cut
NO_CONTEXT = pdu.AssociateAccept("P", "S", (pdu.ContextResult(1, 3, ""),), (MaximumLength(0),)).encode()

# id: script, what comes out, the last octets of the client
WHILE_ASSOCIATING = {
    "silence": (silence, TimedOut, USER_ABORT),
    "fin": (answer_request(b"", "fin"), ConnectionLost, None),
    "rst": (answer_request(b"", "rst"), ConnectionLost, None),
    "reject": (answer_request(REJECT), AssociationRejected, b""),
    "reject in two words": (answer_request(pdu.AssociateReject(2, 3, 2).encode()), AssociationRejected, b""),
    "reject with unknown numbers": (answer_request(pdu.AssociateReject(9, 9, 9).encode()), AssociationRejected, b""),
    "reject too short": (answer_request(b"\x03\0\0\0\0\x02\0\1"), RemoteProtocolError, INVALID),
    "abort of the user": (answer_request(USER_ABORT), Aborted, b""),
    "abort of the provider": (answer_request(PROVIDER_ABORT), Aborted, b""),
    "request instead of accept": (
        answer_request(pdu.AssociateRequest("A", "B", (pdu.ProposedContext(1, "1.2", ("1.2",)),)).encode()),
        RemoteProtocolError,
        UNEXPECTED,
    ),
    "data instead of accept": (answer_request(response()), RemoteProtocolError, UNEXPECTED),
    "release request instead of accept": (answer_request(RELEASE_RQ), RemoteProtocolError, UNEXPECTED),
    "release reply instead of accept": (answer_request(RELEASE_RP), RemoteProtocolError, UNEXPECTED),
    "unknown PDU": (answer_request(b"\x55\0\0\0\0\x04abcd"), RemoteProtocolError, UNRECOGNIZED),
    "PDU type 0": (answer_request(bytes(10)), RemoteProtocolError, UNRECOGNIZED),
    "HTTP": (answer_request(b"HTTP/1.1 400 Bad Request\r\n\r\n"), RemoteProtocolError, UNRECOGNIZED),
    "over-long accept": (answer_request(TOO_LONG), RemoteProtocolError, INVALID),
    "accept cut by fin": (answer_request(ACCEPT[:40], "fin"), ConnectionLost, None),
    "accept cut by half close": (answer_request(ACCEPT[:40], "half close"), ConnectionLost, b""),
    "accept cut by silence": (answer_request(ACCEPT[:40]), TimedOut, USER_ABORT),
    "header cut by silence": (answer_request(ACCEPT[:3]), TimedOut, USER_ABORT),
    "malformed accept": (answer_request(BAD_ACCEPT), RemoteProtocolError, INVALID),
    "no context accepted": (answer_request(NO_CONTEXT), NoUsableContext, USER_ABORT),
}
WHILE_ECHOING = {
    "silence": (answer_echo(b""), TimedOut, USER_ABORT),
    "fin": (answer_echo(b"", "fin"), ConnectionLost, None),
    "half close": (answer_echo(b"", "half close"), ConnectionLost, b""),
    "rst": (answer_echo(b"", "rst"), ConnectionLost, None),
    "abort of the user": (answer_echo(USER_ABORT), Aborted, b""),
    "abort then fin": (answer_echo(PROVIDER_ABORT, "fin"), Aborted, None),
    "release request": (answer_echo(RELEASE_RQ), PeerReleased, RELEASE_RP),
    "release reply": (answer_echo(RELEASE_RP), RemoteProtocolError, UNEXPECTED),
    "second accept": (answer_echo(ACCEPT), RemoteProtocolError, UNEXPECTED),
    "reject": (answer_echo(REJECT), RemoteProtocolError, UNEXPECTED),
    "unknown PDU": (answer_echo(b"\x7f\0\0\0\0\0"), RemoteProtocolError, UNRECOGNIZED),
    "over-long data": (answer_echo(b"\x04\0\xff\xff\xff\xff"), RemoteProtocolError, INVALID),
    "data beyond our limit": (answer_echo(data(bytes(16380))), RemoteProtocolError, INVALID),
    "over-long value": (answer_echo(b"\x04\0\0\0\0\x06\xff\xff\xff\xff\1\3"), RemoteProtocolError, INVALID),
    "data in another context": (answer_echo(data(response()[12:], 3)), RemoteProtocolError, INVALID),
    "garbage command": (answer_echo(data(b"garbage!")), RemoteProtocolError, USER_ABORT),
    "data set without command": (answer_echo(data(b"\0\0", control=2)), RemoteProtocolError, USER_ABORT),
    "response to another message": (answer_echo(response(99)), RemoteProtocolError, USER_ABORT),
    "response of another kind": (
        answer_echo(response(field=CommandField.C_STORE_RSP)),
        RemoteProtocolError,
        USER_ABORT,
    ),
    "half a response": (answer_echo(response()[:20]), TimedOut, USER_ABORT),
    "failure status": (answer_echo(response(status=0x0122)), DimseFailure, RELEASE_RQ + USER_ABORT),
}
# The echo was answered: whatever follows, it has succeeded.
WHILE_RELEASING = {
    "silence": (answer_release(b""), USER_ABORT),
    "fin": (answer_release(b"", "fin"), None),
    "rst": (answer_release(b"", "rst"), None),
    "abort": (answer_release(USER_ABORT), b""),
    "data after release request": (answer_release(response() + RELEASE_RP), b""),
    "reject": (answer_release(REJECT), UNEXPECTED),
    "accept": (answer_release(ACCEPT), UNEXPECTED),
    "unknown PDU": (answer_release(b"\x99\0\0\0\0\0"), UNRECOGNIZED),
    "over-long reply": (answer_release(b"\x06\0\xff\xff\xff\xff"), INVALID),
    "collision": (answer_release(RELEASE_RQ + RELEASE_RP), RELEASE_RP),
    "collision without the reply": (answer_release(RELEASE_RQ), RELEASE_RP + USER_ABORT),
    "reply and more": (answer_release(RELEASE_RP + b"\x99junk"), b""),
}


@pytest.mark.parametrize("case", WHILE_ASSOCIATING)
async def test_while_associating(case: str, clock: trio.testing.MockClock) -> None:
    script, expected, last = WHILE_ASSOCIATING[case]
    outcome, sent, seconds = await converse(script)
    check(outcome, expected, sent, last, seconds)


@pytest.mark.parametrize("case", WHILE_ECHOING)
async def test_while_waiting_for_the_response(case: str, clock: trio.testing.MockClock) -> None:
    script, expected, last = WHILE_ECHOING[case]
    outcome, sent, seconds = await converse(script)
    check(outcome, expected, sent, last, seconds)


@pytest.mark.parametrize("case", WHILE_RELEASING)
async def test_a_release_that_fails_changes_nothing(case: str, clock: trio.testing.MockClock) -> None:
    script, last = WHILE_RELEASING[case]
    outcome, sent, seconds = await converse(script)
    check(outcome, EchoResult, sent, last, seconds)


def check(outcome: object, expected: type, sent: bytes, last: bytes | None, seconds: float) -> None:
    assert type(outcome) is expected, outcome
    if isinstance(outcome, NetworkError):
        assert str(outcome).startswith("peer (PEER at 127.0.0.1:")
    if last is not None:
        assert sent.endswith(last) and (last or not sent.endswith(USER_ABORT))
    # One wait of the client and then its ARTIM, on a clock that stands still otherwise.
    assert seconds <= WAIT_S + ARTIM_S


@pytest.mark.parametrize("point", ["accept", "response", "release"])
async def test_octet_by_octet_is_as_good_as_at_once(point: str, clock: trio.testing.MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect(1)
        await peer.send_slowly(ACCEPT)
        await peer.expect(4)
        await peer.send_slowly(response())
        await peer.expect(5)
        await peer.send_slowly(RELEASE_RP)

    outcome, _, _ = await converse(script)
    assert isinstance(outcome, EchoResult) and outcome.release_failure is None


async def test_accept_and_what_follows_in_one_segment(clock: trio.testing.MockClock) -> None:
    """Nobody may answer before being asked, but a peer that has released already is released politely."""
    outcome, sent, _ = await converse(answer_request(ACCEPT + RELEASE_RQ))
    assert isinstance(outcome, PeerReleased)
    assert sent.endswith(RELEASE_RP)


async def test_a_dribbling_peer_is_not_waited_for_longer_than_a_silent_one(clock: trio.testing.MockClock) -> None:
    """The timer bounds the response, not the gap between two octets."""

    async def script(peer: Peer) -> None:
        await peer.accept_echo()
        for octet in response():
            try:
                await peer.send(bytes([octet]))
            except trio.BrokenResourceError:
                return
            await trio.sleep(WAIT_S / 10)

    outcome, _, seconds = await converse(script)
    assert isinstance(outcome, TimedOut) and outcome.what == "C-ECHO-RSP" and outcome.waited_s == WAIT_S
    assert WAIT_S <= seconds <= WAIT_S + ARTIM_S


ECHO_TO_US = Command(command_field=CommandField.C_ECHO_RQ, message_id=9, affected_sop_class_uid=VERIFICATION)
FIND_TO_US = Command(
    command_field=CommandField.C_FIND_RQ, message_id=9, affected_sop_class_uid=VERIFICATION, priority=0
)


@pytest.mark.parametrize(("theirs", "status"), [(ECHO_TO_US, 0x0000), (FIND_TO_US, 0x0211)])
async def test_a_request_to_us_is_answered_and_our_response_still_taken(
    theirs: Command, status: int, clock: trio.testing.MockClock
) -> None:
    answers: list[Command] = []

    async def script(peer: Peer) -> None:
        await peer.accept_echo()
        await peer.send(data(encode_command(theirs)) + response())
        answers.append(decode_command((await peer.expect(4))[pdu.P_DATA_HEADER.size :]))
        await peer.expect(5)
        await peer.send(RELEASE_RP)

    outcome, _, _ = await converse(script)
    assert isinstance(outcome, EchoResult)
    assert (answers[0].status, answers[0].message_id_being_responded_to) == (status, 9)


async def test_the_message_names_what_was_waited_for(clock: trio.testing.MockClock) -> None:
    outcome, _, _ = await converse(answer_echo(PROVIDER_ABORT))
    assert str(outcome).endswith(
        "association aborted by its DICOM layer: unrecognized PDU, while waiting for C-ECHO-RSP"
    )
    outcome, _, _ = await converse(answer_request(REJECT))
    assert str(outcome).endswith(
        "association of SPECULAR rejected permanently by the application: called AE title not recognized"
    )


async def test_an_abort_that_came_before_a_failed_write_is_the_reason(clock: trio.testing.MockClock) -> None:
    """The peer aborts and resets while we still send: EPIPE hides the A-ABORT that is already here."""

    async def script(peer: Peer) -> None:
        await peer.expect(1)
        await peer.send(ACCEPT_ANY_NUMBER)
        await peer.send(PROVIDER_ABORT)
        await peer.stream.aclose()

    async with scripted(script) as node:
        with pytest.raises(Aborted):
            async with associate(node, LOCAL, VERIFICATION_CONTEXTS, user_items=(ANY_NUMBER,)) as association:
                context = association.context(VERIFICATION)
                while True:
                    command = Command(
                        command_field=CommandField.C_ECHO_RQ,
                        message_id=association.next_message_id(),
                        affected_sop_class_uid=VERIFICATION,
                    )
                    await association.send(context, command)
                    await trio.lowlevel.checkpoint()


async def test_a_failure_beside_an_operation_under_way_ends_by_abort(clock: trio.testing.MockClock) -> None:
    """A release would leave the other one hanging."""

    async def script(peer: Peer) -> None:
        await peer.expect(1)
        await peer.send(ACCEPT_ANY_NUMBER)
        await peer.expect(4)
        await peer.expect(4)
        await peer.send(response(2, status=0x0122))
        assert await peer.expect(7) == USER_ABORT

    async with scripted(script) as node:
        with pytest.raises(DimseFailure):
            async with associate(node, LOCAL, VERIFICATION_CONTEXTS, user_items=(ANY_NUMBER,)) as association:
                first = Command(
                    command_field=CommandField.C_ECHO_RQ,
                    message_id=association.next_message_id(),
                    affected_sop_class_uid=VERIFICATION,
                )
                await association.send(association.context(VERIFICATION), first)
                await echo_once(association)


async def test_after_our_abort_the_table_still_answers(clock: trio.testing.MockClock) -> None:
    """Sta13: a request is answered by A-ABORT (AA-7), all else is ignored (AA-6), and the peer's close ends it."""
    request = pdu.AssociateRequest("A", "B", (pdu.ProposedContext(1, "1.2", ("1.2",)),)).encode()

    async def script(peer: Peer) -> None:
        await peer.expect(1)
        await peer.send(RELEASE_RP)
        await peer.expect(7)
        await peer.send(response() + RELEASE_RQ + request)
        await peer.expect(7)
        await peer.stream.send_eof()

    outcome, sent, seconds = await converse(script)
    assert isinstance(outcome, RemoteProtocolError)
    assert sent == b"" and seconds < ARTIM_S


async def test_a_response_in_another_context_is_not_ours(clock: trio.testing.MockClock) -> None:
    """Both contexts are accepted; id and command match, the context does not."""
    both = tuple(pdu.ContextResult(number, 0, IMPLICIT_VR_LITTLE_ENDIAN) for number in (1, 3))
    contexts = (*VERIFICATION_CONTEXTS, (MODALITY_WORKLIST_FIND, (IMPLICIT_VR_LITTLE_ENDIAN,)))

    async def script(peer: Peer) -> None:
        await peer.expect(1)
        await peer.send(pdu.AssociateAccept("A", "B", both).encode())
        await peer.expect(4)
        await peer.send(data(response()[12:], context_id=3))
        await peer.expect(7)

    async with scripted(script) as node:
        with pytest.raises(RemoteProtocolError, match=r"in context 3 instead of .* to message 1 in context 1"):
            async with associate(node, LOCAL, contexts) as association:
                await echo_once(association)
