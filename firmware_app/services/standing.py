"""Where one instance stands at one node: the only place that makes the words for it. Pure.

The queue's screen, `specular queue` and the log all show what is made here, so that they cannot disagree.
"""

from __future__ import annotations

from enum import StrEnum

from firmware_app.dicom.statuses import SUCCESS, describe_status
from firmware_app.model import CommitmentState, Delivery, DeliveryState, Event, EventLevel
from firmware_app.records.steering import Tally


class Standing(StrEnum):
    CAPTURED = "captured"
    QUEUED = "queued"
    HELD = "held"
    SENDING = "sending"
    STORED = "stored"
    COMMITMENT_REQUESTED = "commitment requested"
    COMMITTED = "committed"
    COMMITMENT_REFUSED = "commitment refused"
    FAILED = "failed"
    REMOVED = "removed"


_STATES = {
    DeliveryState.CAPTURED: Standing.CAPTURED,
    DeliveryState.QUEUED: Standing.QUEUED,
    DeliveryState.HELD: Standing.HELD,
    DeliveryState.SENDING: Standing.SENDING,
    DeliveryState.FAILED: Standing.FAILED,
}
_COMMITMENTS = {
    CommitmentState.NONE: Standing.STORED,
    CommitmentState.REQUESTED: Standing.COMMITMENT_REQUESTED,
    CommitmentState.COMMITTED: Standing.COMMITTED,
    CommitmentState.REFUSED: Standing.COMMITMENT_REFUSED,
}


def standing(
    state: DeliveryState,
    commitment: CommitmentState = CommitmentState.NONE,
    *,
    node_held: bool = False,
    removed: bool = False,
) -> Standing:
    """One word; what a node was asked to commit to counts only of what it has stored."""
    if removed:
        return Standing.REMOVED
    if state is DeliveryState.QUEUED and node_held:
        return Standing.HELD
    return _COMMITMENTS[commitment] if state is DeliveryState.STORED else _STATES[state]


def standing_of(delivery: Delivery | Tally) -> Standing:
    removed = delivery.removed if isinstance(delivery, Tally) else bool(delivery.removed_at)
    return standing(delivery.state, delivery.commitment, node_held=delivery.node_held, removed=removed)


def shown_moment(iso: str) -> str:
    """The records' UTC to the second, for people: `2026-03-01 09:00:02Z`; empty stays empty."""
    return f"{iso[:10]} {iso[11:19]}Z" if iso else ""


def why(delivery: Delivery) -> str:
    """The reason in our own words, for a log too: a peer's own comment may name the patient, and is only shown."""
    if delivery.status is None:
        return delivery.reason
    return "" if delivery.status == SUCCESS else describe_status(delivery.status)


def sentence(delivery: Delivery, *, reason: str | None = None) -> str:
    """The word, and what belongs to it: why, how often it was tried, when next. `reason`: instead of `why`."""
    word = standing_of(delivery)
    reason = why(delivery) if reason is None else reason
    because = f": {reason}" if reason else ""
    tried = f" after {times(delivery.attempts)}" if delivery.attempts else ""
    match word:
        case Standing.CAPTURED:
            return f"{word}: not queued for any node"
        case Standing.QUEUED:
            next_attempt = f", next attempt {shown_moment(delivery.next_attempt_at)}" if delivery.attempts else ""
            again = f"; {delivery.commitment_reason}" if delivery.commitment_reason else ""
            return f"{word}{tried}{next_attempt}{because}{again}"
        case Standing.HELD:
            which = f"node {delivery.node} is held" if delivery.state is DeliveryState.QUEUED else "by hand"
            return f"{word} ({which}){tried}{because}"
        case Standing.SENDING:
            return f"{word}, {ordinal(delivery.attempts)} attempt"
        case Standing.FAILED:
            return f"{word}{tried}, not tried again until somebody decides{because}"
        case Standing.STORED:
            warning = f" with a warning{because}" if reason else ""
            return f"{word}{warning}"
        case Standing.REMOVED:
            return f"{word} from this instrument {shown_moment(delivery.removed_at)}"
    about = f": {delivery.commitment_reason}" if delivery.commitment_reason else ""
    warning = f"; stored with a warning{because}" if reason else ""
    return f"{word}{about}{warning}"


def shown(delivery: Delivery) -> str:
    """As `sentence`, with the peer's own comment, for those who may see the patient."""
    return sentence(delivery, reason=delivery.reason)


def times(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"


def moved(kind: str, delivery: Delivery, level: EventLevel = "info") -> Event:
    """For the log: the instance stands otherwise than before."""
    data: dict[str, object] = {
        "sop_instance_uid": delivery.sop_instance_uid,
        "node": delivery.node,
        "standing": str(standing_of(delivery)),
        "status": delivery.status,
        "attempts": delivery.attempts,
        "next_attempt_at": delivery.next_attempt_at,
    }
    at = f" for {delivery.node}" if delivery.node else ""
    return Event(kind, f"{delivery.sop_instance_uid}{at}: {sentence(delivery)}", data, level)
