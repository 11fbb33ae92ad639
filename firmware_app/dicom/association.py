"""One association as a pure object: octets in, events out; calls in, octets out. Both roles of PS3.8.

    association = Association.requestor(request)
    association.request()                          # Evt1: the caller now connects the transport
    association.transport_connected()              # Evt2
    transport.send(association.data_to_send())
    association.receive_data(transport.receive())
    while (event := association.next_event()) is not None: ...

Whatever a call or a received PDU makes due is in `data_to_send()`. `next_event` raises RemoteProtocolError when the
peer broke the protocol, or speaks another version of it; the A-ABORT or A-ASSOCIATE-RJ that answers it is then in
`data_to_send()` too. `close_due` says that the transport is to be closed, `artim_running` that the peer has only
ARTIM's time left to act (Sta2 and Sta13); the caller owns the clock and tells `artim_expired()`, and
`transport_closed()` when the connection is gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum

from firmware_app.dicom import events, pdu
from firmware_app.dicom.command import Command, encode_command
from firmware_app.dicom.errors import AbortReason, LocalProtocolError, RemoteProtocolError
from firmware_app.dicom.message import (
    MAX_RECEIVED_DATA_SET,
    MessageAssembler,
    data_set_pdus,
    fragment_length,
    fragments,
)
from firmware_app.dicom.negotiation import AcceptedContext, Agreement, RejectedContext, agree, match_contexts
from firmware_app.dicom.pdu import AssociateAccept, AssociateReject, AssociateRequest, Pdu
from firmware_app.dicom.reasons import ABORT_SOURCE_PROVIDER, ABORT_SOURCE_USER, REJECTED_PERMANENT, SOURCE_ACSE
from firmware_app.dicom.state import ACTIONS, TRANSITIONS, Action, Event, State

# What we still receive after having announced "no limit": one PDU has to fit into memory beside everything else.
MAX_RECEIVED_LENGTH = 1024 * 1024
PROTOCOL_VERSION_NOT_SUPPORTED = 2  # reason of the ACSE source, PS3.8 table 9-21

PDU_EVENTS: dict[type[Pdu], Event] = {
    pdu.AssociateRequest: Event.ASSOCIATE_RQ_PDU,
    pdu.AssociateAccept: Event.ASSOCIATE_AC_PDU,
    pdu.AssociateReject: Event.ASSOCIATE_RJ_PDU,
    pdu.DataTransfer: Event.DATA_PDU,
    pdu.ReleaseRequest: Event.RELEASE_RQ_PDU,
    pdu.ReleaseReply: Event.RELEASE_RP_PDU,
    pdu.Abort: Event.ABORT_PDU,
}
PDU_NAMES: dict[type[Pdu], str] = {
    pdu.AssociateRequest: "A-ASSOCIATE-RQ",
    pdu.AssociateAccept: "A-ASSOCIATE-AC",
    pdu.AssociateReject: "A-ASSOCIATE-RJ",
    pdu.DataTransfer: "P-DATA-TF",
    pdu.ReleaseRequest: "A-RELEASE-RQ",
    pdu.ReleaseReply: "A-RELEASE-RP",
    pdu.Abort: "A-ABORT",
}

# What triggered an action: the PDU or its violation, or the encoded PDU that one of our own primitives wants sent.
Cause = Pdu | RemoteProtocolError | bytes | None


class Role(Enum):
    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


class Association:
    """The upper layer of one association. Build it with `requestor` or `acceptor`."""

    def __init__(self, role: Role, max_received_length: int, max_data_set: int) -> None:
        self.role = role
        self.state = self._came_from = State.IDLE
        self.close_due = False
        self.artim_running = False
        self.request_pdu: AssociateRequest | None = None
        self.accept_pdu: AssociateAccept | None = None
        self.accepted: dict[int, AcceptedContext] = {}
        self.rejected: tuple[RejectedContext, ...] = ()
        self.agreement = Agreement()
        self.fragment_length = 0
        self._max_received_length = max_received_length or MAX_RECEIVED_LENGTH
        if not pdu.PDV_OVERHEAD + 2 <= self._max_received_length <= MAX_RECEIVED_LENGTH:
            raise LocalProtocolError(f"a Maximum Length of {max_received_length} is nothing that we can receive")
        self._assembler = MessageAssembler(max_data_set)
        self._received = bytearray()
        self._values: deque[pdu.PresentationDataValue] = deque()  # of the last P-DATA-TF, not looked at yet
        self._deaf = False  # behind an invalid PDU nobody can tell where the next one starts
        self._events: deque[events.AssociationEvent | RemoteProtocolError] = deque()
        self._outgoing = bytearray()

    @classmethod
    def requestor(cls, request: AssociateRequest, max_data_set: int = MAX_RECEIVED_DATA_SET) -> Association:
        association = cls(Role.REQUESTOR, pdu.maximum_length(request.user_items), max_data_set)
        association.request_pdu = request
        return association

    @classmethod
    def acceptor(cls, max_received_length: int, max_data_set: int = MAX_RECEIVED_DATA_SET) -> Association:
        return cls(Role.ACCEPTOR, max_received_length, max_data_set)

    # ------------------------------------------------------------------ primitives of our own user

    def request(self) -> None:
        """A-ASSOCIATE request: the transport is now to be connected."""
        self._perform(Event.ASSOCIATE_REQUEST)

    def accept(self, answer: AssociateAccept) -> None:
        if self.request_pdu is None:
            raise LocalProtocolError("there is no request to accept")
        octets = answer.encode()
        self._perform(Event.ASSOCIATE_ACCEPT, octets)
        self._settle(self.request_pdu, answer)

    def reject(self, answer: AssociateReject) -> None:
        self._perform(Event.ASSOCIATE_REJECT, answer.encode())

    def send_command(self, context_id: int, command: Command) -> bytes:
        """The P-DATA-TF PDUs of one command set."""
        octets = encode_command(command)
        pieces: list[bytes | memoryview] = []
        for fragment, is_last in fragments(octets, self._sendable_length(context_id)):
            pieces += self.send_fragment(context_id, fragment, is_command=True, is_last=is_last)
        return b"".join(pieces)

    def send_fragment(
        self, context_id: int, fragment: bytes | memoryview, *, is_command: bool = False, is_last: bool
    ) -> tuple[bytes, bytes | memoryview]:
        """Header and fragment of one P-DATA-TF, for a vectored write: the fragment is passed through, not copied."""
        length = len(fragment)
        if length > self._sendable_length(context_id) or length % 2:
            raise LocalProtocolError(f"a fragment of {length} octets, not even or more than {self.fragment_length}")
        self._perform(Event.DATA_REQUEST)
        control = (pdu.COMMAND_FRAGMENT if is_command else 0) | (pdu.LAST_FRAGMENT if is_last else 0)
        return pdu.encode_data_header(context_id, control, length), fragment

    def send_block(
        self, context_id: int, block: memoryview, *, is_last: bool, at_most: int | None = None
    ) -> list[bytes | memoryview]:
        """Header and fragment, in turn, of the P-DATA-TFs for a piece of a data set; `is_last` when it ends with it.

        `at_most` (even): octets of a fragment, where the peer would take longer ones.
        """
        length = self._sendable_length(context_id)
        length = length if at_most is None else min(length, at_most)
        if len(block) % 2:
            raise LocalProtocolError(f"a piece of a data set of {len(block)} octets, not even")
        self._perform(Event.DATA_REQUEST)
        return data_set_pdus(context_id, block, length, is_last=is_last)

    def release(self) -> None:
        """A-RELEASE request."""
        self._perform(Event.RELEASE_REQUEST)

    def confirm_release(self) -> None:
        """A-RELEASE response: the answer to `ReleaseRequested`."""
        self._perform(Event.RELEASE_RESPONSE)

    def abort(self) -> None:
        """A-ABORT request, where there is still an association to abort."""
        self._perform_if_possible(Event.ABORT_REQUEST)

    # ------------------------------------------------------------------ the transport

    def transport_connected(self) -> None:
        """The connection that `request` asked for is there."""
        if self.request_pdu is None:
            raise LocalProtocolError("an acceptor requests no association")
        self._perform(Event.TRANSPORT_CONFIRM, self.request_pdu.encode())

    def transport_accepted(self) -> None:
        """A peer has connected to us."""
        self._perform(Event.TRANSPORT_INDICATION)

    def transport_closed(self) -> None:
        """End of stream, reset, or our own close."""
        self._perform_if_possible(Event.TRANSPORT_CLOSED)

    def artim_expired(self) -> None:
        self._perform_if_possible(Event.ARTIM_EXPIRED)

    def data_to_send(self) -> bytes:
        octets, self._outgoing = bytes(self._outgoing), bytearray()
        return octets

    def receive_data(self, octets: bytes | bytearray | memoryview) -> None:
        """Keep what arrived. The caller takes the events out before it reads more; so the buffer stays bounded."""
        if not self._deaf:
            self._received += octets

    def next_event(self) -> events.AssociationEvent | None:
        """The next thing that happened, None when more octets are needed; RemoteProtocolError for a violation."""
        while not self._events:
            if self._values:
                self._take_value()
                continue
            try:
                received = self._take_pdu()
            except RemoteProtocolError as error:
                self._deaf = True
                self._received.clear()
                self._perform_if_possible(Event.INVALID_PDU, error)
                continue
            if received is None:
                return None
            self._receive_pdu(received)
        event = self._events.popleft()
        if isinstance(event, RemoteProtocolError):
            raise event
        return event

    # ------------------------------------------------------------------ received PDUs

    def _take_value(self) -> None:
        """One value at a time, so that the state is always that of the event which the user has seen last."""
        value = self._values.popleft()
        if self.state not in (State.ESTABLISHED, State.AWAIT_RELEASE_REPLY):
            return  # we have aborted in between
        try:
            message = self._assembler.add(value)
        except RemoteProtocolError as error:
            # The PDU is right, the message in it is not: that is for the service user to abort (PS3.8 7.3).
            self._events.append(error)
            self.abort()
            return
        if message is not None:
            self._events.append(events.Received(message))

    def _take_pdu(self) -> Pdu | None:
        if len(self._received) < pdu.HEADER.size:
            return None
        pdu_type, length = pdu.HEADER.unpack_from(self._received)
        pdu.check_header(pdu_type, length, self._max_received_length)
        end = pdu.HEADER.size + length
        if len(self._received) < end:
            return None
        body = memoryview(bytes(memoryview(self._received)[pdu.HEADER.size : end]))
        del self._received[:end]
        return pdu.DECODERS[pdu_type](body)

    def _receive_pdu(self, received: Pdu) -> None:
        try:
            self._perform_if_possible(PDU_EVENTS[type(received)], received)
        except RemoteProtocolError as error:
            self._perform_if_possible(Event.INVALID_PDU, error)

    def _settle(self, request: AssociateRequest, answer: AssociateAccept) -> None:
        """Both sides of the negotiation are known; the other side's Maximum Length is the one we obey."""
        other = answer if self.role is Role.REQUESTOR else request
        self.fragment_length = fragment_length(pdu.maximum_length(other.user_items))
        self.accept_pdu = answer
        self.accepted, self.rejected = match_contexts(request.contexts, answer.contexts)
        self.agreement = agree(request.user_items, answer.user_items)

    def _sendable_length(self, context_id: int) -> int:
        if context_id not in self.accepted:
            raise LocalProtocolError(f"presentation context {context_id} was not accepted")
        return self.fragment_length

    # ------------------------------------------------------------------ the machine

    def _perform(self, event: Event, cause: Cause = None) -> None:
        action = TRANSITIONS.get((event, self.state))
        if action is None:
            words = event.name.lower().replace("_", " ")
            raise LocalProtocolError(f"{words} is not possible in Sta{self.state.value} ({self.state.name})")
        # The state first: an action that finds the PDU invalid, or has two next states, starts from the new one.
        self._came_from, self.state = self.state, ACTIONS[action].next_states[0]
        ACTION_HANDS[action](self, cause)

    def _perform_if_possible(self, event: Event, cause: Cause = None) -> None:
        """For what comes from outside: in a blank cell it concerns nobody any more."""
        if (event, self.state) in TRANSITIONS:
            self._perform(event, cause)

    def _send(self, cause: Cause) -> None:
        assert isinstance(cause, bytes)
        self._outgoing += cause

    def _nothing(self, cause: Cause) -> None:
        """AE-1: the caller connects; DT-1, AR-7: the caller writes the fragment; AA-6: ignored."""

    def _start_artim(self, cause: Cause) -> None:
        self.artim_running = True

    def _stop_artim(self, cause: Cause) -> None:
        self.artim_running = False

    def _close(self, cause: Cause) -> None:
        self.artim_running = False
        self.close_due = True

    def _confirm_accepted(self, cause: Cause) -> None:  # AE-3
        assert isinstance(cause, AssociateAccept) and self.request_pdu is not None
        check_version(cause.protocol_version, "A-ASSOCIATE-AC")
        self._settle(self.request_pdu, cause)
        self._events.append(events.Accepted(cause))

    def _confirm_rejected(self, cause: Cause) -> None:  # AE-4
        assert isinstance(cause, AssociateReject)
        self._events.append(events.Rejected(cause))
        self._close(cause)

    def _indicate_request(self, cause: Cause) -> None:  # AE-6
        assert isinstance(cause, AssociateRequest)
        self._stop_artim(cause)
        try:
            check_version(cause.protocol_version, "A-ASSOCIATE-RQ")
        except RemoteProtocolError as error:
            self.state = State.AWAIT_CLOSE
            answer = AssociateReject(REJECTED_PERMANENT, SOURCE_ACSE, PROTOCOL_VERSION_NOT_SUPPORTED)
            self._send_and_start_artim(answer.encode())
            self._events.append(error)
            return
        fragment_length(pdu.maximum_length(cause.user_items))  # refused here, before our user sees it
        self.request_pdu = cause
        self._events.append(events.Requested(cause))

    def _send_and_start_artim(self, cause: Cause) -> None:  # AE-8
        self._send(cause)
        self._start_artim(cause)

    def _indicate_data(self, cause: Cause) -> None:  # DT-2, AR-6
        assert isinstance(cause, pdu.DataTransfer)
        for value in cause.values:
            if value.context_id not in self.accepted:
                raise RemoteProtocolError(f"P-DATA-TF in context {value.context_id}, which was not accepted")
        self._values.extend(cause.values)

    def _send_release(self, cause: Cause) -> None:  # AR-1
        self._send(pdu.ReleaseRequest().encode())

    def _indicate_release(self, cause: Cause) -> None:  # AR-2
        self._events.append(events.ReleaseRequested())

    def _confirm_released(self, cause: Cause) -> None:  # AR-3
        self._events.append(events.Released())
        self._close(cause)

    def _reply_and_start_artim(self, cause: Cause) -> None:  # AR-4
        self._reply_release(cause)
        self._start_artim(cause)

    def _indicate_collision(self, cause: Cause) -> None:  # AR-8
        if self.role is Role.ACCEPTOR:
            self.state = State.COLLISION_ACCEPTOR_REPLY
        self._events.append(events.ReleaseRequested())

    def _reply_release(self, cause: Cause) -> None:  # AR-9
        self._send(pdu.ReleaseReply().encode())

    def _confirm_collision(self, cause: Cause) -> None:  # AR-10
        self._events.append(events.Released())

    def _abort_as_user(self, cause: Cause) -> None:  # AA-1
        self._send_and_start_artim(pdu.Abort(ABORT_SOURCE_USER).encode())
        if cause is not None:
            self._events.append(self._violation(cause))

    def _indicate_abort(self, cause: Cause) -> None:  # AA-3
        assert isinstance(cause, pdu.Abort)
        self._events.append(events.Aborted(cause.source, cause.reason))
        self._close(cause)

    def _indicate_loss(self, cause: Cause) -> None:  # AA-4
        self._events.append(events.ConnectionLost())

    def _abort_again(self, cause: Cause) -> None:  # AA-7
        self._send(pdu.Abort(ABORT_SOURCE_PROVIDER, self._violation(cause).abort_reason).encode())

    def _abort_as_provider(self, cause: Cause) -> None:  # AA-8
        error = self._violation(cause)
        self._send_and_start_artim(pdu.Abort(ABORT_SOURCE_PROVIDER, error.abort_reason).encode())
        self._events.append(error)

    def _violation(self, cause: Cause) -> RemoteProtocolError:
        if isinstance(cause, RemoteProtocolError):
            return cause
        assert cause is not None and not isinstance(cause, bytes)
        where = f"in Sta{self._came_from.value} ({self._came_from.name})"
        return RemoteProtocolError(f"unexpected {PDU_NAMES[type(cause)]} {where}", AbortReason.UNEXPECTED_PDU)


