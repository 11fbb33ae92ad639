"""The position of a stage as a stream: asked for again and again, at a pace that no board minds."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import trio

from firmware_app.model import Position
from hw.abc import StampedPosition

PERIOD_S: Final = 0.1  # Grbl's documents ask for 10 Hz at most


async def position_stream(ask: Callable[[], Awaitable[Position]]) -> AsyncGenerator[StampedPosition, None]:
    """`ask` waits as long as the board cannot answer; what it raises ends the stream."""
    due_s = trio.current_time()
    while True:
        await trio.sleep_until(due_s)
        position = await ask()
        due_s = trio.current_time() + PERIOD_S
        yield StampedPosition(position, time.monotonic_ns())
