"""What both sides agreed on: proposals against answers, in presentation contexts and in user items.

PS3.8 9.3.2.2 and 9.3.3.2 for contexts, PS3.7 annex D.3.3 for the rest. Nothing that was not proposed can be agreed on:
an answer without its proposal is passed over, and one that goes beyond it is cut down to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import TypeVar

import msgspec

from firmware_app.dicom.errors import LocalProtocolError
from firmware_app.dicom.items import (
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserIdentityReply,
    UserItem,
)
from firmware_app.dicom.pdu import MAX_CONTEXTS, ContextResult, ProposedContext
from firmware_app.dicom.reasons import CONTEXT_ACCEPTED, describe_context_result
from firmware_app.dicom.uids import uid_name


class AcceptedContext(msgspec.Struct, frozen=True):
    context_id: int
    abstract_syntax: str
    transfer_syntax: str


class RejectedContext(msgspec.Struct, frozen=True):
    """`result` is None where the peer gave no answer, or one that cannot be used."""

    proposed: ProposedContext
    result: int | None


def describe_rejected(contexts: Iterable[RejectedContext]) -> str:
    """What was answered to these: the syntaxes of a class in one place where the answer was the same."""
    syntaxes: dict[tuple[str, int | None], list[str]] = {}
    for context in contexts:
        answer = (context.proposed.abstract_syntax, context.result)
        syntaxes.setdefault(answer, []).extend(map(uid_name, context.proposed.transfer_syntaxes))
    return "; ".join(
        f"{uid_name(abstract_syntax)} ({', '.join(dict.fromkeys(names))}): "
        + ("no usable answer" if result is None else describe_context_result(result))
        for (abstract_syntax, result), names in syntaxes.items()
    )


def propose_contexts(pairs: Iterable[tuple[str, tuple[str, ...]]]) -> tuple[ProposedContext, ...]:
    """Number (abstract syntax, transfer syntaxes) pairs with the odd ids from 1; equal pairs become one context."""
    distinct = list(dict.fromkeys(pairs))
    if len(distinct) > MAX_CONTEXTS:
        raise LocalProtocolError(f"{len(distinct)} presentation contexts; one association has at most {MAX_CONTEXTS}")
    return tuple(ProposedContext(2 * index + 1, *pair) for index, pair in enumerate(distinct))


def match_contexts(
    proposed: Iterable[ProposedContext], answers: Iterable[ContextResult]
) -> tuple[dict[int, AcceptedContext], tuple[RejectedContext, ...]]:
    """Accepted contexts by id, and the others. Answers to ids that were not proposed are passed over; the first counts.

    A context is accepted only with a transfer syntax that was proposed in it: anything else cannot be decoded.
    """
    answer_of: dict[int, ContextResult] = {}
    for answer in answers:
        answer_of.setdefault(answer.context_id, answer)
    accepted: dict[int, AcceptedContext] = {}
    rejected: list[RejectedContext] = []
    for context in proposed:
        given = answer_of.get(context.context_id)
        if given is None or given.result != CONTEXT_ACCEPTED:
            rejected.append(RejectedContext(context, given.result if given else None))
        elif given.transfer_syntax is None or given.transfer_syntax not in context.transfer_syntaxes:
            rejected.append(RejectedContext(context, None))
        else:
            accepted[context.context_id] = AcceptedContext(
                context.context_id, context.abstract_syntax, given.transfer_syntax
            )
    return accepted, tuple(rejected)


# ---------------------------------------------------------------------- user items

Item = TypeVar("Item", bound=UserItem)
PER_SOP_CLASS = (RoleSelection, ExtendedNegotiation, CommonExtendedNegotiation)


class IdentityKind(IntEnum):
    """User-Identity-Type of a 0x58 item (PS3.7 table D.3-14)."""

    NAME = 1
    NAME_AND_PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JSON_WEB_TOKEN = 5


class Roles(msgspec.Struct, frozen=True):
    """The roles that the requestor of the association has for one SOP class; the acceptor has the counterparts."""

    scu: bool
    scp: bool


DEFAULT_ROLES = Roles(scu=True, scp=False)  # PS3.7 D.3.3.4


class Agreement(msgspec.Struct, frozen=True):
    """The user items of one association, both sides considered. Roles and windows are the requestor's.

    `operations_invoked` is how many operations the requestor may have outstanding, `operations_performed` how many the
    acceptor may; 0 is no limit. `extended` is what the acceptor answered, by SOP class. `user_identity_reply` is None
    where the acceptor gave none, which is no error, also when a positive response was requested.
    """

    roles: Mapping[str, Roles] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    operations_invoked: int = 1
    operations_performed: int = 1
    extended: Mapping[str, bytes] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    user_identity_reply: bytes | None = None

    def roles_for(self, sop_class_uid: str) -> Roles:
        return self.roles.get(sop_class_uid, DEFAULT_ROLES)


def items_of(items: Iterable[UserItem], kind: type[Item]) -> list[Item]:
    """Those of one kind, in wire order."""
    return [item for item in items if isinstance(item, kind)]


def agree(proposed: Sequence[UserItem], answered: Sequence[UserItem]) -> Agreement:
    """The agreement that the items of an A-ASSOCIATE-RQ and of its -AC amount to."""
    answers = {item.sop_class_uid: item for item in items_of(answered, RoleSelection)}
    roles = {
        asked.sop_class_uid: Roles(asked.scu and given.scu, asked.scp and given.scp)
        for asked in items_of(proposed, RoleSelection)
        if (given := answers.get(asked.sop_class_uid)) is not None
    }
    asked_for = {item.sop_class_uid for item in items_of(proposed, ExtendedNegotiation)}
    extended = {
        item.sop_class_uid: item.information
        for item in items_of(answered, ExtendedNegotiation)
        if item.sop_class_uid in asked_for
    }
    replies = items_of(answered, UserIdentityReply) if items_of(proposed, UserIdentity) else []
    invoked, performed = agreed_window(proposed, answered)
    return Agreement(
        MappingProxyType(roles),
        invoked,
        performed,
        MappingProxyType(extended),
        replies[0].server_response if replies else None,
    )


def agreed_window(proposed: Sequence[UserItem], answered: Sequence[UserItem]) -> tuple[int, int]:
    """Operations that the requestor may invoke and perform at once; one each unless both sides spoke of it."""
    asked = items_of(proposed, AsynchronousOperationsWindow)
    given = items_of(answered, AsynchronousOperationsWindow)
    if not asked or not given:
        return 1, 1
    return narrower(asked[0].invoked, given[0].invoked), narrower(asked[0].performed, given[0].performed)


def narrower(one: int, other: int) -> int:
    """The smaller of two limits of which 0 is none."""
    return min(one, other) if one and other else max(one, other)


def check_proposal(contexts: Iterable[ProposedContext], items: Sequence[UserItem]) -> None:
    """LocalProtocolError for user items that an A-ASSOCIATE-RQ may not carry together."""
    keys = [(type(item), item.sop_class_uid if isinstance(item, PER_SOP_CLASS) else "") for item in items]
    for kind, sop_class_uid in keys:
        if keys.count((kind, sop_class_uid)) > 1:
            words = f" for {uid_name(sop_class_uid)}" if sop_class_uid else ""
            raise LocalProtocolError(f"more than one {kind.__name__} item{words} in an association request")
    if items_of(items, UserIdentityReply):
        raise LocalProtocolError("a user identity reply in an association request")
    classes = {context.abstract_syntax for context in contexts}
    for role in items_of(items, RoleSelection):
        if role.sop_class_uid not in classes:
            raise LocalProtocolError(f"roles for {uid_name(role.sop_class_uid)}, which no context proposes")
    for identity in items_of(items, UserIdentity):
        check_identity(identity)


def check_identity(identity: UserIdentity) -> None:
    if identity.kind not in list(IdentityKind):
        raise LocalProtocolError(f"user identity of the unknown type {identity.kind}")
    if not identity.primary:
        raise LocalProtocolError("user identity without its primary field")
    if identity.secondary and identity.kind != IdentityKind.NAME_AND_PASSCODE:
        raise LocalProtocolError(f"a passcode beside a user identity of type {identity.kind}")