ACTION_HANDS: dict[Action, Callable[[Association, Cause], None]] = {
    Action.AE_1: Association._nothing,
    Action.AE_2: Association._send,
    Action.AE_3: Association._confirm_accepted,
    Action.AE_4: Association._confirm_rejected,
    Action.AE_5: Association._start_artim,
    Action.AE_6: Association._indicate_request,
    Action.AE_7: Association._send,
    Action.AE_8: Association._send_and_start_artim,
    Action.DT_1: Association._nothing,
    Action.DT_2: Association._indicate_data,
    Action.AR_1: Association._send_release,
    Action.AR_2: Association._indicate_release,
    Action.AR_3: Association._confirm_released,
    Action.AR_4: Association._reply_and_start_artim,
    Action.AR_5: Association._stop_artim,
    Action.AR_6: Association._indicate_data,
    Action.AR_7: Association._nothing,
    Action.AR_8: Association._indicate_collision,
    Action.AR_9: Association._reply_release,
    Action.AR_10: Association._confirm_collision,
    Action.AA_1: Association._abort_as_user,
    Action.AA_2: Association._close,
    Action.AA_3: Association._indicate_abort,
    Action.AA_4: Association._indicate_loss,
    Action.AA_5: Association._stop_artim,
    Action.AA_6: Association._nothing,
    Action.AA_7: Association._abort_again,
    Action.AA_8: Association._abort_as_provider,
}


def check_version(protocol_version: int, what: str) -> None:
    """Only bit 0 is tested (PS3.8 9.3.2 and 9.3.3)."""
    if not protocol_version & pdu.PROTOCOL_VERSION_1:
        raise RemoteProtocolError(f"{what}: protocol version {protocol_version:04X}H does not include version 1")
