"""One echo against a peer that says anything, anywhere: a result or a NetworkError, in time, and no socket left."""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

import trio
import trio.testing
from fuzz_targets import REQUEST
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_app.dicom import pdu
from firmware_app.dicom.command import Command, CommandField, encode_command
from firmware_app.dicom.items import MaximumLength
from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from firmware_app.net.errors import NetworkError
from firmware_app.net.node import ARTIM_S, LocalApplicationEntity, Node, Timeouts
from firmware_app.net.verification import EchoResult, echo

WAIT_S = 20.0
QUIET_S = 0.005  # loopback delivers at once: when nothing has moved for this long, nothing will
LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")


def data(command: Command, *more: bytes) -> bytes:
    values = [pdu.PresentationDataValue(1, 3, octets) for octets in (encode_command(command), *more)]
    return pdu.DataTransfer(tuple(values)).encode()


ACCEPT = pdu.AssociateAccept(
    "PEER", "SPECULAR", (pdu.ContextResult(1, 0, IMPLICIT_VR_LITTLE_ENDIAN),), (MaximumLength(16384),)
).encode()
RESPONSE = Command(command_field=CommandField.C_ECHO_RSP, message_id_being_responded_to=1, status=0)
THEIRS = Command(command_field=CommandField.C_ECHO_RQ, message_id=9, affected_sop_class_uid=VERIFICATION)
CANCEL = Command(command_field=CommandField.C_CANCEL_RQ, message_id_being_responded_to=9)
ANSWER = data(RESPONSE)
RELEASE_RQ, RELEASE_RP = pdu.ReleaseRequest().encode(), pdu.ReleaseReply().encode()
SAYINGS = [
    ACCEPT,
    ANSWER,
    data(RESPONSE, b"garbage!"),
    data(RESPONSE, encode_command(THEIRS)),
    data(THEIRS, encode_command(RESPONSE)),
    data(THEIRS, b"garbage!"),
    data(CANCEL),
    RELEASE_RQ,
    RELEASE_RP,
    REQUEST.encode(),
    pdu.AssociateReject(2, 3, 1).encode(),
    pdu.Abort(0).encode(),
]


class Step(NamedTuple):
    """Wait for so many PDUs, then say this."""

    awaited: int
    said: bytes


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    octets = bytearray(draw(st.sampled_from(SAYINGS)))
    at = draw(st.integers(0, len(octets) - 1))
    octets[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(octets)


sayings = st.sampled_from(SAYINGS) | st.lists(st.sampled_from(SAYINGS), max_size=3).map(b"".join) | damaged()
steps = st.builds(Step, st.integers(0, 1), sayings)
beginnings = st.sampled_from([[], [Step(1, ACCEPT)], [Step(1, ACCEPT), Step(1, ANSWER)]])
scripts = st.builds(lambda beginning, rest: beginning + rest, beginnings, st.lists(steps, max_size=4))
endings = st.sampled_from(["stay", "fin", "half", "rst"])


async def play(stream: trio.SocketStream, script: list[Step], ending: str) -> None:
    received = bytearray()

    async def take_pdu() -> None:
        while len(received) < 6 or len(received) < 6 + struct.unpack_from(">I", received, 2)[0]:
            octets = await stream.receive_some()
            if not octets:
                return
            received.extend(octets)
        del received[: 6 + struct.unpack_from(">I", received, 2)[0]]

    async with stream:
        try:
            for awaited, said in script:
                for _ in range(awaited):
                    await take_pdu()
                await stream.send_all(said)
            if ending == "rst":
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif ending == "half":
                await stream.send_eof()
            while ending in ("stay", "half") and await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            return


async def converse(script: list[Step], ending: str) -> tuple[EchoResult | NetworkError, float]:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    node = Node("peer", "127.0.0.1", listener.socket.getsockname()[1], "PEER", Timeouts.all(WAIT_S))

    async def serve() -> None:
        await play(await listener.accept(), script, ending)

    outcome: EchoResult | NetworkError
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        started = trio.current_time()
        try:
            outcome = await echo(node, LOCAL, count=2)
        except NetworkError as error:
            outcome = error
        seconds = trio.current_time() - started
    return outcome, seconds


@settings(max_examples=120, deadline=None, derandomize=True)
@given(scripts, endings)
def test_any_peer(script: list[Step], ending: str) -> None:
    descriptors = os.listdir("/proc/self/fd")
    clock = trio.testing.MockClock(autojump_threshold=QUIET_S)
    outcome, seconds = trio.run(converse, script, ending, clock=clock)
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)
    # Association, two responses and the release, each with its own bound, then ARTIM.
    assert seconds <= 4 * WAIT_S + ARTIM_S
    if isinstance(outcome, EchoResult):
        assert sum(step.said.count(encode_command(RESPONSE)[-10:]) for step in script) >= 1
