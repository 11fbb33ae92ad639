"""The service's console as the demo drives it: one command, one answer, over the public socket."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from firmware_app.console.protocol import (
    REPLY_LINE_MAX_BYTES,
    Answer,
    BadLine,
    Failure,
    LineSplitter,
    LineTooLong,
    Progress,
    Run,
    decode_service_message,
    encode_request,
)

# The longest silent command is homing: 100 mm at 50 mm/s, and back off; all else says something every few seconds.
SILENCE_S = 30.0


class CommandRefused(Exception):
    """The service said no, or said nothing, or went away; the text names the command."""


class ConsoleLink:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._ids = itertools.count(1)
        self._splitter = LineSplitter(REPLY_LINE_MAX_BYTES)
        self._lines: list[bytes] = []

    def run(self, line: str, progress: Callable[[str], None] = lambda text: None) -> tuple[str, dict[str, Any]]:
        """Run one command to its end: its text for people and its data. Raises `CommandRefused`."""
        request_id = next(self._ids)
        try:
            self._sock.sendall(encode_request(Run(request_id, line)))
            while True:
                message = decode_service_message(self._next_line())
                if not isinstance(message, Answer) or message.request_id != request_id:
                    continue
                match message.content:
                    case Progress(text):
                        progress(text)
                    case Failure(_, error):
                        raise CommandRefused(f'the service refused "{line}": {error}')
                    case reply:
                        return reply.text, reply.data or {}
        except TimeoutError as error:
            raise CommandRefused(f'the service is silent since "{line}" for {SILENCE_S:.0f} s') from error
        except (OSError, BadLine, LineTooLong) as error:
            raise CommandRefused(f'the connection to the service broke at "{line}": {error}') from error

    def _next_line(self) -> bytes:
        while not self._lines:
            chunk = self._sock.recv(65536)
            if not chunk:
                raise ConnectionResetError("the service closed it")
            self._lines.extend(self._splitter.feed(chunk))
        return self._lines.pop(0)


@contextmanager
def connected(path: Path) -> Iterator[ConsoleLink]:
    """Raises OSError when nobody listens there."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SILENCE_S)
        sock.connect(str(path))
        yield ConsoleLink(sock)


def answers(path: Path) -> bool:
    """Whether a service listens there."""
    try:
        with connected(path):
            return True
    except OSError:
        return False
