"""Files are read by a thread, ahead of the socket: what a slow or stuck disk may cost, and what not.

A named pipe in place of a file is a disk that does not answer: opening it waits until somebody opens its other end.
"""

from __future__ import annotations

import os
import select
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from dicom_acceptor import run_acceptor

from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, SECONDARY_CAPTURE_STORAGE
from firmware_app.net.data_source import BLOCK_LENGTH, block_length
from firmware_app.net.instance_file import FileSource, InstanceFile, InstanceUnreadable
from firmware_app.net.node import LocalApplicationEntity
from firmware_app.net.storage import StoreResult, store
from firmware_app.services.delivery import send_in_order

LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
WAIT_MS = 5000


def write_instance(path: Path, number: int, length: int = 5000) -> InstanceFile:
    path.write_bytes(b"front" + os.urandom(length))
    return InstanceFile(path, SECONDARY_CAPTURE_STORAGE, f"1.2.{number}", IMPLICIT_VR_LITTLE_ENDIAN, 5, length)


@contextmanager
def stuck(file: InstanceFile) -> Iterator[InstanceFile]:
    """The file on a disk that does not answer until the scope ends; then whoever opened it must close it."""
    path = file.path.with_suffix(".stuck")
    os.mkfifo(path)
    try:
        yield replace(file, path=path)
    finally:
        other_end = os.open(path, os.O_RDWR)  # both directions: lets the thread in, and waits for nobody
        writer = os.open(path, os.O_WRONLY)
        os.close(other_end)
        poll = select.poll()
        poll.register(writer, 0)
        assert poll.poll(WAIT_MS) == [(writer, select.POLLERR)], "the thread has left the file open"
        os.close(writer)


@pytest.fixture
def file(tmp_path: Path) -> InstanceFile:
    return write_instance(tmp_path / "one.dcm", 1)


async def test_a_stuck_disk_does_not_keep_a_cancelled_operation(file: InstanceFile) -> None:
    async with run_acceptor(lambda message: [0]) as acceptor:
        with stuck(file) as lost:
            with trio.move_on_after(0.02) as scope:
                async for _ in store(acceptor.node, LOCAL, [lost]):
                    pytest.fail("a result for a file that nobody could read")
            assert scope.cancelled_caught
        assert acceptor.messages == []


async def test_a_stuck_disk_does_not_keep_the_result_of_the_file_before(file: InstanceFile) -> None:
    async with run_acceptor(lambda message: [0]) as acceptor:
        with stuck(file) as lost:
            async with aclosing(store(acceptor.node, LOCAL, [file, lost])) as results:
                first = await anext(results)
        assert first.category == "stored"
    assert [message.command.affected_sop_instance_uid for message in acceptor.messages] == ["1.2.1"]


CONTEXTS = ((SECONDARY_CAPTURE_STORAGE, (IMPLICIT_VR_LITTLE_ENDIAN,)),)


@pytest.mark.parametrize("send", [store, send_in_order], ids=["by hand", "delivery"])
async def test_the_next_file_is_opened_while_this_one_is_on_its_way(
    file: InstanceFile, tmp_path: Path, send: Callable[..., AsyncGenerator[StoreResult, None]]
) -> None:
    """The peer answers only when the thread has opened the second file: otherwise this test never ends."""
    path = tmp_path / "two.dcm"
    os.mkfifo(path)
    opened: list[int] = []

    def answer(message: object) -> list[int]:
        opened.append(os.open(path, os.O_WRONLY))  # waits for the thread at the other end
        return [0]

    async with run_acceptor(answer) as acceptor:
        results = [one async for one in send(acceptor.node, LOCAL, [file, replace(file, path=path)], CONTEXTS)]
    os.close(opened[0])
    assert [one.category for one in results] == ["stored", "permanent"]
    assert "has changed: now 0 octets" in results[1].reason
    assert len(opened) == 1 and acceptor.associations == 1


async def test_the_blocks_are_the_file(tmp_path: Path) -> None:
    length = 3 * BLOCK_LENGTH + 1234
    file = write_instance(tmp_path / "long.dcm", 1, length)
    followed: list[int] = []
    octets = bytearray()
    with closing(FileSource(file, block_length(16378))) as source:
        source.then = lambda: followed.append(len(octets))
        await source.ready()
        lengths = []
        while len(octets) < length:
            block = await source.next_block()
            lengths.append(len(block))
            octets += block
    assert octets == file.path.read_bytes()[5:]
    whole = BLOCK_LENGTH // 16378 * 16378
    assert lengths == [whole, whole, whole, length - 3 * whole]
    assert followed == [3 * whole]  # called when the last block was taken, not before


async def test_a_file_that_is_gone_is_told_before_anything_is_sent(file: InstanceFile) -> None:
    file.path.unlink()
    with (
        closing(FileSource(file, BLOCK_LENGTH)) as source,
        pytest.raises(InstanceUnreadable, match=r"one\.dcm: No such file"),
    ):
        await source.ready()


@pytest.mark.parametrize(("fragment", "block"), [(2, BLOCK_LENGTH), (16378, 64 * 16378), (131066, 8 * 131066)])
def test_a_block_holds_whole_pdus(fragment: int, block: int) -> None:
    assert block_length(fragment) == block


def test_a_fragment_longer_than_a_block_is_a_block() -> None:
    assert block_length(3 * BLOCK_LENGTH) == 3 * BLOCK_LENGTH
