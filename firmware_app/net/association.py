"""Association with a peer: `associate` opens it, `Association` carries messages, leaving the scope ends it.

Left normally, it is released, and a release that fails changes nothing: what was answered stays answered. So it is when
left by a DimseFailure: the peer said no in due form, and nothing is wrong with the association. Left by any other
exception or a cancellation, it is aborted (A-ABORT) and closed. In every case the socket is closed when the scope ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn

import trio

from firmware_app.dicom import association as core
from firmware_app.dicom import errors as dicom_errors
from firmware_app.dicom import events
from firmware_app.dicom.command import Command, CommandField
from firmware_app.dicom.items import ImplementationClassUid, ImplementationVersionName, UserItem
from firmware_app.dicom.message import Message
from firmware_app.dicom.negotiation import (
    AcceptedContext,
    Agreement,
    RejectedContext,
    check_proposal,
    propose_contexts,
)
from firmware_app.dicom.operations import Operations
from firmware_app.dicom.pdu import AssociateRequest
from firmware_app.dicom.state import State
from firmware_app.dicom.uids import uid_name
from firmware_app.net.data_source import DataSource, send_message
from firmware_app.net.errors import (
    Aborted,
    AssociationRejected,
    ConnectionLost,
    DimseFailure,
    NetworkError,
    NoUsableContext,
    PeerReleased,
    RemoteProtocolError,
    TimedOut,
)
from firmware_app.net.node import ARTIM_S, LocalApplicationEntity, Node
from firmware_app.net.performer import EventHandler, PeerIdentity, expect_no_report, perform
from firmware_app.net.transport import Transport, bounded, connect, connection_lost

ContextPair = tuple[str, tuple[str, ...]]  # abstract syntax, transfer syntaxes
# Responses kept for operations that are not being waited for; only with a negotiated window can there be any.
MAX_EARLY_RESPONSES = 1000


class Association:
    """An established association, of one task. Obtained from `associate`.

    One operation at a time, unless an Asynchronous Operations Window was proposed and accepted. While we wait, the peer
    may ask us too: C-ECHO is answered, N-EVENT-REPORT is handed to the handler that `associate` was given.
    """

    def __init__(
        self, node: Node, local: LocalApplicationEntity, upper_layer: core.Association, on_event: EventHandler
    ) -> None:
        self.node = node
        self.local = local
        self.release_failure: NetworkError | None = None
        self._core = upper_layer
        self._on_event = on_event
        self._transport: Transport | None = None
        self._operations = Operations()
        self._patience = trio.CancelScope()
        self._early: deque[tuple[int, Message]] = deque()  # message id and response

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
    def fragment_length(self) -> int:
        """The longest fragment that the peer takes in one P-DATA-TF."""
        return self._core.fragment_length

    @property
    def agreement(self) -> Agreement:
        """Roles, window, extended negotiation and user identity, as both sides have them."""
        return self._core.agreement

    @property
    def peer_items(self) -> tuple[UserItem, ...]:
        """The user items of the peer's answer, in wire order."""
        return self._core.accept_pdu.user_items if self._core.accept_pdu else ()

    @property
    def security(self) -> str:
        """`TLSv1.3`; empty over plain TCP."""
        return self._wire.security

    @property
    def peer_implementation(self) -> tuple[str, str]:
        """Implementation Class UID and Version Name of the peer; empty where it did not say."""
        class_uid = next((item.uid for item in self.peer_items if isinstance(item, ImplementationClassUid)), "")
        version_name = next((item.name for item in self.peer_items if isinstance(item, ImplementationVersionName)), "")
        return class_uid, version_name

    def context(
        self, abstract_syntax: str, transfer_syntaxes: Sequence[str] = (), *, as_scp: bool = False
    ) -> AcceptedContext:
        """The accepted context, the earlier in `transfer_syntaxes` the better; NoUsableContext names the answers."""
        roles = self.agreement.roles_for(abstract_syntax)
        if not (roles.scp if as_scp else roles.scu):
            why = f"we may not be the {'SCP' if as_scp else 'SCU'} of {uid_name(abstract_syntax)}"
            raise NoUsableContext(self.node.label, (), why)
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
        """1 to 65535 and round again; none is in use twice."""
        return self._operations.next_message_id()

    async def send(self, context: AcceptedContext, command: Command, data_set: DataSource | None = None) -> None:
        """Send one message. The data set goes from its source to the socket in blocks, never as a whole."""
        if command.has_data_set != (data_set is not None):
            raise dicom_errors.LocalProtocolError(f"{command.command_field.words}: data set type and data set differ")
        self._operations.begin(context.context_id, command)
        doing = f"sending {command.command_field.words}"
        try:
            octets = self._core.send_command(context.context_id, command)
            if data_set is None:
                await self._wire.send(octets)
            else:
                pace = self.node.pace
                await send_message(self._core, self._wire, context.context_id, octets, data_set, pace)
        except (OSError, TimedOut) as error:
            self._explain_loss(doing, error)

    async def receive_response(self, context: AcceptedContext, request: CommandField, message_id: int) -> Message:
        """The next response to that request, matched by context, command and id."""
        for kept in self._early:
            if kept[0] == message_id:
                self._early.remove(kept)
                return kept[1]
        what = request.response.words
        doing = f"waiting for {what}"
        with bounded(self.node.label, what, self.node.timeouts.response_s):
            while True:
                event = await self._next_event(doing)
                if not isinstance(event, events.Received):
                    self._raise_for(event, doing)
                if await self._take(event.message, doing, awaited=message_id):
                    return event.message
        raise AssertionError("bounded() raises when its body did not return")

    async def request(self, context: AcceptedContext, command: Command, data_set: DataSource | None = None) -> Message:
        """An operation with a single response."""
        await self.send(context, command, data_set)
        assert command.message_id is not None
        return await self.receive_response(context, command.command_field, command.message_id)

    async def attend(self, seconds: float, done: Callable[[], bool]) -> bool:
        """Do what the peer asks until `done()`, at most for `seconds`; whether it was done.

        For reports that come later on the same association; PeerReleased when the peer has nothing more to say.
        """
        doing = "waiting for what it reports"
        deadline = trio.current_time() + seconds
        while not done():
            self._patience = trio.CancelScope(deadline=deadline)
            with self._patience:
                event = await self._next_event(doing)
            if self._patience.cancelled_caught:
                if trio.current_time() < deadline:
                    continue
                return done()
            if not isinstance(event, events.Received):
                self._raise_for(event, doing)
            await self._take(event.message, doing)
        return True

    def look_again(self) -> None:
        """From another task: what `attend` waits for may have been done elsewhere."""
        self._patience.cancel()

    def abandon(self, error: NetworkError) -> None:
        """What was asked is answered, but this association is of no more use: it ends by A-ABORT, `error` is kept."""
        self.release_failure = error
        self._core.abort()

    # ------------------------------------------------------------------ from here on: the machinery

    @property
    def _wire(self) -> Transport:
        assert self._transport is not None
        return self._transport

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
                raise connection_lost(self.node.label, doing, error) from error
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
        raise connection_lost(self.node.label, doing, error) from error

    async def _take(self, message: Message, doing: str, awaited: int | None = None) -> bool:
        """Perform a request of the peer; keep a response that is not `awaited`. Whether it is the awaited one."""
        if not message.command.command_field.is_response:
            await self._perform(message)
            return False
        try:
            answered = self._operations.match(message).message_id
        except dicom_errors.RemoteProtocolError as error:
            raise RemoteProtocolError(self.node.label, doing, str(error)) from error
        if answered == awaited:
            return True
        if len(self._early) == MAX_EARLY_RESPONSES:
            why = f"more than {MAX_EARLY_RESPONSES} responses that are not waited for yet"
            raise RemoteProtocolError(self.node.label, doing, why)
        self._early.append((answered, message))
        return False

    async def _perform(self, message: Message) -> None:
        context = self._core.accepted[message.context_id]
        answer = await perform(message, context, PeerIdentity(self.node.ae_title, self.node.host), self._on_event)
        if answer is None or not self.usable:  # behind the request the same PDU may have broken the association
            return
        try:
            await self._wire.send(self._core.send_command(message.context_id, answer))
        except (OSError, TimedOut) as error:
            self._explain_loss(f"sending {answer.command_field.words}", error)

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
        self._operations.window = self.agreement.operations_invoked
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
            self.release_failure = connection_lost(self.node.label, doing, error)

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


