"""What is told from deep inside an operation to whoever watches it.

A context variable and not a parameter: drivers work in layers (find, port, board, settings), each layer knows one part
of what there is to tell, and nobody but the watcher wants to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")


class Watched(Generic[T]):
    """One kind of thing to tell. Made once, by the module that names it."""

    def __init__(self, name: str) -> None:
        self._watcher: ContextVar[Callable[[T], None] | None] = ContextVar(name, default=None)

    def tell(self, what: T) -> None:
        """Without a watcher nothing happens."""
        watcher = self._watcher.get()
        if watcher is not None:
            watcher(what)

    @contextmanager
    def told_to(self, watcher: Callable[[T], None]) -> Iterator[None]:
        """Within the scope, and the tasks started in it, `watcher` is told."""
        token = self._watcher.set(watcher)
        try:
            yield
        finally:
            self._watcher.reset(token)
