"""Any octets, in any pieces: every decoder gives a value or the error of its contract, soon and in bounded memory."""

from __future__ import annotations

import io
import struct
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzz_targets import (
    ACCEPT,
    ESCAPES,
    FIXED_BOUND,
    LENGTH_BOUND,
    REQUEST,
    STARTS,
    TARGETS,
    established,
    requesting,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_app.dicom import events, pdu
from firmware_app.dicom.command import Command, CommandField, encode_command
from firmware_app.dicom.errors import RemoteProtocolError
from firmware_app.dicom.message import MAX_RECEIVED_DATA_SET, Message
from firmware_app.dicom.state import State
from firmware_app.dicom.uids import VERIFICATION

some = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.data_too_large])

ECHO = Command(command_field=CommandField.C_ECHO_RSP, message_id_being_responded_to=1, status=0)
ECHO_RQ = Command(command_field=CommandField.C_ECHO_RQ, message_id=1, affected_sop_class_uid=VERIFICATION)


def data(*values: bytes, context_id: int = 1, control: int = 3) -> bytes:
    return pdu.DataTransfer(tuple(pdu.PresentationDataValue(context_id, control, value) for value in values)).encode()


WHOLE = [
    REQUEST.encode(),
    ACCEPT.encode(),
    pdu.AssociateReject(2, 3, 1).encode(),
    data(encode_command(ECHO)),
    data(encode_command(ECHO_RQ)),
    data(encode_command(ECHO), b"garbage!"),
    data(encode_command(ECHO)[:20], control=1),
    pdu.ReleaseRequest().encode(),
    pdu.ReleaseReply().encode(),
    pdu.Abort(2, 1).encode(),
]
lengths = st.sampled_from([0, 1, 2, 4, 6, 68, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
headers = st.builds(pdu.HEADER.pack, st.integers(0, 9) | st.just(255), lengths)
little_elements = st.builds(
    lambda group, element, length, value: struct.pack("<HHI", group, element, length) + value,
    st.sampled_from([0, 2, 8, 0x10, 0x20, 0x32, 0x40, 0xFFFE]),
    st.sampled_from([0, 1, 2, 5, 0x10, 0x20, 0x100, 0x800, 0xE000, 0xE00D, 0xE0DD]),
    lengths,
    st.binary(max_size=12),
)
escapes = st.sampled_from([b"\x1b" + escape for escape in ESCAPES] + [b"\x1b", b"^", b"=", b"\\"])
pieces = st.sampled_from(WHOLE) | headers | little_elements | escapes | st.binary(max_size=60)
streams = st.lists(pieces, max_size=8).map(b"".join)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Something valid with a few octets changed, cut out or put in."""
    octets = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(octets) - 1, 0)))
        octets[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(octets)


@pytest.mark.parametrize("name", sorted(TARGETS))
@some
@given(octets=streams | damaged() | st.tuples(st.binary(min_size=3, max_size=3), streams).map(b"".join))
def test_any_octets(name: str, octets: bytes) -> None:
    TARGETS[name](octets)


@some
@given(
    start=st.integers(0, len(STARTS) - 1),
    stream=st.lists(st.sampled_from(WHOLE) | damaged(), max_size=8).map(b"".join),
    step=st.integers(0, 255),
    ours=st.integers(0, 30),
)
def test_an_association_in_any_state(start: int, stream: bytes, step: int, ours: int) -> None:
    TARGETS["association"](bytes((start, step, ours)) + stream)


# ------------------------------------------------------------------ what one PDU may hold


def test_the_state_is_that_of_the_event_seen_last() -> None:
    """A broken fragment behind a whole message in the same PDU: the message counts, and we may still release."""
    association = established()
    association.data_to_send()
    association.receive_data(data(encode_command(ECHO), b"garbage!"))
    assert association.next_event() == events.Received(Message(1, ECHO, None))
    assert association.state is State.ESTABLISHED
    association.release()
    with pytest.raises(RemoteProtocolError):
        association.next_event()
    assert association.data_to_send() == pdu.ReleaseRequest().encode() + pdu.Abort(0).encode()


def test_what_is_left_of_a_pdu_is_nothing_after_our_abort() -> None:
    association = established()
    association.receive_data(data(encode_command(ECHO), b"garbage!", encode_command(ECHO)))
    assert isinstance(association.next_event(), events.Received)
    association.abort()
    assert association.next_event() is None
    assert association.state is State.AWAIT_CLOSE


def test_behind_an_invalid_pdu_nothing_is_read_any_more() -> None:
    """Nobody can tell where the next PDU would start; so one A-ABORT, not one for each piece of garbage."""
    association = requesting()
    association.data_to_send()
    association.receive_data(b"\x99" * 50)
    with pytest.raises(RemoteProtocolError):
        association.next_event()
    assert association.data_to_send() == pdu.Abort(2, 1).encode()
    association.receive_data(b"\x99" * 50 + REQUEST.encode())
    assert association.next_event() is None
    assert association.data_to_send() == b""


# ------------------------------------------------------------------ memory


def item(item_type: int, length: int, body: bytes = b"") -> bytes:
    return struct.pack(">BxH", item_type, length) + body


def associate(body: bytes, pdu_type: int = 2) -> bytes:
    return pdu.encode_pdu(pdu_type, b"\0\1\0\0" + bytes(64) + body)


NESTED = struct.pack("<HHI", 0x0040, 0x0100, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
EMPTY_ITEMS = b"\xfe\xff\0\xe0\0\0\0\0" * 10_000
ANNOUNCED = {
    "a PDU of 4 GiB": ("association", b"\0\xff\xff\2\0\xff\xff\xff\xff" + bytes(64)),
    "data of 4 GiB": ("association", b"\1\xff\xff\4\0\xff\xff\xff\xff" + bytes(64)),
    "a value of 4 GiB": ("pdu", pdu.encode_pdu(4, b"\xff\xff\xff\xff\1\3" + bytes(64))),
    "an item of 64 KiB": ("pdu", associate(item(0x50, 0xFFFF))),
    "an element of 4 GiB": ("data_set", struct.pack("<HHI", 8, 5, 0xFFFFFFFE) + bytes(64)),
    "a command element of 4 GiB": ("command", struct.pack("<HHI", 0, 2, 0xFFFFFFFF) + bytes(64)),
    "meta information of 4 GiB": ("part10", bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, 0xFFFFFFFF)),
}
CROWDED = {
    "empty user items": ("pdu", associate(item(0x50, 65532, item(0x55, 0) * 16383))),
    "empty sub-items of many contexts": (
        "pdu",
        associate(b"".join(item(0x20, 1000, b"\1\0\0\0" + item(0x30, 0) + item(0x40, 0) * 248) for _ in range(128)), 1),
    ),
    "more contexts than there are": ("pdu", associate(item(0x21, 4, b"\1\0\4\0") * 10_000)),
    "empty values": ("pdu", pdu.encode_pdu(4, b"\0\0\0\2\1\1" * 20_000)),
    "empty fragments": ("association", b"\1\xff\xff" + data(*[b""] * 2700, control=1) * 4),
    "command elements": ("command", struct.pack("<HHI", 0, 0x0901, 0) * 8000),
    "offending elements": ("command", struct.pack("<HHI", 0, 0x0901, 60000) + bytes(60000)),
    "empty elements": ("data_set", b"".join(struct.pack("<HHI", 9, one, 0) for one in range(65536))),
    "empty items": ("worklist_item", struct.pack("<HHI", 0x40, 0x100, 0xFFFFFFFF) + EMPTY_ITEMS),
    "empty codes": (
        "worklist_item",
        struct.pack("<HHI", 0x32, 0x1064, 0xFFFFFFFF) + b"\xfe\xff\0\xe0\0\0\0\0" * 10_000,
    ),
    "nesting": ("worklist_item", NESTED * 30000),
    "escape sequences": ("charset", b"\0\0" + b"\x1b$B\x1b(B" * 20000),
    "character sets": ("worklist_item", struct.pack("<HHI", 8, 5, 60000) + b"?\\" * 30000),
}


@pytest.mark.parametrize("case", [*ANNOUNCED, *CROWDED])
def test_memory_is_bounded_by_what_arrived(case: str) -> None:
    """Announced lengths cost nothing, and what is really there a constant factor, linear in time too."""
    name, octets = (ANNOUNCED | CROWDED)[case]
    TARGETS[name](octets[:3])  # tables and caches that are built once
    tracemalloc.start()
    try:
        TARGETS[name](octets)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= FIXED_BOUND + (0 if case in ANNOUNCED else LENGTH_BOUND * len(octets))


def test_a_message_without_end_is_refused_at_its_bound() -> None:
    association = established()
    stored = Command(
        command_field=CommandField.C_FIND_RSP, message_id_being_responded_to=1, status=0xFF00, data_set_type=1
    )
    association.receive_data(data(encode_command(stored)))
    assert association.next_event() is None
    fragment = data(bytes(16000), control=0)
    tracemalloc.start()
    try:
        for _ in range(MAX_RECEIVED_DATA_SET // 16000):
            association.receive_data(fragment)
            assert association.next_event() is None
        with pytest.raises(RemoteProtocolError, match=f"exceed {MAX_RECEIVED_DATA_SET}"):
            association.receive_data(fragment)
            association.next_event()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 2 * MAX_RECEIVED_DATA_SET


def test_octet_by_octet_costs_no_more_than_the_octets() -> None:
    """A PDU that trickles in is neither copied nor decoded again for each octet of it."""
    association = requesting()
    octets = associate(item(0x50, 65532, item(0x55, 0) * 16383))
    tracemalloc.start()
    try:
        for octet in octets[:-1]:
            association.receive_data(bytes((octet,)))
            assert association.next_event() is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 3 * len(octets)


# ------------------------------------------------------------------ seeds


def recorded(shared: Path) -> Iterator[tuple[str, bytes]]:
    folder = shared / "data" / "dicom"
    for path in sorted([*folder.glob("recorded_peers/*.bin"), *folder.glob("profuzzbench_dcmqrscp/*")]):
        octets = path.read_bytes()
        for start in range(len(STARTS)):
            yield "association", bytes((start, 255, 255)) + octets
        for offset in range(0, min(len(octets), 4000), 97):
            yield "pdu", octets[offset:]
            yield "command", octets[offset : offset + 400]
            yield "worklist_item", octets[offset : offset + 2000]
    for path in sorted(folder.glob("pynetdicom_encoded/*.bin")):
        for name in TARGETS:
            yield name, path.read_bytes()


def malformed_files(shared: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(shared / "data" / "dicom" / "pwnlabmx_corpus_v3_cat02-09.tar.xz") as corpus:
        for member in corpus:
            file = corpus.extractfile(member) if member.isfile() else None
            if file is not None:
                octets = io.BytesIO(file.read()).getvalue()
                for name in ("part10", "data_set", "worklist_item"):
                    yield name, octets
                    yield name, octets[132:]


Seeds = Callable[[Path], Iterator[tuple[str, bytes]]]


@pytest.mark.shared_data
@pytest.mark.parametrize("seeds", [recorded, malformed_files])
def test_seeds(shared: Path, seeds: Seeds) -> None:
    count = 0
    for name, octets in seeds(shared):
        TARGETS[name](octets)
        count += 1
    assert count > 500