@asynccontextmanager
async def associate(
    node: Node,
    local: LocalApplicationEntity,
    contexts: Sequence[ContextPair],
    *,
    user_items: Sequence[UserItem] = (),
    on_event: EventHandler = expect_no_report,
) -> AsyncIterator[Association]:
    """An association for the body of the scope; a NetworkError says why there is none, or why it ended.

    It holds one of the places of `local` until its socket is closed. While none is free it waits, as long as the others
    need; whoever has one and asks for another of the same entity waits for himself.
    `user_items` are proposed beside our own: RoleSelection, AsynchronousOperationsWindow, ExtendedNegotiation,
    CommonExtendedNegotiation, UserIdentity. What became of them is in `Association.agreement`. `on_event` answers the
    N-EVENT-REPORTs that come on this association.
    """
    request = AssociateRequest(
        called_ae_title=node.ae_title,
        calling_ae_title=local.ae_title,
        contexts=propose_contexts(contexts),
        user_items=(*local.user_items, *user_items),
    )
    check_proposal(request.contexts, request.user_items)
    association = Association(node, local, core.Association.requestor(request), on_event)
    async with local.place():
        try:
            await association._open()
            try:
                yield association
            except GeneratorExit:
                await association._release()  # a consumer stopped iterating: nothing went wrong
                raise
            except DimseFailure:
                if not association._operations.under_way:
                    await association._release()
                raise
            await association._release()
        finally:
            await association._end()
