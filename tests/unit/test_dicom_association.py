"""Two associations joined in memory, and one association against whatever a peer may send."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_app.dicom import events, pdu
from firmware_app.dicom.association import MAX_RECEIVED_LENGTH, Association
from firmware_app.dicom.command import DATA_SET_PRESENT, Command, CommandField
from firmware_app.dicom.errors import AbortReason, LocalProtocolError, RemoteProtocolError
from firmware_app.dicom.items import MaximumLength
from firmware_app.dicom.message import (
    MAX_SENT_LENGTH,
    Message,
    MessageAssembler,
    fragment_length,
    fragments,
)
from firmware_app.dicom.negotiation import AcceptedContext, describe_rejected, propose_contexts
from firmware_app.dicom.state import State
from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
    SECONDARY_CAPTURE_STORAGE,
    VERIFICATION,
)

PROPOSED = propose_contexts(
    [
        (VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)),
        (SECONDARY_CAPTURE_STORAGE, (JPEG_BASELINE,)),
        (SECONDARY_CAPTURE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)),
    ]
)
ECHO = Command(command_field=CommandField.C_ECHO_RQ, message_id=1, affected_sop_class_uid=VERIFICATION)
STORE = Command(
    command_field=CommandField.C_STORE_RQ,
    message_id=2,
    affected_sop_class_uid=SECONDARY_CAPTURE_STORAGE,
    affected_sop_instance_uid="1.2.3",
    priority=0,
    data_set_type=DATA_SET_PRESENT,
)


def request(max_length: int = 16384) -> pdu.AssociateRequest:
    return pdu.AssociateRequest("CALLED", "CALLING", PROPOSED, (MaximumLength(max_length),))


def answer(*results: pdu.ContextResult, max_length: int | None = 16384) -> pdu.AssociateAccept:
    items = () if max_length is None else (MaximumLength(max_length),)
    return pdu.AssociateAccept("CALLED", "CALLING", results, items)


ALL_ACCEPTED = (
    pdu.ContextResult(1, 0, IMPLICIT_VR_LITTLE_ENDIAN),
    pdu.ContextResult(3, 4, None),
    pdu.ContextResult(5, 0, EXPLICIT_VR_LITTLE_ENDIAN),
)


class Pair:
    """A requestor and an acceptor; `exchange` carries octets until both are silent."""

    def __init__(self, requestor_limit: int = 16384, acceptor_limit: int = 16384) -> None:
        self.requestor = Association.requestor(request(requestor_limit))
        self.acceptor = Association.acceptor(acceptor_limit)
        self.acceptor.transport_accepted()
        self.requestor.request()
        self.requestor.transport_connected()
        (requested,) = self.deliver(self.requestor, self.acceptor)
        assert requested == events.Requested(request(requestor_limit))
        accept = answer(*ALL_ACCEPTED, max_length=acceptor_limit)
        self.acceptor.accept(accept)
        assert self.deliver(self.acceptor, self.requestor) == [events.Accepted(accept)]

    @staticmethod
    def deliver(sender: Association, receiver: Association, more: bytes = b"") -> list[events.AssociationEvent]:
        """One octet at a time, so that every PDU is cut everywhere."""
        seen = []
        for octet in sender.data_to_send() + more:
            receiver.receive_data(bytes([octet]))
            while (event := receiver.next_event()) is not None:
                seen.append(event)
        return seen


def test_a_whole_association() -> None:
    pair = Pair()
    assert pair.requestor.accepted == pair.acceptor.accepted
    assert list(pair.requestor.accepted.values()) == [
        AcceptedContext(1, VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN),
        AcceptedContext(5, SECONDARY_CAPTURE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN),
    ]
    rejected = "Secondary Capture Image Storage (JPEG Baseline): transfer syntaxes not supported"
    assert describe_rejected(pair.requestor.rejected) == rejected
    (received,) = Pair.deliver(pair.requestor, pair.acceptor, pair.requestor.send_command(1, ECHO))
    assert received == events.Received(Message(1, ECHO, None))
    pair.requestor.release()
    assert Pair.deliver(pair.requestor, pair.acceptor) == [events.ReleaseRequested()]
    pair.acceptor.confirm_release()
    assert pair.acceptor.artim_running
    assert Pair.deliver(pair.acceptor, pair.requestor) == [events.Released()]
    assert pair.requestor.close_due and pair.requestor.state is State.IDLE
    pair.acceptor.transport_closed()
    assert pair.acceptor.state is State.IDLE and pair.acceptor.next_event() is None


def test_release_collision_ends_on_both_sides() -> None:
    pair = Pair()
    pair.requestor.release()
    pair.acceptor.release()
    from_requestor, from_acceptor = pair.requestor.data_to_send(), pair.acceptor.data_to_send()
    assert Pair.deliver(pair.requestor, pair.acceptor, from_requestor) == [events.ReleaseRequested()]
    assert Pair.deliver(pair.acceptor, pair.requestor, from_acceptor) == [events.ReleaseRequested()]
    with pytest.raises(LocalProtocolError):
        pair.acceptor.confirm_release()  # Sta10: the requestor's answer comes first
    pair.requestor.confirm_release()
    assert Pair.deliver(pair.requestor, pair.acceptor) == [events.Released()]
    pair.acceptor.confirm_release()
    assert Pair.deliver(pair.acceptor, pair.requestor) == [events.Released()]
    assert pair.requestor.state is State.IDLE and pair.acceptor.state is State.AWAIT_CLOSE


@pytest.mark.parametrize("limit", [8, 9, 14, 128, 16384, 0])
def test_the_receivers_limit_is_obeyed(limit: int) -> None:
    """In both directions the other side's Maximum Length counts; 8 leaves two octets a fragment."""
    pair = Pair(acceptor_limit=limit)
    octets = pair.requestor.send_command(5, STORE)
    data_set = bytes(range(256)) * 3
    for fragment, is_last in fragments(data_set, pair.requestor.fragment_length):
        octets += b"".join(map(bytes, pair.requestor.send_fragment(5, fragment, is_last=is_last)))
    offset = 0
    while offset < len(octets):
        _, length = pdu.HEADER.unpack_from(octets, offset)
        assert not limit or length <= limit
        assert length % 2 == 0
        offset += pdu.HEADER.size + length
    assert Pair.deliver(pair.requestor, pair.acceptor, octets) == [events.Received(Message(5, STORE, data_set))]
    assert pair.acceptor.fragment_length == 16378


