"""Child processes of the demo: started with their output in files, always ended, whatever happens in between."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL_S = 0.02
END_GRACE_S = 8.0  # the service promises 5 s
TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class DemoFailed(Exception):
    """The demo cannot go on. One line of text; `log` is the file whose end says more."""

    def __init__(self, text: str, log: Path | None = None) -> None:
        super().__init__(text)
        self.log = log


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    output: Path  # standard output
    log: Path  # standard error

    def first_line(self, deadline_s: float) -> dict[str, Any]:
        """The JSON object that the child says first. Raises `DemoFailed`."""
        self.wait_until(lambda: b"\n" in self._said(), deadline_s, "said where it listens")
        try:
            line: dict[str, Any] = json.loads(self._said().partition(b"\n")[0])
        except ValueError as error:
            raise DemoFailed(f"{self.name} said something else than JSON: {error}", self.output) from error
        return line

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every whole line so far, each a JSON object."""
        whole, _, _ = self._said().rpartition(b"\n")
        return map(json.loads, whole.splitlines())

    def wait_until(self, condition: Callable[[], bool], deadline_s: float, what: str) -> None:
        """Look until `condition` holds. Raises `DemoFailed` when the child ends before, or the deadline passes."""
        give_up_s = time.monotonic() + deadline_s
        while not condition():
            status = self.process.poll()
            if status is not None:
                raise DemoFailed(f"{self.name} ended with status {status} before it {what}", self.log)
            if time.monotonic() > give_up_s:
                raise DemoFailed(f"{self.name} has not {what} within {deadline_s:.0f} s", self.log)
            time.sleep(POLL_S)

    def _said(self) -> bytes:
        return self.output.read_bytes()


@contextmanager
def running(name: str, arguments: Sequence[str], logs: Path) -> Iterator[Child]:
    """`python -m firmware_app ARGUMENTS` until the scope is left; then SIGTERM and, after a bound, SIGKILL."""
    output, log = logs / f"{name}.out", logs / f"{name}.log"
    with output.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "firmware_app", *arguments],
            stdin=subprocess.PIPE,  # kept open: end of input would mean that nobody needs the child any more
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C is ours: it must not end the children before us and in any order
            preexec_fn=_end_with_parent,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        yield Child(name, process, output, log)
    finally:
        _end(process)


def tail(log: Path) -> list[str]:
    """The last lines of a log, oldest first."""
    with contextlib.suppress(OSError):
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    return []


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind like Ctrl-C does, so that the children are ended then, too."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_GRACE_S)
    finally:  # a second Ctrl-C is impatience: it must not leave the child behind
        if process.poll() is None:
            process.kill()
            process.wait()


_libc = ctypes.CDLL(None, use_errno=True)


def _end_with_parent() -> None:
    """In the child, before it runs: should the demo be killed, the kernel ends its children."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
