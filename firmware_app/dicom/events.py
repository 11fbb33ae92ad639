"""What an association tells its user: the indications and confirmations of PS3.8 section 7 and 9.1."""

from __future__ import annotations

import msgspec

from firmware_app.dicom.message import Message
from firmware_app.dicom.pdu import AssociateAccept, AssociateReject, AssociateRequest


class Requested(msgspec.Struct, frozen=True):
    """A peer asks for an association: answer with `accept` or `reject`."""

    request: AssociateRequest


class Accepted(msgspec.Struct, frozen=True):
    accept: AssociateAccept


class Rejected(msgspec.Struct, frozen=True):
    reject: AssociateReject


class Received(msgspec.Struct, frozen=True):
    message: Message


class ReleaseRequested(msgspec.Struct, frozen=True):
    """The peer wants to release: answer with `confirm_release`, also when both sides asked at once."""


class Released(msgspec.Struct, frozen=True):
    """The peer has confirmed our release."""


class Aborted(msgspec.Struct, frozen=True):
    """A-ABORT from the peer."""

    source: int
    reason: int


class ConnectionLost(msgspec.Struct, frozen=True):
    """The transport went away under an association that still existed (A-P-ABORT)."""


AssociationEvent = Requested | Accepted | Rejected | Received | ReleaseRequested | Released | Aborted | ConnectionLost
