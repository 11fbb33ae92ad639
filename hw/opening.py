"""How far the opening of a device has come, told by the driver to whoever supervises it.

A context variable and not a parameter: drivers open in layers (find, port, board, settings), each layer knows one of
the steps, and nobody but the supervisor wants to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum


class Step(StrEnum):
    FINDING = "finding"
    OPENING = "opening"
    IDENTIFYING = "identifying"
    APPLYING = "applying the profile"


_told: ContextVar[Callable[[Step], None] | None] = ContextVar("_told", default=None)


def opening_step(step: Step) -> None:
    """Say that this step of opening a device begins; without a supervisor nothing happens."""
    tell = _told.get()
    if tell is not None:
        tell(step)


@contextmanager
def told_of_steps(tell: Callable[[Step], None]) -> Iterator[None]:
    """Within the scope, and the tasks started in it, `tell` is told of each step."""
    token = _told.set(tell)
    try:
        yield
    finally:
        _told.reset(token)
