"""The console's server: a Unix socket in the service, on which every operation of the instrument can be asked for.

`serve_console` owns the socket file and every connection; it closes and removes them when its scope is left. A
command runs in its own cancel scope: the client's `cancel`, or its going away, leaves that scope, and leaving a
motion's scope is what stops the motion.
"""

from __future__ import annotations

import pwd
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from firmware_app.console.builtin import HELP, Subscribing, events_command
from firmware_app.console.commands import (
    CommandBusy,
    CommandContext,
    CommandFailed,
    CommandTable,
    CommandUsage,
    Invocation,
)
from firmware_app.console.listening import listening_socket
from firmware_app.console.protocol import (
    REQUEST_LINE_MAX_BYTES,
    Answer,
    BadLine,
    Cancel,
    Failure,
    LineSplitter,
    LineTooLong,
    Missed,
    Progress,
    Reply,
    Run,
    ServiceMessage,
    Subscribe,
    decode_request,
    encode_service_message,
)

CLIENTS_MAX = 16  # operators at one instrument: one or two, and a panel
COMMANDS_PER_CLIENT_MAX = 4  # a status beside a capture; more only pile up
OUTBOX_MESSAGES = 64  # what waits for a client that reads slowly; beyond it progress is dropped and the rest waits
RECEIVE_BYTES = 64 * 1024

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConsoleUser:
    """Who is connected, as the operating system has authenticated them; `name` is empty without an account."""

    user_id: int
    name: str
    process_id: int


