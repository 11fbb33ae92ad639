"""What a peer may ask of us, on its association or on ours: C-ECHO and N-EVENT-REPORT. All else is not recognized."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firmware_app.dicom.command import Command, CommandField
from firmware_app.dicom.items import UserIdentity
from firmware_app.dicom.message import Message
from firmware_app.dicom.negotiation import AcceptedContext
from firmware_app.dicom.statuses import (
    INVALID_ARGUMENT_VALUE,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
    UNRECOGNIZED_OPERATION,
)
from firmware_app.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL, VERIFICATION
from firmware_app.net.attributes import decode_received

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """Who asks. `user_identity` is what it said of its user, checked by nobody; only an inbound association has it."""

    ae_title: str
    address: str
    user_identity: UserIdentity | None = None


@dataclass(frozen=True, slots=True)
class EventReport:
    """One N-EVENT-REPORT. `event_type_id` is None where the peer left it out (fo-dicom#323)."""

    peer: PeerIdentity
    sop_class_uid: str
    sop_instance_uid: str
    event_type_id: int | None
    information: bytes | None
    transfer_syntax: str

    def decode(self) -> Dataset:
        """The event information; empty where there is none. AttributesUnreadable."""
        return decode_received(self.information, self.transfer_syntax)


# Takes a report and says with which status it is answered. The peer waits, so it answers before it works.
EventHandler = Callable[[EventReport], Awaitable[int]]


async def expect_no_report(report: EventReport) -> int:
    """The default handler: a commitment that nobody asked for is refused, the news of a printer are merely news.

    A Transaction UID that was never issued is an argument out of place (PS3.7 10.1.1.1.8, 0115H). Success would tell
    the archive that the result has been taken, and it would never be sent to whom it belongs.
    """
    return INVALID_ARGUMENT_VALUE if report.sop_class_uid == STORAGE_COMMITMENT_PUSH_MODEL else SUCCESS


async def perform(
    message: Message, context: AcceptedContext, peer: PeerIdentity, on_event: EventHandler
) -> Command | None:
    """Do what a request asks and give its response; None where it has none."""
    request = message.command
    if request.command_field.is_response or request.command_field is CommandField.C_CANCEL_RQ:
        return None
    if request.command_field is CommandField.C_ECHO_RQ:
        known = request.affected_sop_class_uid in (None, "", VERIFICATION)
        return respond(request, SUCCESS if known else SOP_CLASS_NOT_SUPPORTED)
    if request.command_field is CommandField.N_EVENT_REPORT_RQ:
        report = EventReport(
            peer,
            request.affected_sop_class_uid or context.abstract_syntax,
            request.affected_sop_instance_uid or "",
            request.event_type_id,
            message.data_set,
            context.transfer_syntax,
        )
        return respond(request, await on_event(report))
    return respond(request, UNRECOGNIZED_OPERATION)


def respond(request: Command, status: int) -> Command:
    """The response without a data set; what the request was about goes back with it."""
    return Command(
        command_field=request.command_field.response,
        message_id_being_responded_to=request.message_id,
        affected_sop_class_uid=request.affected_sop_class_uid or request.requested_sop_class_uid,
        affected_sop_instance_uid=request.affected_sop_instance_uid or request.requested_sop_instance_uid,
        status=status,
        event_type_id=request.event_type_id,
    )
