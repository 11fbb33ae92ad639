"""The life of one commitment transaction as a table.

    queued ──ask──► requesting ──accepted──► requested ──reported──► answered
       │                │  └─failed, interrupted─┐  └─timed out─┐        ▲
       └─settled────────┼────────────────────────┴──► expired ──┴─reported┘

A Transaction UID is sent once. When nobody can know whether its request arrived, or no report came in time, it has
expired: its instances are asked for under a new UID, and a report that comes for the old one still counts.
"""

from __future__ import annotations

from enum import StrEnum


class TransactionState(StrEnum):
    QUEUED = "queued"  # made, and never sent
    REQUESTING = "requesting"  # the N-ACTION may be on its way
    REQUESTED = "requested"  # the N-ACTION was answered with success; the report is to come
    ANSWERED = "answered"  # the report came, or there is nothing left to ask for
    EXPIRED = "expired"  # asked in vain


class TransactionEvent(StrEnum):
    ASK = "ask"  # the association stands: the N-ACTION is sent now
    ACCEPTED = "accepted"  # N-ACTION-RSP with success or a warning
    FAILED = "failed"  # N-ACTION-RSP with a failure, or none
    INTERRUPTED = "interrupted"  # the service ended between ASK and the response
    TIMED_OUT = "timed out"
    REPORTED = "reported"
    SETTLED = "settled"  # a late report of an older transaction has answered for every instance


_S, _E = TransactionState, TransactionEvent

# What is not here cannot happen. A report may come twice, overtake the N-ACTION-RSP, or arrive while a restart or the
# end of our patience is being noted.
TRANSITIONS: dict[tuple[TransactionState, TransactionEvent], TransactionState] = {
    (_S.QUEUED, _E.ASK): _S.REQUESTING,
    (_S.QUEUED, _E.SETTLED): _S.ANSWERED,
    (_S.REQUESTING, _E.ACCEPTED): _S.REQUESTED,
    (_S.REQUESTING, _E.FAILED): _S.EXPIRED,
    (_S.REQUESTING, _E.INTERRUPTED): _S.EXPIRED,
    (_S.REQUESTING, _E.REPORTED): _S.ANSWERED,
    (_S.REQUESTED, _E.TIMED_OUT): _S.EXPIRED,
    (_S.REQUESTED, _E.REPORTED): _S.ANSWERED,
    (_S.EXPIRED, _E.REPORTED): _S.ANSWERED,
    (_S.ANSWERED, _E.ACCEPTED): _S.ANSWERED,
    (_S.ANSWERED, _E.FAILED): _S.ANSWERED,
    (_S.ANSWERED, _E.INTERRUPTED): _S.ANSWERED,
    (_S.ANSWERED, _E.TIMED_OUT): _S.ANSWERED,
    (_S.ANSWERED, _E.REPORTED): _S.ANSWERED,
}
# A report can only be of a request that may have been sent.
REPORTABLE = frozenset(state for state, event in TRANSITIONS if event is TransactionEvent.REPORTED)
# Its instances are not asked for otherwise meanwhile.
OPEN = (TransactionState.QUEUED, TransactionState.REQUESTING, TransactionState.REQUESTED)