@pytest.mark.parametrize(
    ("announced", "length"),
    [(0, MAX_SENT_LENGTH - 6), (0xFFFFFFFF, MAX_SENT_LENGTH - 6), (16384, 16378), (16383, 16376), (9, 2), (8, 2)],
)
def test_fragment_length(announced: int, length: int) -> None:
    assert fragment_length(announced) == length


@pytest.mark.parametrize("announced", [1, 6, 7])
def test_a_limit_that_leaves_no_room_is_the_peers_error(announced: int) -> None:
    association = Association.requestor(request())
    association.request()
    association.transport_connected()
    association.data_to_send()
    association.receive_data(answer(*ALL_ACCEPTED, max_length=announced).encode())
    with pytest.raises(RemoteProtocolError, match="no room"):
        association.next_event()
    assert association.data_to_send() == pdu.Abort(2, AbortReason.INVALID_PARAMETER_VALUE).encode()


def negotiate(accept: pdu.AssociateAccept) -> Association:
    association = Association.requestor(request())
    association.request()
    association.transport_connected()
    association.data_to_send()
    association.receive_data(accept.encode())
    assert association.next_event() == events.Accepted(accept)
    return association


def test_answers_that_cannot_be_used() -> None:
    association = negotiate(
        answer(
            pdu.ContextResult(1, 0, JPEG_BASELINE),  # not what was proposed there
            pdu.ContextResult(3, 0, None),
            pdu.ContextResult(5, 9, ""),
            pdu.ContextResult(5, 0, IMPLICIT_VR_LITTLE_ENDIAN),  # a second answer does not count
            pdu.ContextResult(77, 0, IMPLICIT_VR_LITTLE_ENDIAN),  # never proposed
            max_length=None,
        )
    )
    assert association.accepted == {}
    assert [one.result for one in association.rejected] == [None, None, 9]
    assert "unknown result 9" in describe_rejected(association.rejected)
    assert association.fragment_length == MAX_SENT_LENGTH - 6


