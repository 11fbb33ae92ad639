"""What an operation that takes longer than it should is waiting for, told while it still waits.

A context variable and not a parameter, as in `hw.opening`: only who watches the operation wants to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_told: ContextVar[Callable[[str], None] | None] = ContextVar("_told", default=None)


def late(text: str) -> None:
    """Say what is waited for and until when; without a watcher nothing happens."""
    tell = _told.get()
    if tell is not None:
        tell(text)


@contextmanager
def told_when_late(tell: Callable[[str], None]) -> Iterator[None]:
    """Within the scope, and the tasks started in it, `tell` is told of each delay."""
    token = _told.set(tell)
    try:
        yield
    finally:
        _told.reset(token)
