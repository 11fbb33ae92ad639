"""Storage Commitment Push Model (PS3.4 annex J) as SCU: the N-ACTION that asks, and the N-EVENT-REPORT that answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from firmware_app.dicom.commitment import (
    ALL_COMMITTED,
    MAX_INSTANCES,
    REQUEST_COMMITMENT,
    SOME_FAILED,
    STORAGE_COMMITMENT_INSTANCE,
    CommitmentReport,
    FailedInstance,
)
from firmware_app.dicom.errors import LocalProtocolError
from firmware_app.dicom.statuses import (
    INVALID_ARGUMENT_VALUE,
    NO_SUCH_EVENT_TYPE,
    NO_SUCH_SOP_CLASS,
    NO_SUCH_SOP_INSTANCE,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
)
from firmware_app.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL, is_uid
from firmware_app.model import ReferencedInstance
from firmware_app.net.association import Association
from firmware_app.net.attributes import MAX_READ_OCTETS, AttributesUnreadable, items_of
from firmware_app.net.normalized import NormalizedResponse, n_action
from firmware_app.net.performer import EventReport

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

NOT_A_UID = "(no UID)"  # what stands for a peer's text that is none: it goes into logs, and was never asked for


class UnusableReport(Exception):
    """A report that cannot be taken: `status` is what it is answered with, the text says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


async def request_commitment(
    association: Association, transaction_uid: str, instances: Sequence[ReferencedInstance]
) -> NormalizedResponse:
    """Ask the peer to commit to the instances. A NetworkError: it may or may not have begun; the UID is used up."""
    return await n_action(
        association,
        STORAGE_COMMITMENT_PUSH_MODEL,
        STORAGE_COMMITMENT_INSTANCE,
        REQUEST_COMMITMENT,
        action_information(transaction_uid, instances),
    )


def action_information(transaction_uid: str, instances: Sequence[ReferencedInstance]) -> Dataset:
    """PS3.4 table J.3-1. LocalProtocolError: none, too many, or one of them twice."""
    from pydicom.dataset import Dataset

    if not 1 <= len(instances) <= MAX_INSTANCES:
        raise LocalProtocolError(f"commitment to {len(instances)} instances; 1 to {MAX_INSTANCES} in one request")
    if len({instance.sop_instance_uid for instance in instances}) < len(instances):
        raise LocalProtocolError(f"transaction {transaction_uid}: the same instance twice")
    items = []
    for instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = instance.sop_class_uid
        item.ReferencedSOPInstanceUID = instance.sop_instance_uid
        items.append(item)
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = items
    return information


def read_report(report: EventReport) -> CommitmentReport:
    """What a report says. `UnusableReport` for one of another class, instance or event, or that makes no sense.

    The contents decide, not the Event Type ID: some peers leave it out (fo-dicom#323).
    """
    if report.sop_class_uid != STORAGE_COMMITMENT_PUSH_MODEL:
        raise UnusableReport(NO_SUCH_SOP_CLASS, f"a report of the class {_shown(report.sop_class_uid)}")
    if report.sop_instance_uid not in ("", STORAGE_COMMITMENT_INSTANCE):
        raise UnusableReport(NO_SUCH_SOP_INSTANCE, f"a report of the instance {_shown(report.sop_instance_uid)}")
    if report.event_type_id not in (None, ALL_COMMITTED, SOME_FAILED):
        raise UnusableReport(NO_SUCH_EVENT_TYPE, f"a report with the event type {report.event_type_id}")
    octets = len(report.information or b"")
    if octets > MAX_READ_OCTETS:
        raise UnusableReport(RESOURCE_LIMITATION, f"a report of {octets} octets; {MAX_READ_OCTETS} are read")
    try:
        information = report.decode()
        transaction_uid = str(information.get("TransactionUID") or "")
        committed = tuple(_reference(item) for item in items_of(information, "ReferencedSOPSequence"))
        failed = tuple(
            FailedInstance(_reference(item), _reason(item)) for item in items_of(information, "FailedSOPSequence")
        )
    except AttributesUnreadable as error:
        raise UnusableReport(PROCESSING_FAILURE, f"its {error}") from error
    if not is_uid(transaction_uid):
        raise UnusableReport(INVALID_ARGUMENT_VALUE, "its Transaction UID is none")
    if not committed and not failed:
        raise UnusableReport(INVALID_ARGUMENT_VALUE, f"on transaction {transaction_uid} it names no instance")
    return CommitmentReport(transaction_uid, committed, failed)


def _reference(item: Dataset) -> ReferencedInstance:
    uids = (str(item.get(keyword) or "") for keyword in ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"))
    return ReferencedInstance(*(uid and _shown(uid) for uid in uids))


def _shown(uid: str) -> str:
    return uid if is_uid(uid) else NOT_A_UID


def _reason(item: Dataset) -> int | None:
    value = item.get("FailureReason")
    return int(value) if isinstance(value, int) and 0 <= value <= 0xFFFF else None  # by an explicit VR it may be any
