"""PDUs: octets of other toolkits read and written back, and every length checked."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom import pdu as oracle
from pynetdicom.tests import encoded_pdu_items as samples

from firmware_app.dicom import items, pdu
from firmware_app.dicom.errors import AbortReason, LocalProtocolError, RemoteProtocolError
from firmware_app.dicom.uids import APPLICATION_CONTEXT, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

few = settings(max_examples=40, deadline=None, derandomize=True)
WHOLE = {
    name: getattr(samples, name)
    for name in dir(samples)
    if name.startswith(("a_associate_r", "a_associate_a", "a_release", "a_abort", "a_p_abort", "p_data_tf"))
}
# The length field of this sample is 14 octets short of the sample.
SHORT = WHOLE["a_associate_ac_user"]
WHOLE["a_associate_ac_user"] = SHORT[:2] + struct.pack(">I", len(SHORT) - 6) + SHORT[6:]
EMPTY_TITLES = {"a_associate_rq_called", "a_associate_rq_calling"}

PRESENTATION_RESERVED = b"\x01\x00\xff\x00"  # DCMTK 3.6.0 wrote FFH into a reserved octet of its contexts


@pytest.mark.parametrize("name", sorted(set(WHOLE) - EMPTY_TITLES))
def test_samples_of_pynetdicom_are_read_and_written_back(name: str) -> None:
    octets = WHOLE[name]
    assert pdu.decode_pdu(octets).encode() == octets.replace(PRESENTATION_RESERVED, b"\x01\x00\x00\x00")


@pytest.mark.parametrize("name", sorted(EMPTY_TITLES))
def test_an_empty_ae_title_is_read_but_never_written(name: str) -> None:
    request = pdu.decode_pdu(WHOLE[name])
    with pytest.raises(LocalProtocolError, match="AE title"):
        request.encode()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("maximum_length_received", items.MaximumLength(16382)),
        ("asynchronous_window_ops", items.AsynchronousOperationsWindow(5, 5)),
        ("role_selection", items.RoleSelection("1.2.840.10008.5.1.4.1.1.21", False, True)),
        ("role_selection_odd", items.RoleSelection("1.2.840.10008.5.1.4.1.1.2", False, True)),
        ("implementation_class_uid_empty", items.ImplementationClassUid("")),
        ("implementation_version_name_empty", items.ImplementationVersionName("")),
        ("user_identity_ac", items.UserIdentityReply(b"Accepted")),
        ("user_identity_rq_user_nopw", items.UserIdentity(1, b"pynetdicom", b"", True)),
        ("user_identity_rq_user_pass", items.UserIdentity(2, b"pynetdicom", b"p4ssw0rd", False)),
        ("extended_negotiation", items.ExtendedNegotiation("1.2.840.10008.5.1.4.1.1.2", b"\x02\0\x03\0\x01\0")),
        (
            "common_extended_negotiation",
            items.CommonExtendedNegotiation(
                "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.4.2", ("1.2.840.10008.5.1.4.1.1.88.22",)
            ),
        ),
    ],
)
def test_user_items(name: str, expected: items.UserItem) -> None:
    octets = getattr(samples, name)
    assert items.decode_user_items(octets) == (expected,)
    assert items.encode_user_item(expected) == octets


def test_unknown_items_are_skipped() -> None:
    octets = b"\x5a\0\0\x03xyz" + samples.maximum_length_received + b"\xff\0\0\0"
    assert items.decode_user_items(octets) == (items.MaximumLength(16382),)
    body = request().encode()[6:] + b"\x60\0\0\x02\0\0"
    assert pdu.AssociateRequest.decode_body(memoryview(body)) == request()


def test_unknown_sub_items_of_a_context_are_skipped() -> None:
    unknown = items.encode_item(0x77, b"??")
    proposed = b"\x01\0\0\0" + unknown + request().contexts[0].encode()[8:] + unknown
    assert pdu.ProposedContext.decode_body(memoryview(proposed)) == request().contexts[0]
    answered = b"\x01\0\0\0" + unknown + items.encode_item(0x40, IMPLICIT_VR_LITTLE_ENDIAN.encode())
    expected = pdu.ContextResult(1, 0, IMPLICIT_VR_LITTLE_ENDIAN)
    assert pdu.ContextResult.decode_body(memoryview(answered)) == expected


# ------------------------------------------------------------------ random primitives, both ways

uids = st.from_regex(r"\A[0-2]\.[1-9][0-9]{0,8}(\.(0|[1-9][0-9]{0,8})){1,4}\Z")
ae_titles = st.from_regex(r"\A[A-Z0-9_]([A-Z0-9_ ]{0,14}[A-Z0-9_])?\Z")
user_items = st.tuples(
    st.builds(items.MaximumLength, st.integers(0, 0xFFFFFFFF)),
    st.builds(items.ImplementationClassUid, uids),
    st.builds(items.ImplementationVersionName, st.from_regex(r"\A[A-Z0-9_]{1,16}\Z")),
    st.builds(items.AsynchronousOperationsWindow, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)),
    st.builds(items.RoleSelection, uids, st.booleans(), st.booleans()),
    st.builds(items.ExtendedNegotiation, uids, st.binary(min_size=1, max_size=20)),
    st.builds(items.CommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=3).map(tuple)),
    # pynetdicom writes a wrong length for an empty primary field
    st.builds(items.UserIdentity, st.integers(1, 5), st.binary(min_size=1, max_size=30), st.just(b""), st.booleans()),
)
contexts = st.lists(
    st.tuples(st.sampled_from(range(1, 256, 2)), uids, st.lists(uids, min_size=1, max_size=3).map(tuple)),
    min_size=1,
    max_size=4,
    unique_by=lambda context: context[0],
).map(lambda rows: tuple(pdu.ProposedContext(*row) for row in rows))


@few
@given(ae_titles, ae_titles, contexts, user_items)
def test_requests_are_what_pynetdicom_reads_and_writes(
    called: str, calling: str, proposed: tuple[pdu.ProposedContext, ...], chosen: tuple[items.UserItem, ...]
) -> None:
    octets = pdu.AssociateRequest(called, calling, proposed, chosen).encode()
    assert pdu.decode_pdu(octets) == pdu.AssociateRequest(called, calling, proposed, chosen)
    theirs = oracle.A_ASSOCIATE_RQ()
    theirs.decode(octets)
    assert theirs.encode() == octets
    assert (theirs.called_ae_title, theirs.calling_ae_title) == (called, calling)
    assert [context.presentation_context_id for context in theirs.presentation_context] == [
        context.context_id for context in proposed
    ]


@few
@given(contexts, st.data())
def test_accepts_are_what_pynetdicom_reads_and_writes(
    proposed: tuple[pdu.ProposedContext, ...], data: st.DataObject
) -> None:
    answers = tuple(
        pdu.ContextResult(context.context_id, data.draw(st.integers(0, 4)), context.transfer_syntaxes[0])
        for context in proposed
    )
    accept = pdu.AssociateAccept("CALLED", "CALLING", answers, (items.MaximumLength(0),))
    octets = accept.encode()
    assert pdu.decode_pdu(octets) == accept
    theirs = oracle.A_ASSOCIATE_AC()
    theirs.decode(octets)
    assert theirs.encode() == octets
    assert [context.result for context in theirs.presentation_context] == [answer.result for answer in answers]


@few
@given(st.binary(max_size=300), st.sampled_from(sorted(pdu.DECODERS)))
def test_any_body_is_a_pdu_or_a_remote_protocol_error(body: bytes, pdu_type: int) -> None:
    try:
        decoded = pdu.DECODERS[pdu_type](memoryview(body))
    except RemoteProtocolError:
        return
    assert pdu_type == decoded.PDU_TYPE


@few
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_a_damaged_sample_is_a_pdu_or_a_remote_protocol_error(name: str, data: st.DataObject) -> None:
    octets = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        pdu.decode_pdu(bytes(octets))
    except RemoteProtocolError:
        return


# ------------------------------------------------------------------ what is refused


def request(**changes: object) -> pdu.AssociateRequest:
    fields: dict[str, object] = {
        "called_ae_title": "CALLED",
        "calling_ae_title": "CALLING",
        "contexts": (pdu.ProposedContext(1, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)),),
        "user_items": (items.MaximumLength(16384),),
    }
    return pdu.AssociateRequest(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"\x00\0\0\0\0\x04", AbortReason.UNRECOGNIZED_PDU),
        (b"\x08\0\0\0\0\x04", AbortReason.UNRECOGNIZED_PDU),
        (b"\x01\0\xff\xff\xff\xff", AbortReason.INVALID_PARAMETER_VALUE),
        (b"\x02\0\x00\x08\x00\x01", AbortReason.INVALID_PARAMETER_VALUE),
        (b"\x04\0\x00\x00\x40\x01", AbortReason.INVALID_PARAMETER_VALUE),
        (b"\x07\0\x00\x00\x00\x05", AbortReason.INVALID_PARAMETER_VALUE),
    ],
)
def test_a_bad_header_is_refused_before_its_body(header: bytes, reason: AbortReason) -> None:
    pdu_type, length = pdu.HEADER.unpack(header)
    with pytest.raises(RemoteProtocolError) as caught:
        pdu.check_header(pdu_type, length, 16384)
    assert caught.value.abort_reason is reason


def test_the_announced_limit_itself_is_allowed() -> None:
    pdu.check_header(pdu.DataTransfer.PDU_TYPE, 16384, 16384)
    pdu.check_header(pdu.AssociateRequest.PDU_TYPE, pdu.MAX_ASSOCIATE_LENGTH, 16384)


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"\x05\0\0\0\0\x02\0\0", id="release of two octets"),
        pytest.param(b"\x03\0\0\0\0\x00", id="reject of none"),
        pytest.param(b"\x04\0\0\0\0\x00", id="data without a value"),
        pytest.param(b"\x04\0\0\0\0\x06\0\0\0\x01\x01\x03", id="value length 1"),
        pytest.param(b"\x04\0\0\0\0\x06\0\0\0\x03\x01\x03", id="value longer than the PDU"),
        pytest.param(b"\x04\0\0\0\0\x06\xff\xff\xff\xff\x01\x03", id="value of 4 GiB"),
        pytest.param(b"\x04\0\0\0\0\x07\0\0\0\x02\x01\x03\x00", id="one octet behind the value"),
        pytest.param(b"\x01\0\0\0\0\x04\0\x01\0\0", id="request of four octets"),
        pytest.param(request().encode()[:-1], id="shorter than announced"),
        pytest.param(request().encode() + b"\0", id="longer than announced"),
        pytest.param(b"\x05\0\0", id="half a header"),
    ],
)
def test_a_malformed_pdu_is_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        pdu.decode_pdu(octets)


def encoded(contexts: bytes, user: bytes = b"") -> bytes:
    body = b"\0\x01\0\0" + b"CALLED".ljust(16) + b"CALLING".ljust(16) + bytes(32)
    body += items.encode_item(0x10, APPLICATION_CONTEXT.encode()) + contexts + items.encode_item(0x50, user)
    return pdu.encode_pdu(1, body)


ONE = request().contexts[0].encode()


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (encoded(ONE + ONE), "used twice"),
        (encoded(ONE.replace(b"\x01\0\0\0\x30", b"\x02\0\0\0\x30", 1)), "not odd"),
        (encoded(items.encode_item(0x20, b"\x01\0\0\0")), "no abstract syntax"),
        (encoded(ONE * 129), "129 presentation contexts"),
        (encoded(ONE, samples.maximum_length_received * 2), "more than one Maximum Length"),
        (encoded(ONE, b"\x51\0\0\x02\0\0"), "needs 4 octets"),
        (encoded(ONE, b"\x51\0\0\x08\0\0\0\0"), "needs 8 octets"),
    ],
)
def test_a_malformed_request_names_what_is_wrong(octets: bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        pdu.decode_pdu(octets)


@pytest.mark.parametrize("junk", [b"", b"\x40\0\0\0", b"\x40\0\xff\xffjunk", b"\x99", b"\x40\0\0\x011"])
def test_the_transfer_syntax_of_a_rejected_context_is_not_significant(junk: bytes) -> None:
    body = memoryview(b"\x01\0\x04\0" + junk)
    assert pdu.ContextResult.decode_body(body).result == 4


@pytest.mark.parametrize(
    "bad",
    [
        request(called_ae_title="SEVENTEEN_LETTERS"),
        request(calling_ae_title="   "),
        request(calling_ae_title="A\\B"),
        request(calling_ae_title="ÄÖÜ"),
        request(contexts=()),
        request(contexts=(pdu.ProposedContext(2, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)),)),
        request(contexts=(pdu.ProposedContext(257, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)),)),
        request(contexts=(pdu.ProposedContext(1, VERIFICATION, ()),)),
        request(contexts=(pdu.ProposedContext(1, "1." * 33, (IMPLICIT_VR_LITTLE_ENDIAN,)),)),
        request(contexts=request().contexts * 129),
        request(user_items=(items.ImplementationVersionName("SEVENTEEN_LETTERS"),)),
        request(user_items=(items.UserIdentity(4, bytes(70000)),)),
        request(user_items=(items.ExtendedNegotiation("1.2", bytes(65535)),)),
    ],
)
def test_what_the_standard_forbids_is_not_written(bad: pdu.AssociateRequest) -> None:
    with pytest.raises(LocalProtocolError):
        bad.encode()
