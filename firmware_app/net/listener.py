"""The acceptor on the instrument's own port: answers C-ECHO, refuses everything else with the reason the standard has.

Every connection is bounded: ARTIM before its A-ASSOCIATE-RQ, a longest silence between messages, and a number of
associations, beyond which peers are told "local limit exceeded" (transient) rather than left hanging.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass

import trio

from firmware_app.dicom import association as core
from firmware_app.dicom import events
from firmware_app.dicom.command import Command, CommandField
from firmware_app.dicom.errors import RemoteProtocolError
from firmware_app.dicom.message import Message
from firmware_app.dicom.pdu import AssociateAccept, AssociateReject, AssociateRequest, ContextResult, ProposedContext
from firmware_app.dicom.reasons import (
    CONTEXT_ACCEPTED,
    REJECTED_PERMANENT,
    REJECTED_TRANSIENT,
    SOURCE_PRESENTATION,
    SOURCE_USER,
)
from firmware_app.dicom.state import State
from firmware_app.dicom.statuses import SUCCESS, UNRECOGNIZED_OPERATION
from firmware_app.dicom.uids import APPLICATION_CONTEXT, UNCOMPRESSED, VERIFICATION
from firmware_app.net.errors import TimedOut
from firmware_app.net.node import ARTIM_S, LocalApplicationEntity
from firmware_app.net.tls import ListenerTls, TlsSession
from firmware_app.net.tls_reasons import TlsFault
from firmware_app.net.transport import TLS_HANDSHAKE, Transport, accept_transport, bounded

ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED = 4
NO_APPLICATION_CONTEXT = AssociateReject(REJECTED_PERMANENT, SOURCE_USER, 2)
NOT_OUR_AE_TITLE = AssociateReject(REJECTED_PERMANENT, SOURCE_USER, 7)
TOO_MANY = AssociateReject(REJECTED_TRANSIENT, SOURCE_PRESENTATION, 2)
BACKLOG = 8
# accept() fails with these when we, not the peer, are short of something; it passes.
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
SHORTAGE_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    max_associations: int = 4
    max_connections: int = 16  # also those that have not asked yet; one more is closed without a word
    first_pdu_s: float = 10.0  # ARTIM in Sta2; and before it a TLS handshake
    idle_s: float = 60.0  # between two messages of a peer
    write_s: float = 10.0


@dataclass(frozen=True, slots=True)
class InboundAssociation:
    """How one connection to our port ended, for the log."""

    peer_address: str
    calling_ae_title: str
    echoes: int
    outcome: str


def ignore(ended: InboundAssociation) -> None:
    """The default observer."""


async def serve(
    local: LocalApplicationEntity,
    port: int,
    *,
    limits: ListenerLimits | None = None,
    tls: ListenerTls | None = None,
    observe: Callable[[InboundAssociation], None] = ignore,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen on our one interface until cancelled; the started value is the port. OSError when it cannot be had."""
    limits = limits or ListenerLimits()
    if tls is not None:
        TlsSession.acceptor(tls)  # TlsFault, an OSError, where our certificate cannot be used
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((local.source_address, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
        async with trio.open_nursery() as nursery:
            task_status.started(listening.getsockname()[1])
            room = trio.CapacityLimiter(limits.max_associations)
            while True:
                connected, address = await accept(listening)
                if len(nursery.child_tasks) >= limits.max_connections:
                    connected.close()
                    continue
                try:
                    transport = accept_transport(connected, address[0], limits.write_s, tls)
                except TlsFault as fault:
                    observe(InboundAssociation(address[0], "", 0, str(fault)))
                    continue
                inbound = Inbound(transport, address[0], local, limits, room)
                nursery.start_soon(inbound.run, observe)


async def accept(listening: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
    while True:
        try:
            connected, address = listening.accept()
        except BlockingIOError:
            await trio.lowlevel.wait_readable(listening)
        except OSError as error:
            # Anything else is about the one connection that was about to be accepted.
            await trio.sleep(SHORTAGE_PAUSE_S if error.errno in SHORTAGES else 0)
        else:
            await trio.lowlevel.checkpoint()
            return connected, address


class Inbound:
    """One connection to our port, from its first octet to its close."""

    def __init__(
        self,
        transport: Transport,
        address: str,
        local: LocalApplicationEntity,
        limits: ListenerLimits,
        room: trio.CapacityLimiter,
    ) -> None:
        self._transport = transport
        self._core = core.Association.acceptor(local.max_pdu_length)
        self._address = address
        self._local = local
        self._limits = limits
        self._room = room
        self._has_room = False
        self._echoes = 0
        self._outcome = "closed by the peer"

    async def run(self, observe: Callable[[InboundAssociation], None]) -> None:
        """Never raises but for cancellation: one peer's trouble is not another's."""
        try:
            self._core.transport_accepted()
            with bounded(self._address, TLS_HANDSHAKE, self._limits.first_pdu_s):
                await self._transport.secure()
            await self._converse()
        except RemoteProtocolError as error:
            self._outcome = f"broke the DICOM protocol: {error}"
        except TimedOut as error:
            self._outcome = str(error)
        except OSError as error:
            self._outcome = error.strerror or str(error)
        finally:
            self._core.abort()
            self._transport.send_at_once(self._core.data_to_send())
            self._transport.close()
            if self._has_room:
                self._room.release_on_behalf_of(self)
            request = self._core.request_pdu
            observe(
                InboundAssociation(
                    self._address, request.calling_ae_title if request else "", self._echoes, self._outcome
                )
            )

    async def _converse(self) -> None:
        while not self._core.close_due:
            with trio.move_on_after(self._patience_s()) as scope:
                octets = await self._transport.receive()
            if scope.cancelled_caught:
                self._outcome = f"said nothing for {self._patience_s():g} s"
                self._core.artim_expired()
                return
            if not octets:
                self._core.transport_closed()
                return
            self._core.receive_data(octets)
            try:
                while (event := self._core.next_event()) is not None:
                    await self._handle(event)
            finally:
                pending = self._core.data_to_send()
                if pending:
                    await self._transport.send(pending)

    def _patience_s(self) -> float:
        if self._core.state is State.AWAIT_REQUEST:
            return self._limits.first_pdu_s
        return ARTIM_S if self._core.artim_running else self._limits.idle_s

    async def _handle(self, event: events.AssociationEvent) -> None:
        if isinstance(event, events.Requested):
            self._answer_request(event.request)
        elif isinstance(event, events.Received):
            await self._perform(event.message)
        elif isinstance(event, events.ReleaseRequested):
            self._core.confirm_release()
            self._outcome = "released"
        elif isinstance(event, events.Aborted):
            self._outcome = "aborted by the peer"

    def _answer_request(self, request: AssociateRequest) -> None:
        reason = self._reason_to_reject(request)
        if reason is not None:
            self._core.reject(reason)
            self._outcome = "rejected"
            return
        results = tuple(answer_context(context) for context in request.contexts)
        self._core.accept(
            AssociateAccept(request.called_ae_title, request.calling_ae_title, results, self._local.user_items)
        )

    def _reason_to_reject(self, request: AssociateRequest) -> AssociateReject | None:
        if request.application_context != APPLICATION_CONTEXT:
            return NO_APPLICATION_CONTEXT
        if request.called_ae_title != self._local.ae_title:
            return NOT_OUR_AE_TITLE
        try:
            self._room.acquire_on_behalf_of_nowait(self)
        except trio.WouldBlock:
            return TOO_MANY
        self._has_room = True
        return None

    async def _perform(self, message: Message) -> None:
        request = message.command
        if request.command_field.is_response or request.command_field is CommandField.C_CANCEL_RQ:
            return
        is_echo = request.command_field is CommandField.C_ECHO_RQ
        self._echoes += is_echo
        response = Command(
            command_field=request.command_field.response,
            message_id_being_responded_to=request.message_id,
            affected_sop_class_uid=request.affected_sop_class_uid or request.requested_sop_class_uid,
            status=SUCCESS if is_echo else UNRECOGNIZED_OPERATION,
        )
        await self._transport.send(self._core.send_command(message.context_id, response))


def answer_context(proposed: ProposedContext) -> ContextResult:
    """Verification in an uncompressed syntax, and nothing else; the syntax of a refusal is not significant."""
    if proposed.abstract_syntax != VERIFICATION:
        return ContextResult(proposed.context_id, ABSTRACT_SYNTAX_NOT_SUPPORTED, "")
    usable = [uid for uid in proposed.transfer_syntaxes if uid in UNCOMPRESSED]
    if not usable:
        return ContextResult(proposed.context_id, TRANSFER_SYNTAXES_NOT_SUPPORTED, "")
    return ContextResult(proposed.context_id, CONTEXT_ACCEPTED, usable[0])
