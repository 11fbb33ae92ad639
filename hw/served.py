"""A camera's reading task beside the body that uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from hw.errors import single_error


@asynccontextmanager
async def served(read: Callable[[], Awaitable[None]], close: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """`read` runs while the body does; `close` ends both. A loss that both report is raised once, not as a group."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            try:
                yield
            finally:
                await close()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise single_error(group) from None