def test_an_accept_without_version_1_is_refused() -> None:
    association = Association.requestor(request())
    association.request()
    association.transport_connected()
    octets = bytearray(answer(*ALL_ACCEPTED).encode())
    octets[6:8] = b"\0\x02"
    association.receive_data(octets)
    with pytest.raises(RemoteProtocolError, match="protocol version 0002H"):
        association.next_event()


def test_only_accepted_contexts_even_fragments_and_the_limit() -> None:
    association = negotiate(answer(*ALL_ACCEPTED))
    with pytest.raises(LocalProtocolError, match="context 3"):
        association.send_command(3, STORE)
    for length in (3, 16380):
        with pytest.raises(LocalProtocolError, match=f"{length} octets"):
            association.send_fragment(5, bytes(length), is_last=True)


def test_fragments_are_passed_through_without_a_copy() -> None:
    association = negotiate(answer(*ALL_ACCEPTED))
    octets = bytearray(b"12345678")
    (view, _), *_ = fragments(octets, 16)
    header, passed = association.send_fragment(5, view, is_last=True)
    octets[0:1] = b"X"
    assert header + bytes(passed) == b"\x04\0\0\0\0\x0e\0\0\0\x0a\x05\x02X2345678"


def test_more_than_128_contexts_are_refused_and_equal_ones_merged() -> None:
    pairs = [(f"1.2.{number}", (IMPLICIT_VR_LITTLE_ENDIAN,)) for number in range(128)]
    assert len(propose_contexts(pairs + pairs)) == 128
    with pytest.raises(LocalProtocolError):
        propose_contexts([*pairs, ("1.3", (IMPLICIT_VR_LITTLE_ENDIAN,))])


# ------------------------------------------------------------------ messages

STORED = bytes(range(200))


def store_values() -> list[pdu.PresentationDataValue]:
    """A C-STORE as many small fragments."""
    association = negotiate(answer(*ALL_ACCEPTED))
    association.fragment_length = 10
    octets = association.send_command(5, STORE)
    for fragment, is_last in fragments(STORED, 10):
        octets += b"".join(map(bytes, association.send_fragment(5, fragment, is_last=is_last)))
    values = []
    while octets:
        end = pdu.HEADER.size + pdu.HEADER.unpack_from(octets)[1]
        decoded = pdu.decode_pdu(octets[:end])
        assert isinstance(decoded, pdu.DataTransfer)
        values += decoded.values
        octets = octets[end:]
    return values


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.data())
def test_any_mix_of_fragments_in_pdus_and_of_pdus_in_reads(data: st.DataObject) -> None:
    """Two messages, command and data set sharing PDUs, cut anywhere (dicom-rs#522, fo-dicom#1960)."""
    values = store_values() * 2
    octets = b""
    while values:
        count = data.draw(st.integers(1, len(values)))
        octets += pdu.DataTransfer(tuple(values[:count])).encode()
        values = values[count:]
    association = negotiate(answer(*ALL_ACCEPTED))
    seen = []
    while octets:
        count = data.draw(st.integers(1, len(octets)))
        association.receive_data(octets[:count])
        octets = octets[count:]
        while (event := association.next_event()) is not None:
            seen.append(event)
    assert seen == [events.Received(Message(5, STORE, STORED))] * 2


