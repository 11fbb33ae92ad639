"""The console's client, a process of its own: what a person at an SSH session, or a script, types into.

The history lives as long as the session only: a typed line may hold a patient's name, and those stay in the records.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import msgspec

from firmware_app.console.protocol import (
    REPLY_LINE_MAX_BYTES,
    Answer,
    BadLine,
    Cancel,
    Failure,
    LineSplitter,
    LineTooLong,
    Missed,
    Progress,
    Reply,
    Request,
    Run,
    Subscribe,
    decode_service_message,
    encode_request,
)
from firmware_app.console.text import printable
from firmware_app.model import Event

PROMPT = "specular> "
RECEIVE_BYTES = 64 * 1024
EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
_EXIT_STATUS = {"failed": EXIT_FAILED, "busy": EXIT_FAILED, "usage": EXIT_USAGE, "cancelled": EXIT_INTERRUPTED}


class ServiceGone(Exception):
    """No service there, or it went away; the text says which path and why."""


def run_console(socket_path: Path, command: str | None, json_output: bool) -> int:
    """Run one command, the lines of a stdin that is no terminal, or a session. Returns the exit status.

    0 done, 1 failed or no service, 2 a wrong command, 130 cancelled by Ctrl-C. Lines from a file stop at the first
    that does not succeed, with its status; empty lines and lines beginning with `#` are skipped.
    """
    try:
        with _Link.to(socket_path) as link:
            if command is not None:
                return _Session(link, json_output, sys.stderr).run(command)
            if sys.stdin.isatty():
                return _interactive(link, json_output, socket_path)
            if isinstance(sys.stdin, io.TextIOWrapper):
                sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
            session = _Session(link, json_output, sys.stderr)
            lines = (line.strip() for line in sys.stdin)
            statuses = (session.run(line) for line in lines if line and not line.startswith("#"))
            return next((status for status in statuses if status != EXIT_DONE), EXIT_DONE)
    except ServiceGone as error:
        print(f"specular console: {error}", file=sys.stderr)
        return EXIT_FAILED


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Ctrl-C while that request was running."""

    request_id: int


class _Link:
    """The connection: `send` from the main thread; a reading thread sorts what comes into answers and events."""

    def __init__(self, sock: socket.socket, path: Path) -> None:
        self._sock = sock
        self._path = path
        self._answers: queue.SimpleQueue[Answer | Interrupt | ServiceGone] = queue.SimpleQueue()
        self.on_event: Callable[[Event | Missed], None] = lambda event: None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    @contextlib.contextmanager
    def to(cls, path: Path) -> Iterator[_Link]:
        """Connected until the scope is left. Raises `ServiceGone`."""
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(str(path))
            except OSError as error:
                raise ServiceGone(
                    f"no service answers on {path}: {error.strerror or error} (is specular.service running?)"
                ) from error
            link = cls(sock, path)
            try:
                yield link
            finally:
                with contextlib.suppress(OSError):  # the service may have closed already
                    sock.shutdown(socket.SHUT_RDWR)
                link._reader.join()

    def send(self, request: Request) -> None:
        # A service that goes away is told by the reading thread, after whatever it still said.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._sock.sendall(encode_request(request))

    @contextlib.contextmanager
    def interrupts_as_answers(self, request_id: int) -> Iterator[None]:
        """Let Ctrl-C come in line with the answers, so that it cannot hit between two of our own steps."""
        before = signal.signal(signal.SIGINT, lambda number, frame: self._answers.put(Interrupt(request_id)))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def next_answer(self) -> Answer | Interrupt:
        """The next answer; waits. Raises `ServiceGone`."""
        answer = self._answers.get()
        if isinstance(answer, ServiceGone):
            self._answers.put(answer)
            raise answer
        return answer

    def _read(self) -> None:
        splitter = LineSplitter(REPLY_LINE_MAX_BYTES)
        reason = f"the service on {self._path} closed the connection"
        try:
            while chunk := self._sock.recv(RECEIVE_BYTES):
                for line in splitter.feed(chunk):
                    message = decode_service_message(line)
                    if isinstance(message, Answer):
                        self._answers.put(message)
                    else:
                        self.on_event(message)
        except (BadLine, LineTooLong) as error:
            reason = f"the service on {self._path} does not speak the console's protocol: {error}"
        except OSError as error:
            reason = f"the connection to {self._path} broke: {error.strerror or error}"
        self._answers.put(ServiceGone(reason))


