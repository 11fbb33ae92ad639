"""QEMU's monitor: one command at a time, events kept until somebody asks for them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LINE_MAX = 1 << 20


class MonitorError(Exception):
    """QEMU refused a command, or is gone."""


class Monitor:
    """`connect` waits until QEMU listens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[dict[str, Any]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._waiting = b""

    def connect(self, timeout_s: float) -> None:
        """Raises `MonitorError`."""
        give_up_s = time.monotonic() + timeout_s
        while True:
            try:
                self._socket.connect(str(self.path))
                break
            except OSError as error:
                if time.monotonic() > give_up_s:
                    raise MonitorError(f"{self.path}: {error}") from error
                time.sleep(0.05)
        self._message(timeout_s)
        self.execute("qmp_capabilities")

    def execute(self, name: str, timeout_s: float = 60.0, **arguments: Any) -> Any:
        """What QEMU returns. Raises `MonitorError`."""
        self._socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        while True:
            message = self._message(timeout_s)
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise MonitorError(f"{name}: {message['error'].get('desc')}")
            self.events.append(message)

    def human(self, line: str, timeout_s: float = 120.0) -> str:
        """A line for people, which is the only way to snapshots. Raises `MonitorError` for what it answers if it is
        an error."""
        answer = str(self.execute("human-monitor-command", timeout_s, **{"command-line": line}))
        if answer.startswith("Error") or "rror:" in answer:
            raise MonitorError(f"{line}: {answer.strip()}")
        return answer

    def wait_for_event(self, is_it: Callable[[dict[str, Any]], bool], timeout_s: float) -> dict[str, Any]:
        """The next event of that kind; it and those before it are then forgotten. Raises `MonitorError`."""
        give_up_s = time.monotonic() + timeout_s
        while True:
            while self.events:
                event = self.events.pop(0)
                if is_it(event):
                    return event
            self.events.append(self._message(max(0.01, give_up_s - time.monotonic())))

    def close(self) -> None:
        self._socket.close()

    def _message(self, timeout_s: float) -> dict[str, Any]:
        self._socket.settimeout(timeout_s)
        while b"\n" not in self._waiting:
            try:
                octets = self._socket.recv(LINE_MAX)
            except TimeoutError as error:
                raise MonitorError(f"QEMU has said nothing for {timeout_s:.0f} s") from error
            if not octets:
                raise MonitorError("QEMU has ended")
            self._waiting += octets
        line, _, self._waiting = self._waiting.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message
