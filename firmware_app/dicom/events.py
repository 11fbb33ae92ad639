"""What an association tells its user: the indications and confirmations of PS3.8 section 7 and 9.1."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_app.dicom.message import Message
from firmware_app.dicom.pdu import AssociateAccept, AssociateReject, AssociateRequest


@dataclass(frozen=True, slots=True)
class Requested:
    """A peer asks for an association: answer with `accept` or `reject`."""

    request: AssociateRequest


@dataclass(frozen=True, slots=True)
class Accepted:
    accept: AssociateAccept


@dataclass(frozen=True, slots=True)
class Rejected:
    reject: AssociateReject


@dataclass(frozen=True, slots=True)
class Received:
    message: Message


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The peer wants to release: answer with `confirm_release`, also when both sides asked at once."""


@dataclass(frozen=True, slots=True)
class Released:
    """The peer has confirmed our release."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """A-ABORT from the peer."""

    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The transport went away under an association that still existed (A-P-ABORT)."""


AssociationEvent = Requested | Accepted | Rejected | Received | ReleaseRequested | Released | Aborted | ConnectionLost