class _Session:
    """Commands one after the other; results to stdout, errors to stderr, progress to `progress_file`."""

    def __init__(self, link: _Link, json_output: bool, progress_file: TextIO) -> None:
        self._link = link
        self._json_output = json_output
        self._progress_file = progress_file
        self._ids = itertools.count(1)

    def run(self, line: str) -> int:
        """Run one command to its end and show it. Ctrl-C cancels it, a second one stops waiting for it."""
        outcome = self.outcome(line)
        if isinstance(outcome, Failure):
            print(f"specular console: {printable(outcome.error)}", file=sys.stderr)
            return _EXIT_STATUS[outcome.kind]
        if self._json_output:
            print(msgspec.json.encode(outcome.data or {}).decode())
        elif outcome.text:
            print(printable(outcome.text))
        sys.stdout.flush()
        return EXIT_DONE

    def outcome(self, line: str) -> Reply | Failure:
        """What the command answered in the end; its progress is shown. Raises `ServiceGone`."""
        if not line.isascii() and any("\ud800" <= character <= "\udfff" for character in line):
            return Failure("usage", "the line is not UTF-8")
        request_id = next(self._ids)
        with self._link.interrupts_as_answers(request_id):
            self._link.send(Run(request_id, line))
            cancelled = False
            while True:
                answer = self._link.next_answer()
                if answer.request_id not in (request_id, None):
                    continue  # of a command that was given up
                if isinstance(answer, Interrupt):
                    if cancelled:
                        raise KeyboardInterrupt
                    cancelled = True
                    self._link.send(Cancel(request_id))
                elif isinstance(answer.content, Progress):
                    print(printable(answer.content.text), file=self._progress_file, flush=True)
                else:
                    return answer.content


class _Screen:
    """Keeps the half-typed line in sight when an event is shown above it."""

    def __init__(self, line_buffer: Callable[[], str]) -> None:
        self._line_buffer = line_buffer
        self._at_prompt = False

    def ask(self) -> str:
        self._at_prompt = True
        try:
            return input(PROMPT)
        finally:
            self._at_prompt = False

    def show(self, event: Event | Missed) -> None:
        """Called by the reading thread."""
        text = f"({event.count} events missed)" if isinstance(event, Missed) else f"* {event.kind}: {event.text}"
        text = printable(text)
        if self._at_prompt:
            text = f"\r\x1b[K{text}\n{PROMPT}{self._line_buffer()}"
            sys.stdout.write(text)
        else:
            sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _interactive(link: _Link, json_output: bool, socket_path: Path) -> int:
    import readline  # changes the terminal: only where somebody types

    session = _Session(link, json_output, sys.stdout)
    readline.set_completer_delims(" ")
    readline.set_completer(_completer(_command_names(session), readline.get_line_buffer, readline.get_begidx))
    readline.parse_and_bind("tab: complete")
    screen = _Screen(readline.get_line_buffer)
    link.on_event = screen.show
    link.send(Subscribe())
    print(f'Connected to {socket_path}. "help" lists the commands, Ctrl-C stops one, Ctrl-D leaves.')
    while True:
        try:
            line = screen.ask().strip()
            if line in ("exit", "quit"):
                return EXIT_DONE
            if line:
                session.run(line)
        except EOFError:
            print()
            return EXIT_DONE
        except KeyboardInterrupt:
            print()


def _command_names(session: _Session) -> list[str]:
    outcome = session.outcome("help")
    if isinstance(outcome, Failure) or outcome.data is None:
        raise ServiceGone(f"the service does not list its commands: {outcome}")
    listed = msgspec.convert(outcome.data["commands"], list[dict[str, str]])
    return [command["name"] for command in listed]


def _completer(
    names: list[str], line_buffer: Callable[[], str], word_begin: Callable[[], int]
) -> Callable[[str, int], str | None]:
    def complete(word: str, state: int) -> str | None:
        found = completions(names, line_buffer()[: word_begin()].split(), word)
        return found[state] if state < len(found) else None

    return complete


def completions(names: list[str], before: list[str], word: str) -> list[str]:
    """The words that may stand where `word` was begun, after the words `before`; each with a space behind it."""
    if before[:1] == ["help"]:
        before = before[1:]
    next_words = {
        words[len(before)]
        for words in (name.split() for name in names)
        if len(words) > len(before) and words[: len(before)] == before
    }
    return [f"{each} " for each in sorted(next_words) if each.startswith(word)]
