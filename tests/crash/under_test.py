"""One life of the real service process, from its start to its death: by SIGKILL, by a call, or in order."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from place import ENVIRONMENT, HERE, Place, end_with_parent
from system_calls import Judge, Supervisor

from firmware_app.demo.console_link import ConsoleLink

POLL_S = 0.004
PATIENCE_S = 60.0  # a bound, not an expectation


class Gone(Exception):
    """The service is dead, as it was meant to be."""


class Forked:
    """As much of a `Popen` as a life needs, for a process that is a child of the forks' parent and not of ours."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self._status = status
        self.returncode: int | None = None
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:  # reaped already
            self._pidfd = -1

    def poll(self) -> int | None:
        return self.returncode if self._is_dead(0) else None

    def wait(self, timeout: float) -> int:
        if not self._is_dead(timeout):
            raise subprocess.TimeoutExpired("the forked service", timeout)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _is_dead(self, timeout_s: float) -> bool:
        if self.returncode is not None:
            return True
        if self._pidfd >= 0:
            waiting = select.poll()
            waiting.register(self._pidfd, select.POLLIN)
            if not waiting.poll(timeout_s * 1000):
                return False
            os.close(self._pidfd)
            self._pidfd = -1
        said = os.read(self._status, 1)
        os.close(self._status)
        self.returncode = said[0] if said else -signal.SIGKILL
        return True


class Forks:
    """The process that services are forked from; `None` in its place starts each with an interpreter of its own."""

    def __init__(self, log: Path) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._lock = threading.Lock()
        with theirs, log.open("ab") as errors:
            command = [sys.executable, str(HERE / "service_forks.py")]
            self._parent = subprocess.Popen(command, stdin=theirs, stdout=errors, stderr=errors, env=ENVIRONMENT)

    def fork(self, arguments: list[str], broken: str, descriptors: list[int]) -> Forked:
        status_read, status_write = os.pipe()
        try:
            message = json.dumps({"arguments": arguments, "broken": broken}).encode()
            output, *others = descriptors
            with self._lock:
                socket.send_fds(self._control, [message], [output, status_write, *others])
                pid = self._control.makefile("rb").readline()
        finally:
            os.close(status_write)
        assert pid, "the process that services are forked from has ended"
        return Forked(int(pid), status_read)

    def close(self) -> None:
        self._control.close()
        self._parent.wait()


class Life:
    """`judge`: supervise every write-class call; `broken`: start a deliberately broken build (`broken_build.py`)."""

    def __init__(
        self, place: Place, *, judge: Judge | None = None, broken: str = "", forks: Forks | None = None
    ) -> None:
        self.place = place
        self._supervisor: Supervisor | None = None
        self._timer: threading.Timer | None = None
        self._sock: socket.socket | None = None
        self.began_s = time.monotonic()
        arguments = ["run", "--config", str(place.configuration)]
        with contextlib.ExitStack() as stack:
            errors = stack.enter_context(place.log.open("ab"))
            descriptors = [errors.fileno()]
            if judge is not None:
                ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
                descriptors.append(theirs.fileno())
            self.process = (
                forks.fork(arguments, broken, descriptors) if forks else _popen(arguments, broken, descriptors)
            )
            if judge is not None:
                self._supervisor = Supervisor(ours, self.process.pid, judge)

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    @property
    def lived_s(self) -> float:
        return time.monotonic() - self.began_s

    def kill_at(self, lived_s: float) -> None:
        """SIGKILL when it has lived so long, whatever it does then."""
        self._timer = threading.Timer(max(0.0, lived_s - self.lived_s), self.kill)
        self._timer.daemon = True
        self._timer.start()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def link(self) -> ConsoleLink:
        """To its console as soon as there is one. Raises `Gone`."""
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            self._sock = socket.socket(socket.AF_UNIX)
            self._sock.settimeout(PATIENCE_S)
            try:
                self._sock.connect(str(self.place.console))
                return ConsoleLink(self._sock)
            except OSError:
                self._sock.close()
            if self.is_over:
                raise Gone
            assert time.monotonic() < give_up_s, f"no console\n{tail(self.place.log)}"
            time.sleep(POLL_S)

    def end(self) -> int:
        """SIGTERM; the exit status, which is 0 when it ended in order."""
        self.process.send_signal(signal.SIGTERM)
        return self.bury()

    @contextlib.contextmanager
    def ended(self) -> Iterator[None]:
        """Dead when the scope is left, however that comes about."""
        try:
            yield
        finally:
            self.kill()
            self.bury()

    def bury(self) -> int:
        """Wait for the end, whichever it is, and clean up; the exit status. Again is harmless."""
        if self._sock is not None:
            self._sock.close()
        status = self.process.wait(PATIENCE_S)
        if self._timer is not None:
            self._timer.cancel()
        if self._supervisor is not None:
            self._supervisor.join()
            self._supervisor = None
        return status


def _popen(arguments: list[str], broken: str, descriptors: list[int]) -> subprocess.Popen[bytes]:
    output, *to_supervisor = descriptors
    command = [sys.executable, "-m", "firmware_app", *arguments]
    if broken:
        command = [sys.executable, str(HERE / "broken_build.py"), broken, *arguments]
    if to_supervisor:
        command = [sys.executable, str(HERE / "filtered_start.py"), str(to_supervisor[0]), *command]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=ENVIRONMENT,
        pass_fds=to_supervisor,
        preexec_fn=end_with_parent,
    )


def tail(log: Path, size: int = 4000) -> str:
    return log.read_bytes()[-size:].decode("utf-8", "replace")


def drawn_seed(*parts: object) -> random.Random:
    """Of a text and not of a hash, which differs from process to process."""
    return random.Random("/".join(map(str, parts)))
