"""Our own port: C-ECHO is answered, everything else is refused with its reason, and nobody can hold us up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from firmware_app.dicom import pdu
from firmware_app.dicom.command import Command, CommandField
from firmware_app.dicom.uids import (
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
    MODALITY_WORKLIST_FIND,
    VERIFICATION,
)
from firmware_app.net.association import associate
from firmware_app.net.data_source import OctetSource
from firmware_app.net.errors import AssociationRejected, NoUsableContext
from firmware_app.net.listener import InboundAssociation, ListenerLimits, serve
from firmware_app.net.node import ARTIM_S, LocalApplicationEntity, Node, Timeouts
from firmware_app.net.verification import VERIFICATION_CONTEXTS, echo

US = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
PEER = LocalApplicationEntity("PEER", "127.0.0.1", "1.2.3.5", "PEER")
LIMITS = ListenerLimits(max_associations=2, max_connections=4, first_pdu_s=5, idle_s=30)


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0.02)


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Node, list[InboundAssociation]]]:
    ended: list[InboundAssociation] = []
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
            await serve(US, 0, limits=LIMITS, observe=ended.append, task_status=task_status)

        port = await nursery.start(run)
        yield Node("us", "127.0.0.1", port, "SPECULAR", Timeouts.all(20)), ended
        nursery.cancel_scope.cancel()


async def until(ended: list[InboundAssociation], count: int) -> None:
    with trio.fail_after(10):
        while len(ended) < count:
            await trio.lowlevel.checkpoint()


async def test_echo_is_answered() -> None:
    async with listening() as (us, ended):
        result = await echo(us, PEER, count=3)
        await until(ended, 1)
    assert result.peer_implementation_class_uid == "1.2.3.4" and result.release_failure is None
    assert ended == [InboundAssociation("127.0.0.1", "PEER", 3, "released")]


async def test_another_ae_title_is_rejected() -> None:
    async with listening() as (us, ended):
        with pytest.raises(AssociationRejected, match="called AE title not recognized") as caught:
            await echo(Node("us", us.host, us.port, "OTHER"), PEER)
        await until(ended, 1)
        assert ended[0].is_refused
    assert caught.value.permanent


async def test_contexts_are_refused_for_their_reasons() -> None:
    async with listening() as (us, _):
        contexts = ((MODALITY_WORKLIST_FIND, (IMPLICIT_VR_LITTLE_ENDIAN,)), (VERIFICATION, (JPEG_BASELINE,)))
        with pytest.raises(NoUsableContext) as caught:
            async with associate(us, PEER, contexts):
                pass
    assert [one.result for one in caught.value.rejected] == [3, 4]


async def test_an_operation_that_is_not_echo_is_not_recognized() -> None:
    command = Command(
        command_field=CommandField.C_STORE_RQ,
        message_id=1,
        affected_sop_class_uid=VERIFICATION,
        affected_sop_instance_uid="1.2",
        priority=0,
        data_set_type=1,
    )
    async with listening() as (us, _), associate(us, PEER, VERIFICATION_CONTEXTS) as association:
        answer = await association.request(association.context(VERIFICATION), command, OctetSource(bytes(8)))
        assert answer.command.status == 0x0211


async def test_one_too_many_is_told_to_come_back() -> None:
    async with listening() as (us, ended):
        async with associate(us, PEER, VERIFICATION_CONTEXTS), associate(us, PEER, VERIFICATION_CONTEXTS):
            with pytest.raises(AssociationRejected, match="local limit exceeded") as caught:
                await echo(us, PEER)
            assert not caught.value.permanent
        await until(ended, 3)
        assert not any(each.is_refused for each in ended), "nobody is a stranger for want of room"
        assert (await echo(us, PEER)).count == 1


@pytest.mark.parametrize("octets", [b"", b"\x01\0\0\0\0\xd1\0"])
async def test_a_peer_that_does_not_ask_is_closed_after_artim(octets: bytes, clock: MockClock) -> None:
    async with listening() as (us, ended):
        started = trio.current_time()
        stream = await trio.open_tcp_stream(us.host, us.port)
        async with stream:
            await stream.send_all(octets or b"\x01")
            assert await stream.receive_some() == b""
        assert trio.current_time() - started == pytest.approx(LIMITS.first_pdu_s, abs=0.1)
        await until(ended, 1)
    assert ended[0].outcome == "said nothing for 5 s"


async def test_garbage_is_answered_by_an_abort(clock: MockClock) -> None:
    async with listening() as (us, ended):
        stream = await trio.open_tcp_stream(us.host, us.port)
        async with stream:
            started = trio.current_time()
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            assert await stream.receive_some() == pdu.Abort(0).encode()
            assert await stream.receive_some() == b""
            assert trio.current_time() - started <= ARTIM_S
        await until(ended, 1)
    assert "unknown type 47H" in ended[0].outcome


async def test_an_idle_association_is_aborted(clock: MockClock) -> None:
    async with listening() as (us, ended):
        async with associate(us, PEER, VERIFICATION_CONTEXTS):
            await trio.sleep(LIMITS.idle_s + 1)
        await until(ended, 1)
    assert ended[0].outcome == "said nothing for 30 s"


async def test_silent_connections_are_bounded_and_keep_nobody_out() -> None:
    """The oldest makes room, and with it nobody is held up who asks."""
    async with listening() as (us, ended):
        streams = [await trio.open_tcp_stream(us.host, us.port) for _ in range(LIMITS.max_connections + 1)]
        with trio.fail_after(10):
            assert await streams[0].receive_some() == b""
        await until(ended, 1)
        assert ended[0].outcome == "asked for nothing and made room for another connection"
        assert (await echo(us, PEER)).count == 1
        for stream in streams:
            await stream.aclose()