async def serve_console(
    path: Path,
    table: CommandTable,
    subscribing: Subscribing,
    expected: tuple[type[Exception], ...] = (),
    *,
    observe: Callable[[bool, ConsoleUser], None] = lambda comes, user: None,
    handed_over: socket.socket | None = None,
    task_status: trio.TaskStatus[Path] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the commands of `table`, `help` and `events` on `path` for ever; starts with the socket listening.

    `expected` are the errors of devices and peers: their text is the answer. Any other exception of a handler is
    answered and logged with its traceback. `observe` hears of everybody who comes and goes.
    `handed_over` is a socket that listens on `path` already: whoever made it says who may connect, and removes it.
    Raises `listening.ConsoleUnavailable`.
    """
    complete = CommandTable([*table, HELP, events_command(subscribing)])
    with listening_socket(path) if handed_over is None else handed_over as sock:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        task_status.started(path)
        clients = 0

        async def serve(stream: trio.SocketStream) -> None:
            nonlocal clients
            clients += 1
            user = user_of(stream)
            observe(True, user)
            try:
                async with stream:
                    if clients > CLIENTS_MAX:
                        await _turn_away(stream)
                    else:
                        await _Client(stream, complete, subscribing, expected).run()
            finally:
                clients -= 1
                observe(False, user)

        await trio.serve_listeners(serve, [listener])


def user_of(stream: trio.SocketStream) -> ConsoleUser:
    """SO_PEERCRED (unix(7)): the kernel's word for who is at the other end."""
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process_id, user_id, _ = struct.unpack("3i", credentials)
    try:
        name = pwd.getpwuid(user_id).pw_name
    except KeyError:  # a user without an account
        name = ""
    return ConsoleUser(user_id, name, process_id)


async def _turn_away(stream: trio.SocketStream) -> None:
    refusal = Answer(None, Failure("busy", f"{CLIENTS_MAX} clients are connected already"))
    with suppress(trio.BrokenResourceError), trio.move_on_after(1):
        await stream.send_all(encode_service_message(refusal))


class _Client:
    """One connection: a task that reads, one that writes, one per running command, one for the events."""

    def __init__(
        self,
        stream: trio.SocketStream,
        table: CommandTable,
        subscribing: Subscribing,
        expected: tuple[type[Exception], ...],
    ) -> None:
        self._stream = stream
        self._table = table
        self._subscribing = subscribing
        self._expected = expected
        self._outbox, self._outgoing = trio.open_memory_channel[ServiceMessage](OUTBOX_MESSAGES)
        self._running: dict[int, trio.CancelScope] = {}
        self._subscribed = False

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, nursery.cancel_scope)
            with suppress(trio.BrokenResourceError):
                await self._read(nursery)
            nursery.cancel_scope.cancel()

    async def _write(self, connection: trio.CancelScope) -> None:
        async for message in self._outgoing:
            try:
                await self._stream.send_all(encode_service_message(message))
            except trio.BrokenResourceError:
                connection.cancel()
                return

    async def _read(self, nursery: trio.Nursery) -> None:
        splitter = LineSplitter(REQUEST_LINE_MAX_BYTES)
        while chunk := await self._stream.receive_some(RECEIVE_BYTES):
            try:
                for line in splitter.feed(chunk):
                    await self._take(line, nursery)
            except LineTooLong as error:
                refusal = Answer(None, Failure("usage", f"{error}: closing"))
                with trio.move_on_after(1):
                    await self._stream.send_all(encode_service_message(refusal))
                return

    async def _take(self, line: bytes, nursery: trio.Nursery) -> None:
        try:
            request = decode_request(line)
        except BadLine as error:
            await self._outbox.send(Answer(None, Failure("usage", f"not a request: {error}")))
            return
        match request:
            case Subscribe():
                if not self._subscribed:
                    self._subscribed = True
                    await nursery.start(self._forward_events)
            case Cancel(request_id):
                if request_id in self._running:
                    self._running[request_id].cancel()
            case Run(request_id, text):
                await self._begin(request_id, text, nursery)

    async def _begin(self, request_id: int, line: str, nursery: trio.Nursery) -> None:
        if request_id in self._running:
            refusal = Failure("usage", f"request {request_id} is running already")
        elif len(self._running) >= COMMANDS_PER_CLIENT_MAX:
            refusal = Failure("busy", f"{COMMANDS_PER_CLIENT_MAX} commands of this client are running already")
        else:
            try:
                invocation = self._table.parse(line)
            except CommandUsage as error:
                refusal = Failure("usage", str(error))
            else:
                self._running[request_id] = trio.CancelScope()
                nursery.start_soon(self._execute, request_id, invocation)
                return
        await self._outbox.send(Answer(request_id, refusal))

    async def _execute(self, request_id: int, invocation: Invocation) -> None:
        def progress(text: str) -> None:
            with suppress(trio.WouldBlock):
                self._outbox.send_nowait(Answer(request_id, Progress(text)))

        answer: Reply | Failure = Failure("cancelled", f"{invocation.command.name}: cancelled")
        with self._running[request_id]:
            answer = await _result(invocation, CommandContext(self._table, progress), self._expected)
        del self._running[request_id]
        await self._outbox.send(Answer(request_id, answer))

    async def _forward_events(self, task_status: trio.TaskStatus[None]) -> None:
        with self._subscribing() as subscription:
            task_status.started()
            while True:
                event = await subscription.receive()
                missed = subscription.take_missed()
                if missed:
                    await self._outbox.send(Missed(missed))
                await self._outbox.send(event)


async def _result(
    invocation: Invocation, context: CommandContext, expected: tuple[type[Exception], ...]
) -> Reply | Failure:
    """What the handler answers, with every error of it turned into one line."""
    try:
        return await invocation.command.handler(context, invocation.arguments)
    except Exception as error:
        cause = _only_cause(error)
        if isinstance(cause, CommandUsage):
            return Failure("usage", str(cause))
        if isinstance(cause, CommandBusy):
            return Failure("busy", str(cause))
        if not isinstance(cause, (CommandFailed, *expected)):
            log.exception("console.command_broke", command=invocation.command.name)
        return Failure("failed", str(cause).strip() or type(cause).__name__)


def _only_cause(error: Exception) -> Exception:
    """The error inside groups of one, as a nursery raises them; a group of several stays a group."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
