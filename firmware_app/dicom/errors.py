"""What can go wrong in a conversation, and whose fault it is.

ProtocolError
├── LocalProtocolError    we asked for what the state, the negotiation or the standard does not allow; nothing was sent
└── RemoteProtocolError   the peer sent what the standard forbids; `abort_reason` is what the A-ABORT tells it
"""

from __future__ import annotations

from enum import IntEnum


class AbortReason(IntEnum):
    """Reason/Diag of an A-ABORT from the service provider (PS3.8 table 9-26); 3 is reserved."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER_VALUE = 6


class ProtocolError(Exception):
    """Base of both families."""


class LocalProtocolError(ProtocolError):
    pass


class RemoteProtocolError(ProtocolError):
    def __init__(self, message: str, abort_reason: AbortReason = AbortReason.INVALID_PARAMETER_VALUE) -> None:
        super().__init__(message)
        self.abort_reason = abort_reason
