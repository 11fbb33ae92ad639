"""What can go wrong with a peer. Every text names the node, its address and AE title, and what we were doing.

NetworkError
├── ConnectFailed         no TCP connection: refused, unreachable, unknown host, our own address is not there
├── TlsFailed             no TLS, or no more: the text says which certificate, ours or the peer's, and why
├── AssociationRejected   A-ASSOCIATE-RJ: `result`, `source`, `reason`, `permanent`
├── NoUsableContext       accepted, but not with anything we need; the text says what the peer answered
├── Aborted               A-ABORT from the peer: `source`, `reason`
├── PeerReleased          A-RELEASE-RQ from the peer while it still owed us something
├── ConnectionLost        the connection ended without a word
├── TimedOut              `what` did not come within `waited_s`
├── RemoteProtocolError   the peer broke the protocol
└── DimseFailure          a response with a failure `status`

`worth_retrying` says whether the same attempt may succeed later without a person changing something.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from firmware_app.dicom.negotiation import RejectedContext, describe_rejected
from firmware_app.dicom.reasons import describe_abort, describe_rejection, is_permanent_rejection
from firmware_app.dicom.statuses import describe_status, find_category


class NetworkError(Exception):
    """Base of everything a peer, or the way to it, can do to us."""

    worth_retrying: ClassVar[bool] = True


class ConnectFailed(NetworkError):
    def __init__(self, label: str, why: str) -> None:
        super().__init__(f"{label}: cannot connect: {why}")


class TlsFailed(NetworkError):
    worth_retrying = False

    def __init__(self, label: str, doing: str, why: str) -> None:
        super().__init__(f"{label}: TLS: {why}, while {doing}")


class AssociationRejected(NetworkError):
    def __init__(self, label: str, calling_ae_title: str, result: int, source: int, reason: int) -> None:
        super().__init__(f"{label}: association of {calling_ae_title} {describe_rejection(result, source, reason)}")
        self.result = result
        self.source = source
        self.reason = reason
        self.permanent = is_permanent_rejection(result)


class NoUsableContext(NetworkError):
    worth_retrying = False

    def __init__(self, label: str, rejected: Sequence[RejectedContext], why: str = "") -> None:
        answers = describe_rejected(rejected) or why or "no presentation context was proposed for it"
        super().__init__(f"{label}: accepts nothing that is needed here: {answers}")
        self.rejected = tuple(rejected)


class Aborted(NetworkError):
    def __init__(self, label: str, doing: str, source: int, reason: int) -> None:
        super().__init__(f"{label}: association {describe_abort(source, reason)}, while {doing}")
        self.source = source
        self.reason = reason


class PeerReleased(NetworkError):
    def __init__(self, label: str, doing: str) -> None:
        super().__init__(f"{label}: released the association, while {doing}")


class ConnectionLost(NetworkError):
    def __init__(self, label: str, doing: str, why: str) -> None:
        super().__init__(f"{label}: {why}, while {doing}")


class TimedOut(NetworkError):
    def __init__(self, label: str, what: str, waited_s: float) -> None:
        super().__init__(f"{label}: no {what} within {waited_s:g} s")
        self.what = what
        self.waited_s = waited_s


class RemoteProtocolError(NetworkError):
    def __init__(self, label: str, doing: str, why: str) -> None:
        super().__init__(f"{label}: broke the DICOM protocol, while {doing}: {why}")


class DimseFailure(NetworkError):
    """`offending_elements` are the tags that the peer named, for example the missing ones with 0120H.

    `words` describe a status that means something else in this service than elsewhere. `error_id` (0000,0903) is what
    the peer said beside a general status, such as A710H in PS3.4 table F.7.2-2.
    """

    def __init__(
        self,
        label: str,
        operation: str,
        status: int,
        comment: str | None = None,
        offending_elements: Sequence[int] = (),
        words: str = "",
        error_id: int | None = None,
    ) -> None:
        remark = f" ({comment!r})" if comment else ""
        failed = f"{label}: {operation} failed with status {words or describe_status(status)}"
        super().__init__(f"{failed}{remark}{because_of(offending_elements)}")
        self.without_comment = failed
        self.status = status
        self.comment = comment or ""
        self.offending_elements = tuple(offending_elements)
        self.error_id = error_id


def because_of(offending_elements: Sequence[int]) -> str:
    """The tags that a peer named, in words to be appended; empty where it named none (PS3.7 annex C)."""
    tags = ", ".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in offending_elements)
    return f", because of {tags}" if tags else ""


def log_text(error: Exception) -> str:
    """What may be logged of it: a peer's own comment may name the patient, and is only shown."""
    return error.without_comment if isinstance(error, DimseFailure) else str(error)


def is_worth_retrying(error: NetworkError) -> bool:
    """Whether the same attempt may succeed later without anybody changing anything."""
    if isinstance(error, AssociationRejected):
        return not error.permanent
    if isinstance(error, DimseFailure):
        return find_category(error.status) == "retry"
    return error.worth_retrying
