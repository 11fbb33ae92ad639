"""Memory that an exam and its delivery have needed is given back after them."""

from __future__ import annotations

from typing import Final

import trio

from firmware_app.progress import idle, working
from firmware_app.services.allocator import give_back
from firmware_app.services.queue_task import wake

# After an exam has ended, and again after the archive has committed itself to it: nobody waits at the screen then.
SETTLE_S: Final = 5.0


class MemoryService:
    """Gives back what an exam has used, some seconds after it has ended or is committed to."""

    def __init__(self) -> None:
        self._wake, self._woken = trio.open_memory_channel[None](1)

    def wake(self) -> None:
        """An exam has ended, or what it made is committed to."""
        wake(self._wake)

    async def run(self) -> None:
        while True:
            with idle("an exam that ends or is committed to"):
                await self._woken.receive()
                await trio.sleep(SETTLE_S)
            with working("giving memory back"):
                await trio.to_thread.run_sync(give_back)
