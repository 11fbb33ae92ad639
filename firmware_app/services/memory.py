"""Memory that an exam has needed is given back after it."""

from __future__ import annotations

from typing import Final

import trio

from firmware_app.progress import idle, working
from firmware_app.services.allocator import give_back
from firmware_app.services.queue_task import wake

# After an exam has ended: its instances are being sent by then, and nobody waits at the screen.
SETTLE_S: Final = 5.0


class MemoryService:
    """Gives back what an exam has used, some seconds after it has ended."""

    def __init__(self) -> None:
        self._wake, self._woken = trio.open_memory_channel[None](1)

    def wake(self) -> None:
        """An exam has ended."""
        wake(self._wake)

    async def run(self) -> None:
        while True:
            with idle("an exam that ends"):
                await self._woken.receive()
                await trio.sleep(SETTLE_S)
            with working("giving memory back"):
                await trio.to_thread.run_sync(give_back)
