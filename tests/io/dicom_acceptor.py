"""A well-behaved acceptor for tests, on our own pure association: it accepts everything and plays back answers."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from firmware_app.dicom import events, pdu
from firmware_app.dicom.association import Association
from firmware_app.dicom.command import DATA_SET_PRESENT, NO_DATA_SET, Command, CommandField
from firmware_app.dicom.errors import RemoteProtocolError
from firmware_app.dicom.items import MaximumLength, UserItem
from firmware_app.dicom.message import Message, fragments
from firmware_app.net.node import Node, Timeouts

HANG_UP = "hang up"
RESET = "reset"
ABORT = "abort"
STALL = "stall"
RELEASE = "release"
# What a handler yields: a status, a status with a data set, a message of its own, octets as they are, or a misdeed.
Answer = int | tuple[int, bytes] | Message | bytes | str
Handler = Callable[[Message], Iterable[Answer]]


@dataclass
class Acceptor:
    """What the peer has seen. `ends` holds how each association ended: released, aborted, closed."""

    node: Node
    messages: list[Message] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    associations: int = 0
    user_items: Sequence[UserItem] = ()
    requests: list[pdu.AssociateRequest] = field(default_factory=list)
    on_octets: Callable[[int], None] | None = None  # told how many octets have come on the connection so far


class Conversation:
    """One association of the acceptor."""

    def __init__(self, stream: trio.SocketStream, acceptor: Acceptor, handler: Handler) -> None:
        self.stream = stream
        self.acceptor = acceptor
        self.handler = handler
        self.core = Association.acceptor(16384, max_data_set=64 * 1024 * 1024)
        self.received = 0

    async def run(self) -> None:
        self.core.transport_accepted()
        try:
            async for octets in self.stream:
                self.received += len(octets)
                if self.acceptor.on_octets is not None:
                    self.acceptor.on_octets(self.received)
                self.core.receive_data(octets)
                while (event := self.core.next_event()) is not None:
                    if not await self.handle(event):
                        return
                await self.stream.send_all(self.core.data_to_send())
        except (trio.BrokenResourceError, RemoteProtocolError) as error:
            self.acceptor.ends.append(type(error).__name__)
            return
        self.acceptor.ends.append("closed")

    async def handle(self, event: events.AssociationEvent) -> bool:
        if isinstance(event, events.Requested):
            results = tuple(
                pdu.ContextResult(one.context_id, 0, one.transfer_syntaxes[0]) for one in event.request.contexts
            )
            self.acceptor.requests.append(event.request)
            items = (MaximumLength(16384), *self.acceptor.user_items)
            self.core.accept(pdu.AssociateAccept("A", "B", results, items))
        elif isinstance(event, events.ReleaseRequested):
            self.core.confirm_release()
            await self.stream.send_all(self.core.data_to_send())
            self.acceptor.ends.append("released")
            return False
        elif isinstance(event, events.Aborted):
            self.acceptor.ends.append("aborted")
            return False
        elif isinstance(event, events.Released):
            self.acceptor.ends.append("released by us")
            return False
        elif isinstance(event, events.Received):
            self.acceptor.messages.append(event.message)
            return await self.answer(event.message)
        return True

    async def answer(self, message: Message) -> bool:
        if message.command.command_field is CommandField.C_CANCEL_RQ:
            return True
        for answer in self.handler(message):
            if answer == HANG_UP:
                return False
            if answer == RESET:
                self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            if answer == ABORT:
                self.core.abort()
                await self.stream.send_all(self.core.data_to_send())
                return False
            if answer == STALL:
                continue
            if isinstance(answer, Message):
                await self.send(answer)
                continue
            if isinstance(answer, bytes) or answer == RELEASE:
                if answer == RELEASE:
                    self.core.release()
                await self.stream.send_all(self.core.data_to_send() if isinstance(answer, str) else answer)
                continue
            status, data_set = answer if isinstance(answer, tuple) else (answer, None)
            assert isinstance(status, int)
            await self.respond(message, status, data_set)
        return True

    async def respond(self, message: Message, status: int, data_set: bytes | None) -> None:
        response = Command(
            command_field=message.command.command_field.response,
            message_id_being_responded_to=message.command.message_id,
            status=status,
            data_set_type=NO_DATA_SET if data_set is None else DATA_SET_PRESENT,
        )
        await self.send(Message(message.context_id, response, data_set))

    async def send(self, message: Message) -> None:
        octets = self.core.send_command(message.context_id, message.command)
        if message.data_set is not None:
            for fragment, is_last in fragments(message.data_set, self.core.fragment_length):
                header, body = self.core.send_fragment(message.context_id, fragment, is_last=is_last)
                octets += header + bytes(body)
        await self.stream.send_all(octets)


@asynccontextmanager
async def run_acceptor(
    handler: Handler, timeouts: Timeouts | None = None, user_items: Sequence[UserItem] = ()
) -> AsyncIterator[Acceptor]:
    """An acceptor on a port of the kernel's choice, until the scope ends."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    node = Node("peer", "127.0.0.1", port, "PEER", timeouts or Timeouts.all(20))
    acceptor = Acceptor(node, user_items=user_items)

    async def serve(stream: trio.SocketStream) -> None:
        acceptor.associations += 1
        async with stream:
            await Conversation(stream, acceptor, handler).run()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield acceptor
        nursery.cancel_scope.cancel()
