"""The service's console of a machine over SSH, its answers as data: what a test asks that a person would read.

The machine's own `ssh service@` gives text for people, and is what the whole exam is performed with.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from firmware_app.demo.console_link import ConsoleLink

SILENCE_S = 1800.0  # emulated processors: one picture's analysis has no word in between
SOCKET = "/run/specular/console.sock"
# Standard input and output joined to the console's socket: `specular console` of the product, without its words.
RELAY = f"""\
import os, socket, threading
s = socket.socket(socket.AF_UNIX)
s.connect({SOCKET!r})
def up():
    while octets := os.read(0, 65536):
        s.sendall(octets)
    os._exit(0)
threading.Thread(target=up, daemon=True).start()
while octets := s.recv(65536):
    os.write(1, octets)
"""


class Console:
    """Commands, one after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._link = ConsoleLink(sock)

    def run(self, line: str) -> dict[str, Any]:
        """Its data. Raises `CommandRefused`."""
        return self._link.run(line)[1]


@contextmanager
def relayed(ssh_command: Sequence[str]) -> Iterator[Console]:
    """`ssh_command` leads into a shell that may use the console."""
    ours, theirs = socket.socketpair()
    command = [*ssh_command, f"exec python3 -I -c {shlex.quote(RELAY)}"]
    with ours, subprocess.Popen(command, stdin=theirs, stdout=theirs) as process:
        theirs.close()
        ours.settimeout(SILENCE_S)
        try:
            yield Console(ours)
        finally:
            process.kill()