def value(context_id: int, control: int, fragment: bytes = b"\0\0") -> pdu.PresentationDataValue:
    return pdu.PresentationDataValue(context_id, control, fragment)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([value(1, 1), value(5, 1)], "inside one of 1"),
        ([value(1, 2)], "not of the command"),
        ([*store_values()[:-1], value(5, 3)], "not of the data set"),
        ([value(1, 3, b"garbage!")], "no element|does not fit|not of group"),
        ([value(1, 1, bytes(40000)), value(1, 1, bytes(40000))], "exceed"),
    ],
)
def test_messages_that_make_no_sense_are_aborted_by_us_as_user(
    values: list[pdu.PresentationDataValue], message: str
) -> None:
    association = Association.requestor(request(0))
    association.request()
    association.transport_connected()
    association.receive_data(answer(*ALL_ACCEPTED).encode())
    association.next_event()
    association.data_to_send()
    association.receive_data(pdu.DataTransfer(tuple(values)).encode())
    with pytest.raises(RemoteProtocolError, match=message):
        association.next_event()
    assert association.data_to_send() == pdu.Abort(0).encode()
    assert association.state is State.AWAIT_CLOSE and association.next_event() is None


def test_a_data_set_beyond_the_bound_is_refused() -> None:
    assembler = MessageAssembler(max_data_set=150)
    with pytest.raises(RemoteProtocolError, match="exceed 150"):
        for one in store_values():
            assembler.add(one)


def test_a_context_that_was_not_accepted_is_an_invalid_parameter() -> None:
    association = negotiate(answer(*ALL_ACCEPTED))
    association.receive_data(pdu.DataTransfer((value(3, 3),)).encode())
    with pytest.raises(RemoteProtocolError, match="context 3"):
        association.next_event()
    assert association.data_to_send() == pdu.Abort(2, 6).encode()


# ------------------------------------------------------------------ anything at all

STARTS = {
    "requestor awaiting an answer": lambda: opened_requestor(),
    "established": lambda: negotiate(answer(*ALL_ACCEPTED)),
    "releasing": lambda: releasing(),
    "acceptor": lambda: opened_acceptor(),
}


def opened_requestor() -> Association:
    association = Association.requestor(request())
    association.request()
    association.transport_connected()
    return association


def releasing() -> Association:
    association = negotiate(answer(*ALL_ACCEPTED))
    association.release()
    return association


def opened_acceptor() -> Association:
    association = Association.acceptor(16384)
    association.transport_accepted()
    return association


VALID = [
    request().encode(),
    answer(*ALL_ACCEPTED).encode(),
    pdu.AssociateReject(1, 1, 1).encode(),
    pdu.DataTransfer(tuple(store_values()[:3])).encode(),
    pdu.DataTransfer(tuple(store_values())).encode(),
    pdu.ReleaseRequest().encode(),
    pdu.ReleaseReply().encode(),
    pdu.Abort(2, 1).encode(),
]
headers = st.builds(
    lambda kind, length: pdu.HEADER.pack(kind, length), st.integers(0, 9), st.sampled_from([0, 4, 68, 2**16, 2**32 - 1])
)
streams = st.lists(st.sampled_from(VALID) | headers | st.binary(max_size=80), max_size=6).map(b"".join)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(STARTS)), streams, st.integers(1, 500))
def test_any_octets_in_any_pieces_are_events_or_a_remote_protocol_error(start: str, octets: bytes, step: int) -> None:
    association = STARTS[start]()
    association.data_to_send()
    errors = 0
    for offset in range(0, len(octets), step):
        association.receive_data(octets[offset : offset + step])
        while True:
            try:
                if association.next_event() is None:
                    break
            except RemoteProtocolError:
                errors += 1
                assert association.state is State.AWAIT_CLOSE
                assert association.data_to_send().startswith(b"\x07")
        assert len(association._received) <= pdu.MAX_ASSOCIATE_LENGTH + pdu.HEADER.size
    assert errors <= 1
    association.transport_closed()
    assert association.state is State.IDLE


def test_nothing_is_kept_of_what_is_announced_too_long() -> None:
    association = Association.requestor(request(0))
    association.request()
    association.transport_connected()
    association.receive_data(answer(*ALL_ACCEPTED).encode())
    association.next_event()
    association.receive_data(pdu.HEADER.pack(4, MAX_RECEIVED_LENGTH + 1) + bytes(5000))
    with pytest.raises(RemoteProtocolError, match="announces"):
        association.next_event()
    association.receive_data(bytes(100_000))
    assert association.next_event() is None
    assert len(association._received) == 0
