"""The acceptor on the instrument's own port: C-ECHO and the reports of storage commitment, as far as they are offered,
and nothing else.

What is refused is refused with the reason that the standard has for it. Every connection is bounded: ARTIM before its
A-ASSOCIATE-RQ is whole, a longest time from message to message, and a number of associations, beyond which peers are
told "local limit exceeded" (transient). Beyond a number of connections, the one that has asked for nothing for longest
makes room: whoever opens them all and stays silent keeps nobody out.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import trio

from firmware_app.dicom import association as core
from firmware_app.dicom import events
from firmware_app.dicom.command import CommandField
from firmware_app.dicom.errors import LocalProtocolError, RemoteProtocolError
from firmware_app.dicom.items import RoleSelection, UserIdentity
from firmware_app.dicom.message import Message
from firmware_app.dicom.negotiation import Roles, items_of
from firmware_app.dicom.octets import encode_ae_title
from firmware_app.dicom.pdu import AssociateAccept, AssociateReject, AssociateRequest, ContextResult, ProposedContext
from firmware_app.dicom.reasons import (
    CONTEXT_ACCEPTED,
    REJECTED_PERMANENT,
    REJECTED_TRANSIENT,
    SOURCE_PRESENTATION,
    SOURCE_USER,
    describe_rejection,
)
from firmware_app.dicom.state import State
from firmware_app.dicom.statuses import NO_SUCH_SOP_CLASS, PROCESSING_FAILURE
from firmware_app.dicom.uids import APPLICATION_CONTEXT, STORAGE_COMMITMENT_PUSH_MODEL, UNCOMPRESSED, VERIFICATION
from firmware_app.net.errors import TimedOut
from firmware_app.net.node import ARTIM_S, LocalApplicationEntity
from firmware_app.net.performer import EventHandler, EventReport, PeerIdentity, expect_no_report, perform
from firmware_app.net.tls import ListenerTls, TlsSession
from firmware_app.net.tls_reasons import TlsFault
from firmware_app.net.transport import TLS_HANDSHAKE, Transport, accept_transport, bounded

REJECTED_BY_USER = 1
ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED = 4
NO_APPLICATION_CONTEXT = AssociateReject(REJECTED_PERMANENT, SOURCE_USER, 2)
NOT_OUR_AE_TITLE = AssociateReject(REJECTED_PERMANENT, SOURCE_USER, 7)
STRANGER = AssociateReject(REJECTED_PERMANENT, SOURCE_USER, 3)
TOO_MANY = AssociateReject(REJECTED_TRANSIENT, SOURCE_PRESENTATION, 2)
BACKLOG = 32
# accept() fails with these when we, not the peer, are short of something; it passes.
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
SHORTAGE_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Offer:
    """One SOP class that peers may propose to us: in which syntaxes, and which roles they may have in it."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    peer_roles: Roles


