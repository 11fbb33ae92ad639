"""What two sides agree on in user items: roles, window, extended negotiation, user identity (PS3.7 annex D.3.3)."""

from __future__ import annotations

import pytest

from firmware_app.dicom import events, items, pdu
from firmware_app.dicom.association import MAX_RECEIVED_LENGTH, Association
from firmware_app.dicom.errors import LocalProtocolError
from firmware_app.dicom.items import (
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    MaximumLength,
    RoleSelection,
    UserIdentity,
    UserIdentityReply,
    UserItem,
)
from firmware_app.dicom.negotiation import (
    DEFAULT_ROLES,
    Agreement,
    IdentityKind,
    RejectedContext,
    Roles,
    agree,
    check_proposal,
    describe_rejected,
    items_of,
    propose_contexts,
)
from firmware_app.dicom.pdu import ProposedContext
from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STORAGE_COMMITMENT_PUSH_MODEL,
    VERIFICATION,
)

COMMITMENT = STORAGE_COMMITMENT_PUSH_MODEL
CONTEXTS = propose_contexts([(uid, (IMPLICIT_VR_LITTLE_ENDIAN,)) for uid in (VERIFICATION, COMMITMENT)])


def negotiated(proposed: tuple[UserItem, ...], answered: tuple[UserItem, ...]) -> tuple[Association, Association]:
    """Requestor and acceptor after an association of these items, carried as octets."""
    requestor = Association.requestor(pdu.AssociateRequest("A", "B", CONTEXTS, proposed))
    acceptor = Association.acceptor(16384)
    acceptor.transport_accepted()
    requestor.request()
    requestor.transport_connected()
    acceptor.receive_data(requestor.data_to_send())
    assert isinstance(acceptor.next_event(), events.Requested)
    results = tuple(pdu.ContextResult(one.context_id, 0, IMPLICIT_VR_LITTLE_ENDIAN) for one in CONTEXTS)
    acceptor.accept(pdu.AssociateAccept("A", "B", results, answered))
    requestor.receive_data(acceptor.data_to_send())
    assert isinstance(requestor.next_event(), events.Accepted)
    assert requestor.agreement == acceptor.agreement
    return requestor, acceptor


ROLE_CASES = [
    (None, None, DEFAULT_ROLES),
    (None, (True, True), DEFAULT_ROLES),  # answered without having been asked
    ((True, True), None, DEFAULT_ROLES),
    ((True, True), (True, True), Roles(scu=True, scp=True)),
    ((True, True), (False, True), Roles(scu=False, scp=True)),
    ((False, True), (False, True), Roles(scu=False, scp=True)),
    ((False, True), (True, True), Roles(scu=False, scp=True)),  # nobody gets more than was proposed
    ((True, False), (True, True), Roles(scu=True, scp=False)),
    ((True, True), (False, False), Roles(scu=False, scp=False)),
]


@pytest.mark.parametrize(("proposed", "answered", "roles"), ROLE_CASES)
def test_roles(proposed: tuple[bool, bool] | None, answered: tuple[bool, bool] | None, roles: Roles) -> None:
    requestor, _ = negotiated(
        (RoleSelection(COMMITMENT, *proposed),) if proposed else (),
        (RoleSelection(COMMITMENT, *answered),) if answered else (),
    )
    assert requestor.agreement.roles_for(COMMITMENT) == roles
    assert requestor.agreement.roles_for(VERIFICATION) == DEFAULT_ROLES


WINDOW_CASES = [
    (None, None, (1, 1)),
    (None, (9, 9), (1, 1)),
    ((9, 9), None, (1, 1)),
    ((4, 1), (4, 1), (4, 1)),
    ((4, 3), (2, 9), (2, 3)),
    ((0, 0), (5, 0), (5, 0)),
    ((3, 3), (0, 0), (3, 3)),
]


@pytest.mark.parametrize(("proposed", "answered", "window"), WINDOW_CASES)
def test_the_operations_window_is_the_narrower_one(
    proposed: tuple[int, int] | None, answered: tuple[int, int] | None, window: tuple[int, int]
) -> None:
    requestor, _ = negotiated(
        (AsynchronousOperationsWindow(*proposed),) if proposed else (),
        (AsynchronousOperationsWindow(*answered),) if answered else (),
    )
    assert (requestor.agreement.operations_invoked, requestor.agreement.operations_performed) == window


IDENTITIES = [
    UserIdentity(IdentityKind.NAME, "Jérôme".encode()),
    UserIdentity(IdentityKind.NAME_AND_PASSCODE, b"name", b"secret", True),
    UserIdentity(IdentityKind.KERBEROS, bytes(range(256)) * 8, b"", True),
    UserIdentity(IdentityKind.SAML, b"<saml:Assertion/>"),
    UserIdentity(IdentityKind.JSON_WEB_TOKEN, b"e30.e30.", positive_response_requested=True),
]


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("reply", [None, b"", b"ticket"])
def test_user_identity(identity: UserIdentity, reply: bytes | None) -> None:
    """A missing reply is no error, even to a positive response that was requested (fo-dicom#1110)."""
    answered = () if reply is None else (UserIdentityReply(reply),)
    requestor, acceptor = negotiated((identity,), answered)
    assert requestor.agreement.user_identity_reply == reply
    assert acceptor.request_pdu is not None
    assert items_of(acceptor.request_pdu.user_items, UserIdentity) == [identity]


