"""The embedded hospital as a process, for tests: its ready line, its events, its standard input."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from firmware_app.demo.confirmation import Archive
from firmware_app.net.node import Node, Timeouts


class Hospital:
    """One `specular hospital` process: its ready line, its events as they come, its standard input."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.ready = self.event()

    def event(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the hospital ended"
        return json.loads(line)

    def until(self, kind: str) -> dict[str, Any]:
        while (event := self.event()).get("event") != kind:
            pass
        return event

    def command(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        while (event := self.event()).get("event") not in ("fault", "error"):
            pass
        return event

    def node(self, role: str) -> Node:
        address = self.ready[role]
        return Node(role, address["ip"], address["port"], address["ae_title"], Timeouts.all(20))

    def archive(self) -> Archive:
        return Archive(**self.ready["archive"])


@contextmanager
def hospital(out: Path, *arguments: str) -> Iterator[Hospital]:
    with subprocess.Popen(
        [sys.executable, "-m", "firmware_app.demo.hospital", "--out", str(out), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield Hospital(process)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
