"""Association with a peer: `associate` opens it, `Association` carries messages, leaving the scope ends it.

Left normally, it is released, and a release that fails changes nothing: what was answered stays answered. Left by an
exception or a cancellation, it is aborted (A-ABORT) and closed. In every case the socket is closed when the scope ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn, Protocol

import trio

from firmware_app.dicom import association as core
from firmware_app.dicom import errors as dicom_errors
from firmware_app.dicom import events
from firmware_app.dicom.command import Command, CommandField
from firmware_app.dicom.items import ImplementationClassUid, ImplementationVersionName, UserItem
from firmware_app.dicom.message import Message, fragments
from firmware_app.dicom.negotiation import AcceptedContext, RejectedContext, propose_contexts
from firmware_app.dicom.pdu import AssociateRequest
from firmware_app.dicom.state import State
from firmware_app.dicom.statuses import UNRECOGNIZED_OPERATION
from firmware_app.net.errors import (
    Aborted,
    AssociationRejected,
    ConnectionLost,
    NetworkError,
    NoUsableContext,
    PeerReleased,
    RemoteProtocolError,
    TimedOut,
)
from firmware_app.net.node import ARTIM_S, LocalApplicationEntity, Node
from firmware_app.net.transport import Transport, bounded, connect

ContextPair = tuple[str, tuple[str, ...]]  # abstract syntax, transfer syntaxes
LAST_MESSAGE_ID = 65535
BLOCK_LENGTH = 1024 * 1024  # what is read of a file in one go: memory stays this flat


class DataSource(Protocol):
    """A data set on its way out. `length` is even and known beforehand."""

    @property
    def length(self) -> int: ...

    async def read_into(self, view: memoryview) -> None:
        """Fill the whole view with the next octets."""
        ...


class OctetSource:
    """A data set that is in memory."""

    def __init__(self, octets: bytes) -> None:
        self._octets = memoryview(octets)
        self._offset = 0

    @property
    def length(self) -> int:
        return len(self._octets)

    async def read_into(self, view: memoryview) -> None:
        view[:] = self._octets[self._offset : self._offset + len(view)]
        self._offset += len(view)


class Association:
    """An established association; one operation at a time. Obtained from `associate`."""

    def __init__(self, node: Node, local: LocalApplicationEntity, upper_layer: core.Association) -> None:
        self.node = node
        self.local = local
        self.release_failure: NetworkError | None = None
        self._core = upper_layer
        self._transport: Transport | None = None
        self._message_id = 0

    # ------------------------------------------------------------------ what was negotiated

    @property
    def accepted(self) -> tuple[AcceptedContext, ...]:
        return tuple(self._core.accepted.values())

    @property
    def rejected(self) -> tuple[RejectedContext, ...]:
        return self._core.rejected

    @property
    def usable(self) -> bool:
        """Whether another operation may still be started."""
        return self._core.state is State.ESTABLISHED

    @property
    def peer_implementation(self) -> tuple[str, str]:
        """Implementation Class UID and Version Name of the peer; empty where it did not say."""
        items = self._core.accept_pdu.user_items if self._core.accept_pdu else ()
        class_uid = next((item.uid for item in items if isinstance(item, ImplementationClassUid)), "")
        version_name = next((item.name for item in items if isinstance(item, ImplementationVersionName)), "")
        return class_uid, version_name

    def context(self, abstract_syntax: str, transfer_syntaxes: Sequence[str] = ()) -> AcceptedContext:
        """The accepted context, the earlier in `transfer_syntaxes` the better; NoUsableContext names the answers."""
        candidates = [context for context in self.accepted if context.abstract_syntax == abstract_syntax]
        if not transfer_syntaxes and candidates:
            return candidates[0]
        for transfer_syntax in transfer_syntaxes:
            for context in candidates:
                if context.transfer_syntax == transfer_syntax:
                    return context
        raise NoUsableContext(
            self.node.label, [one for one in self.rejected if one.proposed.abstract_syntax == abstract_syntax]
        )

    # ------------------------------------------------------------------ messages

    def next_message_id(self) -> int:
        """1 to 65535 and round again; with one operation at a time none is in use twice."""
        self._message_id = self._message_id % LAST_MESSAGE_ID + 1
        return self._message_id

    async def send(self, context: AcceptedContext, command: Command, data_set: DataSource | None = None) -> None:
        """Send one message. The data set goes from its source to the socket in blocks, never as a whole."""
        if command.has_data_set != (data_set is not None):
            raise dicom_errors.LocalProtocolError(f"{command.command_field.words}: data set type and data set differ")
        doing = f"sending {command.command_field.words}"
        try:
            await self._wire.send(self._core.send_command(context.context_id, command))
            if data_set is not None:
                await self._send_data_set(context, data_set)
        except (OSError, TimedOut) as error:
            self._explain_loss(doing, error)

    async def receive_response(self, context: AcceptedContext, request: CommandField, message_id: int) -> Message:
        """The next response to that request, matched by context, command and id."""
        what = request.response.words
        doing = f"waiting for {what}"
        with bounded(self.node.label, what, self.node.timeouts.response_s):
            while True:
                event = await self._next_event(doing)
                if not isinstance(event, events.Received):
                    self._raise_for(event, doing)
                message = event.message
                if not message.command.command_field.is_response:
                    await self._decline(message)
                    continue
                self._check_match(message, context, request, message_id)
                return message
        raise AssertionError("bounded() raises when its body did not return")

    async def request(self, context: AcceptedContext, command: Command, data_set: DataSource | None = None) -> Message:
        """An operation with a single response."""
        await self.send(context, command, data_set)
        assert command.message_id is not None
        return await self.receive_response(context, command.command_field, command.message_id)

    def abandon(self, error: NetworkError) -> None:
        """What was asked is answered, but this association is of no more use: it ends by A-ABORT, `error` is kept."""
        self.release_failure = error
        self._core.abort()

    # ------------------------------------------------------------------ from here on: the machinery

    @property
    def _wire(self) -> Transport:
        assert self._transport is not None
        return self._transport

    async def _send_data_set(self, context: AcceptedContext, data_set: DataSource) -> None:
        length = self._core.fragment_length
        remaining = data_set.length
        block = memoryview(bytearray(min(max(BLOCK_LENGTH // length, 1) * length, remaining)))
        while True:
            view = block[:remaining]
            await data_set.read_into(view)
            remaining -= len(view)
            for fragment, ends_block in fragments(view, length):
                is_last = ends_block and remaining == 0
                await self._wire.send(*self._core.send_fragment(context.context_id, fragment, is_last=is_last))
            if remaining == 0:
                return

    async def _next_event(self, doing: str) -> events.AssociationEvent:
        while True:
            try:
                event = self._core.next_event()
            except dicom_errors.RemoteProtocolError as error:
                raise RemoteProtocolError(self.node.label, doing, str(error)) from error
            if event is not None:
                return event
            await self._flush()
            try:
                octets = await self._wire.receive()
            except OSError as error:
                self._core.transport_closed()
                raise ConnectionLost(self.node.label, doing, reason_of(error)) from error
            if not octets:
                self._core.transport_closed()
                return self._core.next_event() or events.ConnectionLost()
            self._core.receive_data(octets)

    async def _flush(self) -> None:
        octets = self._core.data_to_send()
        if octets:
            await self._wire.send(octets)

    def _raise_for(self, event: events.AssociationEvent, doing: str) -> NoReturn:
        label = self.node.label
        if isinstance(event, events.Rejected):
            answer = event.reject
            raise AssociationRejected(label, self.local.ae_title, answer.result, answer.source, answer.reason)
        if isinstance(event, events.Aborted):
            raise Aborted(label, doing, event.source, event.reason)
        if isinstance(event, events.ReleaseRequested):
            self._core.confirm_release()
            raise PeerReleased(label, doing)
        raise ConnectionLost(label, doing, "the connection was closed")

    def _explain_loss(self, doing: str, error: OSError | TimedOut) -> NoReturn:
        """A write failed: what the peer said before it closed is the better reason, if it can still be read."""
        self._core.receive_data(self._wire.receive_pending())
        try:
            event = self._core.next_event()
        except dicom_errors.RemoteProtocolError as violation:
            raise RemoteProtocolError(self.node.label, doing, str(violation)) from violation
        if event is not None and not isinstance(event, events.Received):
            self._raise_for(event, doing)
        if isinstance(error, TimedOut):
            raise error
        self._core.transport_closed()
        raise ConnectionLost(self.node.label, doing, reason_of(error)) from error

    async def _decline(self, message: Message) -> None:
        """A request to us, who perform nothing on this association (PS3.7 annex C.5.23)."""
        request = message.command
        if request.command_field is CommandField.C_CANCEL_RQ:
            return
        answer = Command(
            command_field=request.command_field.response,
            message_id_being_responded_to=request.message_id,
            affected_sop_class_uid=request.affected_sop_class_uid or request.requested_sop_class_uid,
            status=UNRECOGNIZED_OPERATION,
        )
        await self._wire.send(self._core.send_command(message.context_id, answer))

    def _check_match(self, message: Message, context: AcceptedContext, request: CommandField, message_id: int) -> None:
        got = message.command
        if (
            got.command_field is request.response
            and got.message_id_being_responded_to == message_id
            and message.context_id == context.context_id
        ):
            return
        raise RemoteProtocolError(
            self.node.label,
            f"waiting for {request.response.words}",
            f"{got.command_field.words} to message {got.message_id_being_responded_to} in context {message.context_id}"
            f" instead of message {message_id} in context {context.context_id}",
        )

    async def _open(self) -> None:
        self._core.request()
        self._transport = await connect(self.node, self.local.source_address)
        self._core.transport_connected()
        what = "answer to our association request"
        doing = f"waiting for the {what}"
        with bounded(self.node.label, what, self.node.timeouts.association_s):
            try:
                await self._flush()
            except OSError as error:
                self._explain_loss(doing, error)
            event = await self._next_event(doing)
        if not isinstance(event, events.Accepted):
            self._raise_for(event, doing)
        if not self.accepted:
            await self._release()
            raise NoUsableContext(self.node.label, self.rejected)

    async def _release(self) -> None:
        """Ask for the release and wait for it. A failure is kept for the log and never raised."""
        if not self.usable:
            return
        doing = "waiting for A-RELEASE-RP"
        try:
            with bounded(self.node.label, "A-RELEASE-RP", self.node.timeouts.release_s):
                self._core.release()
                await self._flush()
                while True:
                    event = await self._next_event(doing)
                    if isinstance(event, events.Released):
                        return
                    if isinstance(event, events.ReleaseRequested):
                        self._core.confirm_release()  # AR-9: both sides asked at once
                    elif not isinstance(event, events.Received):
                        self._raise_for(event, doing)
        except NetworkError as error:
            self.release_failure = error
        except OSError as error:
            self.release_failure = ConnectionLost(self.node.label, doing, reason_of(error))

    async def _end(self) -> None:
        """Abort what is still there and close. The farewell does not wait; the peer's close does, for ARTIM's time."""
        if self._transport is None:
            return
        try:
            self._core.abort()
            self._transport.send_at_once(self._core.data_to_send())
            with trio.move_on_after(ARTIM_S):
                await self._wait_for_close()
            self._core.artim_expired()
        finally:
            self._transport.close()

    async def _wait_for_close(self) -> None:
        """Sta13: the association is over, and what still comes is answered by the table and otherwise passed over."""
        while self._core.artim_running:
            try:
                octets = await self._wire.receive()
            except OSError:
                octets = b""  # reset is closed too
            if not octets:
                self._core.transport_closed()
                return
            self._core.receive_data(octets)
            while self._core.next_event() is not None:
                pass
            self._wire.send_at_once(self._core.data_to_send())


def reason_of(error: OSError) -> str:
    return error.strerror or str(error)


@asynccontextmanager
async def associate(
    node: Node,
    local: LocalApplicationEntity,
    contexts: Sequence[ContextPair],
    *,
    user_items: Sequence[UserItem] = (),
) -> AsyncIterator[Association]:
    """An association for the body of the scope; a NetworkError says why there is none, or why it ended."""
    request = AssociateRequest(
        called_ae_title=node.ae_title,
        calling_ae_title=local.ae_title,
        contexts=propose_contexts(contexts),
        user_items=(*local.user_items, *user_items),
    )
    association = Association(node, local, core.Association.requestor(request))
    try:
        await association._open()
        try:
            yield association
        except GeneratorExit:
            await association._release()  # a consumer stopped iterating: nothing went wrong
            raise
        await association._release()
    finally:
        await association._end()