def test_extended_negotiation() -> None:
    proposed = (
        ExtendedNegotiation(VERIFICATION, b"\1\0\1"),
        CommonExtendedNegotiation(VERIFICATION, "1.2.3", ("1.2.4", "1.2.5")),
    )
    answered = (ExtendedNegotiation(VERIFICATION, b"\1\0\0"), ExtendedNegotiation(COMMITMENT, b"unasked"))
    requestor, acceptor = negotiated(proposed, answered)
    assert requestor.agreement.extended == {VERIFICATION: b"\1\0\0"}
    assert acceptor.request_pdu is not None and acceptor.request_pdu.user_items == proposed


def test_answers_to_what_nobody_proposed_change_nothing() -> None:
    answered = (
        RoleSelection(VERIFICATION, False, False),
        AsynchronousOperationsWindow(7, 7),
        ExtendedNegotiation(VERIFICATION, b"\1"),
        UserIdentityReply(b"who?"),
    )
    assert agree((MaximumLength(16384),), answered) == Agreement()


def test_unknown_items_are_skipped() -> None:
    """Between known ones, and with a body that would be wrong for any other."""
    known = items.encode_user_item(MaximumLength(16384)), items.encode_user_item(AsynchronousOperationsWindow(2, 1))
    octets = known[0] + items.encode_item(0x5A, b"\xff") + items.encode_item(0xFE, bytes(300)) + known[1]
    assert items.decode_user_items(octets) == (MaximumLength(16384), AsynchronousOperationsWindow(2, 1))


@pytest.mark.parametrize(
    ("proposed", "message"),
    [
        ((MaximumLength(1), MaximumLength(2)), "more than one MaximumLength"),
        ((AsynchronousOperationsWindow(1, 1), AsynchronousOperationsWindow(2, 1)), "more than one Asynchronous"),
        ((IDENTITIES[0], IDENTITIES[1]), "more than one UserIdentity"),
        ((RoleSelection(VERIFICATION, True, True), RoleSelection(VERIFICATION, True, False)), "item for Verification"),
        ((ExtendedNegotiation(COMMITMENT, b""), ExtendedNegotiation(COMMITMENT, b"\1")), "item for Storage Commit"),
        ((RoleSelection("1.2.3", True, True),), "roles for 1.2.3, which no context proposes"),
        ((UserIdentityReply(b""),), "reply in an association request"),
        ((UserIdentity(6, b"x"),), "unknown type 6"),
        ((UserIdentity(1, b""),), "without its primary field"),
        ((UserIdentity(1, b"x", b"y"),), "a passcode beside a user identity of type 1"),
    ],
)
def test_proposals_that_make_no_sense(proposed: tuple[UserItem, ...], message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        check_proposal(CONTEXTS, proposed)


def test_passcodes_and_tokens_are_not_in_any_message() -> None:
    assert "secret" not in repr(IDENTITIES[1]) and "e30" not in repr(IDENTITIES[4])


def test_all_items_together_are_a_sensible_proposal() -> None:
    check_proposal(
        CONTEXTS,
        (
            MaximumLength(0),
            AsynchronousOperationsWindow(0, 1),
            RoleSelection(COMMITMENT, False, True),
            RoleSelection(VERIFICATION, True, False),
            ExtendedNegotiation(VERIFICATION, b""),
            CommonExtendedNegotiation(VERIFICATION, "1.2"),
            IDENTITIES[1],
        ),
    )


@pytest.mark.parametrize("length", [1, 7, MAX_RECEIVED_LENGTH + 1])
def test_we_announce_no_length_that_we_cannot_take(length: int) -> None:
    """What leaves no room for data, and what we would then refuse to receive."""
    with pytest.raises(LocalProtocolError, match=f"Maximum Length of {length}"):
        Association.requestor(pdu.AssociateRequest("A", "B", CONTEXTS, (MaximumLength(length),)))
    with pytest.raises(LocalProtocolError, match=f"Maximum Length of {length}"):
        Association.acceptor(length)


def test_a_class_that_was_refused_in_every_syntax_is_named_once() -> None:
    one, other = (
        RejectedContext(ProposedContext(number, VERIFICATION, (syntax,)), 3)
        for number, syntax in ((1, IMPLICIT_VR_LITTLE_ENDIAN), (3, EXPLICIT_VR_LITTLE_ENDIAN))
    )
    unanswered = RejectedContext(ProposedContext(5, VERIFICATION, (EXPLICIT_VR_LITTLE_ENDIAN,)), None)
    assert describe_rejected([one, other, unanswered]) == (
        "Verification (Implicit VR Little Endian, Explicit VR Little Endian): abstract syntax not supported; "
        "Verification (Explicit VR Little Endian): no usable answer"
    )