# A peer verifies us, and it reports what we asked for.
DEFAULT_OFFERS = (
    Offer(VERIFICATION, UNCOMPRESSED, Roles(scu=True, scp=False)),
    Offer(STORAGE_COMMITMENT_PUSH_MODEL, UNCOMPRESSED, Roles(scu=False, scp=True)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    max_associations: int = 4
    max_connections: int = 32  # also those that have not asked yet, or have been rejected
    first_pdu_s: float = 10.0  # ARTIM in Sta2; and before it a TLS handshake
    idle_s: float = 60.0  # from one message of a peer to the end of its next
    write_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerRules:
    """Who may associate with us; empty is everybody."""

    accepted_ae_titles: frozenset[str] = frozenset()
    accepted_addresses: frozenset[str] = frozenset()

    def admit(self, calling_ae_title: str, address: str) -> bool:
        return calling_ae_title in (self.accepted_ae_titles or (calling_ae_title,)) and address in (
            self.accepted_addresses or (address,)
        )


@dataclass(frozen=True, slots=True)
class InboundAssociation:
    """How one connection to our port ended, for the log."""

    peer_address: str
    calling_ae_title: str
    echoes: int
    outcome: str
    reports: int = 0
    is_refused: bool = False  # by us, and not for want of room: it is not who it has to be


def ignore(ended: InboundAssociation) -> None:
    """The default observer."""


async def serve(
    local: LocalApplicationEntity,
    port: int,
    *,
    limits: ListenerLimits | None = None,
    rules: ListenerRules | None = None,
    offers: Sequence[Offer] = DEFAULT_OFFERS,
    on_event: EventHandler = expect_no_report,
    tls: ListenerTls | None = None,
    observe: Callable[[InboundAssociation], None] = ignore,
    handed_over: socket.socket | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen on our one interface until cancelled; the started value is the port. OSError when it cannot be had.

    `handed_over` is a socket that listens on `port` already; it may do so on every interface, and is closed at the end.
    `on_event` gets each N-EVENT-REPORT; what it raises is told to the peer as 0110H, and in `InboundAssociation`.
    """
    limits = limits or ListenerLimits()
    with handed_over or listening_socket(local.source_address, port) as listening:
        if tls is not None:
            TlsSession.acceptor(tls)  # TlsFault, an OSError, where our certificate cannot be used
        async with trio.open_nursery() as nursery:
            task_status.started(listening.getsockname()[1])
            room = trio.CapacityLimiter(limits.max_associations)
            connections: dict[Inbound, None] = {}
            while True:
                connected, address = await accept(listening)
                if handed_over is not None and connected.getsockname()[0] != local.source_address:
                    connected.close()  # as if it were bound to our one interface
                    continue
                if len(connections) >= limits.max_connections and not make_room(connections):
                    connected.close()
                    continue
                try:
                    transport = accept_transport(connected, address[0], limits.write_s, tls)
                except TlsFault as fault:
                    observe(InboundAssociation(address[0], "", 0, str(fault)))
                    continue
                inbound = Inbound(
                    transport, address[0], local, limits, rules or ListenerRules(), room, offers, on_event
                )
                connections[inbound] = None
                inbound.on_end = partial(connections.pop, inbound, None)
                nursery.start_soon(inbound.run, observe)


def listening_socket(address: str, port: int) -> socket.socket:
    """Ours, non-blocking."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def make_room(connections: dict[Inbound, None]) -> bool:
    """Close the oldest connection that has asked for nothing yet, if there is one."""
    for inbound in connections:
        if inbound.is_waiting:
            del connections[inbound]
            inbound.give_way()
            return True
    return False


async def accept(listening: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
    while True:
        await trio.lowlevel.checkpoint()  # before, for what has been accepted must not be lost to a cancellation
        try:
            connected, address = listening.accept()
        except BlockingIOError:
            await trio.lowlevel.wait_readable(listening)
        except OSError as error:
            # Anything else is about the one connection that was about to be accepted.
            await trio.sleep(SHORTAGE_PAUSE_S if error.errno in SHORTAGES else 0)
        else:
            return connected, address


class Inbound:
    """One connection to our port, from its first octet to its close."""

    def __init__(
        self,
        transport: Transport,
        address: str,
        local: LocalApplicationEntity,
        limits: ListenerLimits,
        rules: ListenerRules,
        room: trio.CapacityLimiter,
        offers: Sequence[Offer],
        on_event: EventHandler,
    ) -> None:
        self.on_end: Callable[[], None] = lambda: None
        self._transport = transport
        self._core = core.Association.acceptor(local.max_pdu_length)
        self._peer = PeerIdentity("", address)
        self._local = local
        self._limits = limits
        self._rules = rules
        self._room = room
        self._has_room = False
        self._offers = {offer.abstract_syntax: offer for offer in offers}
        self._on_event = on_event
        self._scope = trio.CancelScope()
        self._deadline = 0.0
        self._echoes = self._reports = 0
        self._outcome = "closed by the peer"
        self._is_refused = False
        self._trouble = ""

    @property
    def is_waiting(self) -> bool:
        """Whether nothing has been asked yet."""
        return self._core.state in (State.IDLE, State.AWAIT_REQUEST)

    def give_way(self) -> None:
        """End at once, for somebody else."""
        self._outcome = "asked for nothing and made room for another connection"
        self._scope.cancel()

    async def run(self, observe: Callable[[InboundAssociation], None]) -> None:
        """Never raises but for cancellation: one peer's trouble is not another's."""
        try:
            with self._scope:
                self._core.transport_accepted()
                with bounded(self._peer.address, TLS_HANDSHAKE, self._limits.first_pdu_s):
                    await self._transport.secure()
                await self._converse()
        except TimedOut as error:
            self._outcome = str(error)
        except OSError as error:
            self._outcome = error.strerror or str(error)
            self._is_refused = isinstance(error, TlsFault)
        finally:
            self._core.abort()
            self._transport.send_at_once(self._core.data_to_send())
            self._transport.close()
            self._leave_room()
            self.on_end()
            ended = self._outcome + self._trouble
            who = self._peer.address, self._peer.ae_title
            observe(InboundAssociation(*who, self._echoes, ended, self._reports, self._is_refused))

    async def _converse(self) -> None:
        self._renew_deadline()
        while not self._core.close_due:
            with trio.move_on_at(self._deadline) as patience:
                octets = await self._transport.receive()
            if patience.cancelled_caught:
                self._run_out_of_patience()
            elif octets:
                self._core.receive_data(octets)
            else:
                self._core.transport_closed()
                return
            while await self._take_event():
                # Not with every octet: a peer that dribbles is not waited for longer than a silent one.
                self._renew_deadline()

    def _renew_deadline(self) -> None:
        self._deadline = trio.current_time() + self._patience_s()

    def _patience_s(self) -> float:
        if self._core.state is State.AWAIT_REQUEST:
            return self._limits.first_pdu_s
        return ARTIM_S if self._core.artim_running else self._limits.idle_s

    def _run_out_of_patience(self) -> None:
        if self._core.state is not State.AWAIT_CLOSE:
            self._outcome = f"said nothing for {self._patience_s():g} s"
        if self._core.artim_running:
            self._core.artim_expired()
        else:
            self._core.abort()
            self._renew_deadline()

    async def _take_event(self) -> bool:
        """Handle the next event, if there is one, and send what it makes due before anything else is said."""
        try:
            event = self._core.next_event()
            happened = event is not None
            if event is not None:
                await self._handle(event)
        except RemoteProtocolError as error:
            happened = True
            self._outcome = f"broke the DICOM protocol: {error}"
        pending = self._core.data_to_send()
        if pending:
            await self._transport.send(pending)
        if self._core.state is State.AWAIT_CLOSE:
            self._leave_room()
        return happened

    def _leave_room(self) -> None:
        if self._has_room:
            self._room.release_on_behalf_of(self)
            self._has_room = False

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
        identities = items_of(request.user_items, UserIdentity)
        self._peer = PeerIdentity(request.calling_ae_title, self._peer.address, identities[0] if identities else None)
        reason = self._reason_to_reject(request)
        if reason is not None:
            self._core.reject(reason)
            self._is_refused = reason is not TOO_MANY
            self._outcome = describe_rejection(reason.result, reason.source, reason.reason)
            return
        roles = answer_roles(request, self._offers)
        results = tuple(answer_context(context, self._offers, roles) for context in request.contexts)
        items = (*self._local.user_items, *roles.values())
        self._core.accept(AssociateAccept(request.called_ae_title, request.calling_ae_title, results, items))

    def _reason_to_reject(self, request: AssociateRequest) -> AssociateReject | None:
        if request.application_context != APPLICATION_CONTEXT:
            return NO_APPLICATION_CONTEXT
        if request.called_ae_title != self._local.ae_title:
            return NOT_OUR_AE_TITLE
        if not is_ae_title(request.calling_ae_title):
            return STRANGER
        if not self._rules.admit(request.calling_ae_title, self._peer.address):
            return STRANGER
        try:
            self._room.acquire_on_behalf_of_nowait(self)
        except trio.WouldBlock:
            return TOO_MANY
        self._has_room = True
        return None

    async def _perform(self, message: Message) -> None:
        context = self._core.accepted[message.context_id]
        response = await perform(message, context, self._peer, self._hand_over)
        self._echoes += message.command.command_field is CommandField.C_ECHO_RQ
        # Behind the request the same PDU may have broken the association.
        if response is not None and self._core.state is State.ESTABLISHED:
            await self._transport.send(self._core.send_command(message.context_id, response))

    async def _hand_over(self, report: EventReport) -> int:
        self._reports += 1
        offer = self._offers.get(report.sop_class_uid)
        if offer is None or not offer.peer_roles.scp:  # the context may be of one class, and the command name another
            return NO_SUCH_SOP_CLASS
        try:
            return await self._on_event(report)
        except Exception as error:  # noqa: BLE001 - one odd report must not close our port; peer and log are told
            self._trouble = f"; its report failed here: {type(error).__name__}: {error}"
            return PROCESSING_FAILURE


def is_ae_title(title: str) -> bool:
    try:
        encode_ae_title(title, "calling AE title")
    except LocalProtocolError:
        return False
    return True


def answer_roles(request: AssociateRequest, offers: Mapping[str, Offer]) -> dict[str, RoleSelection]:
    """Our answer to each role selection for what we accept: the proposed roles that the peer may have here."""
    answers = {}
    for proposed in items_of(request.user_items, RoleSelection):
        uid = proposed.sop_class_uid
        if uid in offers:
            allowed = offers[uid].peer_roles
            answers[uid] = RoleSelection(uid, proposed.scu and allowed.scu, proposed.scp and allowed.scp)
    return answers


def answer_context(
    proposed: ProposedContext, offers: Mapping[str, Offer], roles: Mapping[str, RoleSelection]
) -> ContextResult:
    """What we offer, in the first syntax that both have, unless the peer wants no role but one that we have ourselves.

    Without a role selection a reporting archive is accepted too: many propose none (PS3.7 D.3.3.4 wants one).
    The syntax of a refusal is not significant.
    """
    offer = offers.get(proposed.abstract_syntax)
    usable = [uid for uid in proposed.transfer_syntaxes if offer and uid in offer.transfer_syntaxes]
    role = roles.get(proposed.abstract_syntax)
    if offer is None:
        result = ABSTRACT_SYNTAX_NOT_SUPPORTED
    elif role is not None and not (role.scu or role.scp):
        result = REJECTED_BY_USER
    else:
        result = CONTEXT_ACCEPTED if usable else TRANSFER_SYNTAXES_NOT_SUPPORTED
    return ContextResult(proposed.context_id, result, usable[0] if result == CONTEXT_ACCEPTED else "")
