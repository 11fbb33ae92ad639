"""What a long build says while it works: each step when it begins, and what it took when it ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

COMMAND = "deploy/build-image"


class CannotBuild(Exception):
    """The image cannot be built here; the text says what is missing or which command failed."""


def say(words: str) -> None:
    print(f"{COMMAND}: {words}", file=sys.stderr, flush=True)


@contextmanager
def step(words: str) -> Iterator[None]:
    say(f"{words} ...")
    began_s = time.monotonic()
    yield
    say(f"{words}: {time.monotonic() - began_s:.1f} s")
