"""The one owner of a stage's port: reads, writes what it is handed, and tells everybody when the port is lost.

Others hand it whole lines over a channel of size 0, so a cancelled caller never leaves half a line on the wire. When
the port is lost everything that waits here fails with `DeviceLost`, and the port is closed at once: one that is still
open when the device comes back makes it come back under another name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from hw.errors import Deadline, DeviceError, DeviceLost
from hw.tty import Tty

WRITE_S: Final = 1.0
HANDED_OVER_S: Final = 2.0  # behind another line that the device is slow to take


def nothing() -> None:
    """To be done before an ordinary line is written."""


class PortOwner:
    """Nothing is read or written unless `run` is running."""

    def __init__(self, tty: Tty, label: str, received: Callable[[bytes], None]) -> None:
        """`received` gets every octet that comes, in order."""
        self.failure: DeviceError | None = None
        self._label = label
        self._tty = tty
        self._received = received
        self._scope = trio.CancelScope(shield=True)
        self._ended = trio.Event()
        self._outgoing, self._to_write = trio.open_memory_channel[tuple[bytes, Callable[[], None]]](0)
        self._changed = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until the port is lost or `aclose`. Shielded: a caller being cancelled still needs it to stop the stage."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    task_status.started()
                    await self._read()
        except* DeviceError as group:
            self.failure = DeviceLost(str(group.exceptions[0]))
        finally:
            self._tty.close()
            self.failure = self.failure or DeviceLost(f"{self._label}: closed")
            self._to_write.close()
            self._ended.set()
            self._wake()

    async def aclose(self) -> None:
        self._scope.cancel()
        with trio.CancelScope(shield=True):
            await self._ended.wait()

    async def wait_lost(self) -> str:
        """Returns when the port is of no more use, with the reason."""
        await self._ended.wait()
        return str(self.failure)

    def require_open(self) -> None:
        """`DeviceLost` when the port is gone."""
        if self.failure is not None:
            raise DeviceLost(str(self.failure)) from self.failure

    async def hand_over(self, data: bytes, before: Callable[[], None] = nothing) -> None:
        """`before` is called when `data` has been taken and before it is written.

        `Deadline` when the port takes nothing, `DeviceLost` when it is gone.
        """
        with trio.move_on_after(HANDED_OVER_S) as scope:
            self.require_open()
            try:
                await self._outgoing.send((data, before))
            except trio.BrokenResourceError:  # the port was lost while this waited for its turn
                self.require_open()
                raise
        if scope.cancelled_caught:
            self.require_open()
            raise Deadline(f"{self._label}: the port took nothing for {HANDED_OVER_S:g} s")

    async def change(self) -> None:
        """Wait for the next thing that happens. `DeviceLost` when that is the end."""
        self.require_open()
        await self._changed.wait()
        self.require_open()

    async def _read(self) -> None:
        while True:
            self._received(await self._tty.receive_some())
            self._wake()

    async def _write(self) -> None:
        async for data, before in self._to_write:
            before()
            await self._tty.send_all(data, timeout_s=WRITE_S)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def running(owner: PortOwner) -> AsyncIterator[None]:
    """The owner at work while the body runs; closed afterwards, and what the body raised raised as it was."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(owner.run)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised below, where the nursery cannot wrap it into a group
            failure = error
        finally:
            await owner.aclose()
    if failure is not None:
        raise failure
