"""Data sets on their way out: from memory, or from a file that a thread reads ahead of the socket.

A block is what is read in one go and written in one vectored write, whatever number of PDUs the peer's Maximum Length
cuts it into: the 11 400 PDUs of 200 images of 922 kB for a peer of 16 KiB are 200 writes. Memory stays flat: there is
the block on its way and one that is read ahead, of the same file or of the next.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Protocol, TypeVar

import trio
from outcome import Error, Outcome, Value

from firmware_app.dicom.association import Association
from firmware_app.net.pace import Pace
from firmware_app.net.transport import Transport

BLOCK_LENGTH = 1024 * 1024
BUFFERS_AT_ONCE = 1000  # even: header and fragment of a PDU stay together; sendmsg takes 1024 (IOV_MAX)
# Encrypting is done in the event loop, and a small board without AES instructions does some 50 MB/s.
ENCRYPTED_AT_ONCE = 128 * 1024

T = TypeVar("T")


class DataSource(Protocol):
    """A data set on its way out. `length` is even and known beforehand."""

    @property
    def length(self) -> int: ...

    async def next_block(self) -> memoryview:
        """The octets that follow, an even number; they stay as they are until the next call."""
        ...


class OctetSource:
    """A data set that is in memory: a single block."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    @property
    def length(self) -> int:
        return len(self._octets)

    async def next_block(self) -> memoryview:
        return memoryview(self._octets)


async def send_message(
    upper_layer: Association,
    transport: Transport,
    context_id: int,
    command: bytes,
    source: DataSource,
    pace: Pace | None = None,
) -> None:
    """An encoded command and its data set. Nothing has been sent yet when the first block cannot be had.

    The command goes with the first block, in a PDU of its own: a write and a waking of the peer less per instance.
    With a `pace` each P-DATA-TF waits for its turn before it is written, and no write's time limit counts the waiting.
    """
    at_once = BUFFERS_AT_ONCE
    if pace is not None:
        at_once = 2
    elif transport.security:
        at_once = 2 * max(ENCRYPTED_AT_ONCE // upper_layer.fragment_length, 1)
    front: tuple[bytes, ...] = (command,)
    remaining = source.length
    while True:
        block = await source.next_block()
        remaining -= len(block)
        at_most = pace.piece_bytes if pace is not None else None
        buffers = upper_layer.send_block(context_id, block, is_last=remaining == 0, at_most=at_most)
        for start in range(0, len(buffers), at_once):
            if pace is not None:
                octets = sum(map(len, (*front, *buffers[start : start + at_once])))
                await trio.sleep(pace.take(octets, trio.current_time()))
            await transport.send(*front, *buffers[start : start + at_once])
            front = ()
            await trio.lowlevel.checkpoint()  # neither the disk nor a fast peer need have made us wait
        if remaining == 0:
            return


def block_length(fragment_length: int) -> int:
    """At most BLOCK_LENGTH, and whole PDUs: only the last of a data set is shorter."""
    return max(BLOCK_LENGTH // fragment_length, 1) * fragment_length


def start_in_thread(work: Callable[[], T]) -> Future[T]:
    """Begin a call that blocks. Nobody has to wait for it: a slow disk cannot keep a cancelled operation."""
    future: Future[T] = Future()

    def deliver(result: Outcome[T]) -> None:
        if isinstance(result, Value):
            future.set_result(result.value)
        elif isinstance(result, Error):
            future.set_exception(result.error)

    trio.lowlevel.start_thread_soon(work, deliver, "reading ahead")
    return future


async def result_of(future: Future[T]) -> T:
    """What the call returned or raised."""
    if not future.done():
        arrived = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def wake(done: Future[T]) -> None:
            with suppress(trio.RunFinishedError):  # nobody waits any more
                token.run_sync_soon(arrived.set)

        future.add_done_callback(wake)
        await arrived.wait()
    return future.result()
