"""The N- services of PS3.7 section 10 as invoker: one call is one operation, and its response comes back.

`association` has to have a context for the SOP class; a Meta SOP class is negotiated under another UID, so its context
is given as `context`. Attributes go in as a pydicom Dataset and come out by `NormalizedResponse.decode`. A failure
status is a DimseFailure, a warning is a response like a success: the operation has been done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firmware_app.dicom.command import DATA_SET_PRESENT, NO_DATA_SET, Command, CommandField
from firmware_app.dicom.negotiation import AcceptedContext
from firmware_app.dicom.statuses import normalized_category
from firmware_app.net.association import Association
from firmware_app.net.attributes import AttributesUnreadable, decode_received, encode_attributes
from firmware_app.net.data_source import OctetSource
from firmware_app.net.errors import DimseFailure, RemoteProtocolError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True)
class NormalizedResponse:
    """What the peer answered. UIDs that it left out, as it may, are those of the request (fo-dicom#852)."""

    peer: str
    operation: str
    status: int
    sop_class_uid: str
    sop_instance_uid: str
    data_set: bytes | None
    transfer_syntax: str
    error_comment: str = ""
    attribute_identifiers: tuple[int, ...] = ()  # what a warning is about

    @property
    def is_warning(self) -> bool:
        return normalized_category(self.status) == "warning"

    def decode(self) -> Dataset:
        """The attributes, action reply or event reply; empty where the peer sent none. RemoteProtocolError."""
        try:
            return decode_received(self.data_set, self.transfer_syntax)
        except AttributesUnreadable as error:
            raise RemoteProtocolError(self.peer, f"reading the response to {self.operation}", str(error)) from error


async def n_create(
    association: Association,
    sop_class_uid: str,
    sop_instance_uid: str | None = None,
    attributes: Dataset | None = None,
    *,
    context: AcceptedContext | None = None,
) -> NormalizedResponse:
    """Create an instance; without a UID of ours the peer gives it one. Go on with the UID of the response."""
    used = context or association.context(sop_class_uid)
    command = Command(
        command_field=CommandField.N_CREATE_RQ,
        message_id=association.next_message_id(),
        affected_sop_class_uid=sop_class_uid,
        affected_sop_instance_uid=sop_instance_uid,
        data_set_type=announce(attributes),
    )
    response = await invoke(association, used, command, attributes)
    if not response.sop_instance_uid:
        why = "a success without the UID of what has been created"
        raise RemoteProtocolError(association.node.label, "waiting for N-CREATE-RSP", why)
    return response


async def n_set(
    association: Association,
    sop_class_uid: str,
    sop_instance_uid: str,
    attributes: Dataset,
    *,
    context: AcceptedContext | None = None,
) -> NormalizedResponse:
    """Change attributes of an instance; the response holds what it has become, where the peer says so."""
    used = context or association.context(sop_class_uid)
    command = Command(
        command_field=CommandField.N_SET_RQ,
        message_id=association.next_message_id(),
        requested_sop_class_uid=sop_class_uid,
        requested_sop_instance_uid=sop_instance_uid,
        data_set_type=announce(attributes),
    )
    return await invoke(association, used, command, attributes)


async def n_get(
    association: Association,
    sop_class_uid: str,
    sop_instance_uid: str,
    tags: Sequence[int] = (),
    *,
    context: AcceptedContext | None = None,
) -> NormalizedResponse:
    """Read attributes of an instance, those of `tags` or, without any, all."""
    used = context or association.context(sop_class_uid)
    command = Command(
        command_field=CommandField.N_GET_RQ,
        message_id=association.next_message_id(),
        requested_sop_class_uid=sop_class_uid,
        requested_sop_instance_uid=sop_instance_uid,
        attribute_identifiers=tuple(tags) or None,
    )
    return await invoke(association, used, command, None)


async def n_action(
    association: Association,
    sop_class_uid: str,
    sop_instance_uid: str,
    action_type_id: int,
    information: Dataset | None = None,
    *,
    context: AcceptedContext | None = None,
) -> NormalizedResponse:
    """Have the instance do something."""
    used = context or association.context(sop_class_uid)
    command = Command(
        command_field=CommandField.N_ACTION_RQ,
        message_id=association.next_message_id(),
        requested_sop_class_uid=sop_class_uid,
        requested_sop_instance_uid=sop_instance_uid,
        action_type_id=action_type_id,
        data_set_type=announce(information),
    )
    return await invoke(association, used, command, information)


async def n_delete(
    association: Association, sop_class_uid: str, sop_instance_uid: str, *, context: AcceptedContext | None = None
) -> NormalizedResponse:
    """Delete the instance."""
    used = context or association.context(sop_class_uid)
    command = Command(
        command_field=CommandField.N_DELETE_RQ,
        message_id=association.next_message_id(),
        requested_sop_class_uid=sop_class_uid,
        requested_sop_instance_uid=sop_instance_uid,
    )
    return await invoke(association, used, command, None)


async def n_event_report(
    association: Association,
    sop_class_uid: str,
    sop_instance_uid: str,
    event_type_id: int,
    information: Dataset | None = None,
    *,
    context: AcceptedContext | None = None,
) -> NormalizedResponse:
    """Report as SCP, on an association where we have that role."""
    used = context or association.context(sop_class_uid, as_scp=True)
    command = Command(
        command_field=CommandField.N_EVENT_REPORT_RQ,
        message_id=association.next_message_id(),
        affected_sop_class_uid=sop_class_uid,
        affected_sop_instance_uid=sop_instance_uid,
        event_type_id=event_type_id,
        data_set_type=announce(information),
    )
    return await invoke(association, used, command, information)


def announce(attributes: Dataset | None) -> int:
    """The Command Data Set Type: an empty data set is none."""
    return DATA_SET_PRESENT if attributes else NO_DATA_SET


async def invoke(
    association: Association, context: AcceptedContext, command: Command, attributes: Dataset | None
) -> NormalizedResponse:
    """Send the request and wait for its response; DimseFailure for a failure status."""
    operation = command.command_field.words.removesuffix("-RQ")
    source = OctetSource(encode_attributes(attributes, context.transfer_syntax)) if attributes else None
    message = await association.request(context, command, source)
    answer = message.command
    assert answer.status is not None
    if normalized_category(answer.status) == "failure":
        raise DimseFailure(
            association.node.label,
            operation,
            answer.status,
            answer.error_comment,
            answer.offending_elements or answer.attribute_identifiers or (),
            error_id=answer.error_id,
        )
    sop_class_uid = command.affected_sop_class_uid or command.requested_sop_class_uid or ""
    sop_instance_uid = command.affected_sop_instance_uid or command.requested_sop_instance_uid or ""
    return NormalizedResponse(
        association.node.label,
        operation,
        answer.status,
        answer.affected_sop_class_uid or sop_class_uid,
        answer.affected_sop_instance_uid or sop_instance_uid,
        message.data_set,
        context.transfer_syntax,
        answer.error_comment or "",
        answer.attribute_identifiers or (),
    )
