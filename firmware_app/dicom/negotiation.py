"""Presentation contexts: what was proposed against what was answered (PS3.8 9.3.2.2 and 9.3.3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from firmware_app.dicom.errors import LocalProtocolError
from firmware_app.dicom.pdu import MAX_CONTEXTS, ContextResult, ProposedContext
from firmware_app.dicom.reasons import CONTEXT_ACCEPTED, describe_context_result
from firmware_app.dicom.uids import uid_name


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    context_id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class RejectedContext:
    """`result` is None where the peer gave no answer, or one that cannot be used."""

    proposed: ProposedContext
    result: int | None

    @property
    def words(self) -> str:
        syntaxes = ", ".join(uid_name(uid) for uid in self.proposed.transfer_syntaxes)
        why = "no usable answer" if self.result is None else describe_context_result(self.result)
        return f"{uid_name(self.proposed.abstract_syntax)} ({syntaxes}): {why}"


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
