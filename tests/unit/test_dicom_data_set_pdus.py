"""A block of a data set as P-DATA-TFs: what a receiver puts together again is the block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_app.dicom import pdu
from firmware_app.dicom.association import Association
from firmware_app.dicom.errors import LocalProtocolError
from firmware_app.dicom.items import MaximumLength
from firmware_app.dicom.message import data_set_pdus
from firmware_app.dicom.negotiation import propose_contexts
from firmware_app.dicom.pdu import PDV_OVERHEAD, PresentationDataValue


def values(buffers: list[bytes | memoryview]) -> list[PresentationDataValue]:
    """Each header with its fragment, read as one whole PDU with one value."""
    found = []
    for header, fragment in zip(buffers[::2], buffers[1::2], strict=True):
        received = pdu.decode_pdu(bytes(header) + bytes(fragment))
        assert isinstance(received, pdu.DataTransfer)
        (value,) = received.values
        found.append(value)
    return found


@given(
    octets=st.binary(max_size=600).map(lambda octets: octets[: len(octets) // 2 * 2]),
    length=st.integers(1, 120).map(lambda half: 2 * half),
    is_last=st.booleans(),
)
def test_the_fragments_are_the_block_within_the_limit(octets: bytes, length: int, is_last: bool) -> None:
    found = values(data_set_pdus(5, memoryview(octets), length, is_last=is_last))
    assert b"".join(bytes(value.fragment) for value in found) == octets
    assert all(len(value.fragment) == length for value in found[:-1])
    assert len(found[-1].fragment) <= length
    assert [value.is_last for value in found] == [False] * (len(found) - 1) + [is_last]
    assert {(value.context_id, value.is_command) for value in found} == {(5, False)}


def test_fragments_are_views_of_the_block() -> None:
    block = bytearray(100)
    assert all(fragment.obj is block for fragment in data_set_pdus(1, memoryview(block), 30, is_last=True)[1::2])


def established(max_length: int) -> Association:
    contexts = propose_contexts([("1.2.840.10008.1.1", ("1.2.840.10008.1.2",))])
    association = Association.requestor(pdu.AssociateRequest("PEER", "US", contexts))
    association.request()
    association.transport_connected()
    result = pdu.ContextResult(1, 0, "1.2.840.10008.1.2")
    association.receive_data(pdu.AssociateAccept("PEER", "US", (result,), (MaximumLength(max_length),)).encode())
    association.next_event()
    return association


def test_a_block_obeys_the_peer_and_the_negotiation() -> None:
    association = established(32)
    buffers = association.send_block(1, memoryview(bytes(100)), is_last=True)
    assert [len(value.fragment) for value in values(buffers)] == [32 - PDV_OVERHEAD] * 3 + [22]
    with pytest.raises(LocalProtocolError, match="context 3 was not accepted"):
        association.send_block(3, memoryview(bytes(2)), is_last=True)
    with pytest.raises(LocalProtocolError, match="3 octets, not even"):
        association.send_block(1, memoryview(bytes(3)), is_last=True)
    association.release()
    with pytest.raises(LocalProtocolError, match="not possible in Sta7"):
        association.send_block(1, memoryview(bytes(2)), is_last=True)
