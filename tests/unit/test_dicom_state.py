"""PS3.8 table 9-10: the table against an independent one, and every cell driven through the association object."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pynetdicom import fsm as oracle

from firmware_app.dicom import pdu
from firmware_app.dicom.association import ACTION_HANDS, Association
from firmware_app.dicom.command import Command, CommandField
from firmware_app.dicom.errors import LocalProtocolError, RemoteProtocolError
from firmware_app.dicom.items import MaximumLength
from firmware_app.dicom.state import ACTIONS, TRANSITIONS, Action, Event, State
from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

LIMIT = (MaximumLength(16384),)
REQUEST = pdu.AssociateRequest(
    "CALLED", "CALLING", (pdu.ProposedContext(1, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)),), LIMIT
)
ACCEPT = pdu.AssociateAccept("CALLED", "CALLING", (pdu.ContextResult(1, 0, IMPLICIT_VR_LITTLE_ENDIAN),), LIMIT)
REJECT = pdu.AssociateReject(1, 1, 7)
DATA = pdu.DataTransfer((pdu.PresentationDataValue(1, pdu.COMMAND_FRAGMENT, b"\0\0"),))  # not the last: no message yet
RELEASE_RQ, RELEASE_RP, ABORT = pdu.ReleaseRequest(), pdu.ReleaseReply(), pdu.Abort(0)
INVALID = b"\x99\0\0\0\0\0"


def receive(association: Association, octets: bytes) -> None:
    association.receive_data(octets)
    try:
        while association.next_event() is not None:
            pass
    except RemoteProtocolError:
        pass
    assert association.next_event() is None


def send_echo(association: Association) -> None:
    """An association without a negotiation accepts no context; the machine is what is under test here."""
    if association.accepted:
        command = Command(command_field=CommandField.C_ECHO_RQ, message_id=1, affected_sop_class_uid=VERIFICATION)
        association.send_command(1, command)
    else:
        association._perform(Event.DATA_REQUEST)


EVENTS: dict[Event, Callable[[Association], None]] = {
    Event.ASSOCIATE_REQUEST: lambda one: one.request(),
    Event.TRANSPORT_CONFIRM: lambda one: one._perform(Event.TRANSPORT_CONFIRM, REQUEST.encode()),
    Event.ASSOCIATE_AC_PDU: lambda one: receive(one, ACCEPT.encode()),
    Event.ASSOCIATE_RJ_PDU: lambda one: receive(one, REJECT.encode()),
    Event.TRANSPORT_INDICATION: lambda one: one.transport_accepted(),
    Event.ASSOCIATE_RQ_PDU: lambda one: receive(one, REQUEST.encode()),
    Event.ASSOCIATE_ACCEPT: lambda one: one._perform(Event.ASSOCIATE_ACCEPT, ACCEPT.encode()),
    Event.ASSOCIATE_REJECT: lambda one: one.reject(REJECT),
    Event.DATA_REQUEST: send_echo,
    Event.DATA_PDU: lambda one: receive(one, DATA.encode()),
    Event.RELEASE_REQUEST: lambda one: one.release(),
    Event.RELEASE_RQ_PDU: lambda one: receive(one, RELEASE_RQ.encode()),
    Event.RELEASE_RP_PDU: lambda one: receive(one, RELEASE_RP.encode()),
    Event.RELEASE_RESPONSE: lambda one: one.confirm_release(),
    Event.ABORT_REQUEST: lambda one: one.abort(),
    Event.ABORT_PDU: lambda one: receive(one, ABORT.encode()),
    Event.TRANSPORT_CLOSED: lambda one: one.transport_closed(),
    Event.ARTIM_EXPIRED: lambda one: one.artim_expired(),
    Event.INVALID_PDU: lambda one: receive(one, INVALID),
}


def requestor(*steps: Event) -> Association:
    association = Association.requestor(REQUEST)
    for step in steps:
        EVENTS[step](association)
    association.data_to_send()
    return association


def acceptor(*steps: Event) -> Association:
    association = Association.acceptor(16384)
    for step in steps:
        if step is Event.ASSOCIATE_ACCEPT:
            association.accept(ACCEPT)
        else:
            EVENTS[step](association)
    association.data_to_send()
    return association


OPEN = (Event.ASSOCIATE_REQUEST, Event.TRANSPORT_CONFIRM, Event.ASSOCIATE_AC_PDU)
OPENED = (Event.TRANSPORT_INDICATION, Event.ASSOCIATE_RQ_PDU, Event.ASSOCIATE_ACCEPT)
COLLISION = (Event.RELEASE_REQUEST, Event.RELEASE_RQ_PDU)
# How an association really gets into each state, as requestor or as acceptor.
IN_STATE: dict[State, Callable[[], Association]] = {
    State.IDLE: requestor,
    State.AWAIT_REQUEST: lambda: acceptor(Event.TRANSPORT_INDICATION),
    State.AWAIT_LOCAL_ANSWER: lambda: acceptor(*OPENED[:2]),
    State.AWAIT_TRANSPORT: lambda: requestor(*OPEN[:1]),
    State.AWAIT_ANSWER: lambda: requestor(*OPEN[:2]),
    State.ESTABLISHED: lambda: requestor(*OPEN),
    State.AWAIT_RELEASE_REPLY: lambda: requestor(*OPEN, Event.RELEASE_REQUEST),
    State.AWAIT_LOCAL_RELEASE: lambda: requestor(*OPEN, Event.RELEASE_RQ_PDU),
    State.COLLISION_REQUESTOR_LOCAL: lambda: requestor(*OPEN, *COLLISION),
    State.COLLISION_ACCEPTOR_REPLY: lambda: acceptor(*OPENED, *COLLISION),
    State.COLLISION_REQUESTOR_REPLY: lambda: requestor(*OPEN, *COLLISION, Event.RELEASE_RESPONSE),
    State.COLLISION_ACCEPTOR_LOCAL: lambda: acceptor(*OPENED, *COLLISION, Event.RELEASE_RP_PDU),
    State.AWAIT_CLOSE: lambda: requestor(*OPEN, Event.ABORT_REQUEST),
}
USER_ABORT = pdu.Abort(0).encode()
SENT: dict[Action, bytes] = {
    Action.AE_2: REQUEST.encode(),
    Action.AE_7: ACCEPT.encode(),
    Action.AE_8: REJECT.encode(),
    Action.AR_1: RELEASE_RQ.encode(),
    Action.AR_4: RELEASE_RP.encode(),
    Action.AR_9: RELEASE_RP.encode(),
    Action.AA_1: USER_ABORT,
}
STARTS_ARTIM = {Action.AE_5, Action.AE_8, Action.AR_4, Action.AA_1, Action.AA_8}
CLOSES = {Action.AE_4, Action.AR_3, Action.AA_2, Action.AA_3}


def test_the_table_is_that_of_the_standard() -> None:
    ours = {(f"Evt{event.value}", f"Sta{state.value}"): action.value for (event, state), action in TRANSITIONS.items()}
    assert len(ours) == 123
    assert ours == oracle.TRANSITION_TABLE


@pytest.mark.parametrize("action", list(Action))
def test_each_action_leads_where_the_standard_says(action: Action) -> None:
    assert ACTIONS[action].next_states
    theirs = oracle.ACTIONS[action.value][2]
    expected = {theirs} if isinstance(theirs, str) else set(theirs)
    assert {f"Sta{state.value}" for state in ACTIONS[action].next_states} == expected


def test_each_action_has_hands() -> None:
    assert set(ACTION_HANDS) == set(Action) == set(ACTIONS)


@pytest.mark.parametrize("state", list(State))
def test_each_state_is_reached_by_a_real_conversation(state: State) -> None:
    assert IN_STATE[state]().state is state


@pytest.mark.parametrize(("event", "state"), sorted(TRANSITIONS), ids=lambda one: f"{type(one).__name__}{one.value}")
def test_each_cell(event: Event, state: State) -> None:
    association = IN_STATE[state]()
    action = TRANSITIONS[event, state]
    EVENTS[event](association)
    assert association.state in ACTIONS[action].next_states
    sent = association.data_to_send()
    if action in (Action.AA_7, Action.AA_8):
        reason = 1 if event is Event.INVALID_PDU else 2
        assert sent == pdu.Abort(2, reason).encode()
    else:
        assert sent == SENT.get(action, b"")
    if action in STARTS_ARTIM:
        assert association.artim_running
    if action in CLOSES:
        assert association.close_due and not association.artim_running


BLANK = [(event, state) for event in Event for state in State if (event, state) not in TRANSITIONS]
LOCAL = {
    Event.ASSOCIATE_REQUEST,
    Event.TRANSPORT_CONFIRM,
    Event.TRANSPORT_INDICATION,
    Event.ASSOCIATE_ACCEPT,
    Event.ASSOCIATE_REJECT,
    Event.DATA_REQUEST,
    Event.RELEASE_REQUEST,
    Event.RELEASE_RESPONSE,
}


@pytest.mark.parametrize(("event", "state"), BLANK, ids=lambda one: f"{type(one).__name__}{one.value}")
def test_each_blank_cell(event: Event, state: State) -> None:
    association = IN_STATE[state]()
    if event in LOCAL:
        with pytest.raises(LocalProtocolError, match=f"Sta{state.value}"):
            EVENTS[event](association)
    else:
        EVENTS[event](association)
    assert association.state is state
    assert association.data_to_send() == b""


def test_what_belongs_to_the_other_role_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="no request to accept"):
        Association.acceptor(16384).accept(ACCEPT)
    with pytest.raises(LocalProtocolError, match="an acceptor requests no association"):
        Association.acceptor(16384).transport_connected()


def test_release_collision_of_the_acceptor() -> None:
    association = acceptor(*OPENED, *COLLISION)
    assert association.state is State.COLLISION_ACCEPTOR_REPLY


def test_a_request_of_another_protocol_version_is_rejected_by_the_layer_itself() -> None:
    association = acceptor(Event.TRANSPORT_INDICATION)
    octets = bytearray(REQUEST.encode())
    octets[6:8] = b"\0\x02"
    receive(association, bytes(octets))
    assert association.state is State.AWAIT_CLOSE and association.artim_running
    assert association.data_to_send() == pdu.AssociateReject(1, 2, 2).encode()


def test_artim_stops_when_the_transport_closes() -> None:
    for state in (State.AWAIT_REQUEST, State.AWAIT_CLOSE):
        association = IN_STATE[state]()
        assert association.artim_running
        association.transport_closed()
        assert not association.artim_running
