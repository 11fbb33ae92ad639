"""Storage commitment without I/O (PS3.4 annex J): what a report says, how far it is believed, what a failure asks for.

A report is a claim of a peer about a request of ours. It is believed only for the instances of that request: what it
leaves out has no result, and what it adds is said and passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from firmware_app.dicom.statuses import NO_SUCH_SOP_INSTANCE, PROCESSING_FAILURE, RESOURCE_LIMITATION
from firmware_app.model import ReferencedInstance

STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"  # the well-known one: PS3.4 J.3.5
REQUEST_COMMITMENT = 1  # Action Type ID: PS3.4 J.3.2.1.1
ALL_COMMITTED, SOME_FAILED = 1, 2  # Event Type ID: PS3.4 J.3.3.1.1
# A report repeats the request: with 200 references of two UIDs it has 40 kB, and is read in some 10 ms.
MAX_INSTANCES = 200
# Each is an event; a report about other instances altogether would make thousands of them.
MAX_REMARKS = 20

SOP_CLASS_NOT_SUPPORTED = 0x0122
CLASS_INSTANCE_CONFLICT = 0x0119
DUPLICATE_TRANSACTION = 0x0131


class Reaction(Enum):
    """What is done about an instance that a node did not commit to."""

    STORE_AGAIN = "store again"  # it is not there: send it again, then ask again
    ASK_LATER = "ask later"
    ASK_ANEW = "ask anew"  # nothing is wrong with the instance, only with the Transaction UID
    GIVE_UP = "give up"  # asking again would be answered the same: a person decides


# Failure Reason (0008,1197), PS3.3 C.14.1.1.
FAILURE_REASONS: Mapping[int, tuple[str, Reaction]] = {
    PROCESSING_FAILURE: ("processing failure", Reaction.ASK_LATER),
    NO_SUCH_SOP_INSTANCE: ("no such object instance", Reaction.STORE_AGAIN),
    RESOURCE_LIMITATION: ("resource limitation", Reaction.ASK_LATER),
    SOP_CLASS_NOT_SUPPORTED: ("referenced SOP class not supported", Reaction.GIVE_UP),
    CLASS_INSTANCE_CONFLICT: ("class and instance conflict", Reaction.GIVE_UP),
    DUPLICATE_TRANSACTION: ("duplicate transaction UID", Reaction.ASK_ANEW),
}


def describe_failure(reason: int | None) -> str:
    """For example `0112H no such object instance`."""
    if reason is None:
        return "failed, without a reason"
    words, _ = FAILURE_REASONS.get(reason, ("a reason that the standard does not define", Reaction.GIVE_UP))
    return f"{reason:04X}H {words}"


def reaction_to(reason: int | None) -> Reaction:
    """An unknown reason, or none, is nothing that we know a remedy for."""
    known = None if reason is None else FAILURE_REASONS.get(reason)
    return known[1] if known else Reaction.GIVE_UP


@dataclass(frozen=True, slots=True)
class FailedInstance:
    instance: ReferencedInstance
    reason: int | None


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """One report as it came. UIDs are those that the peer wrote; a class is empty where it wrote none."""

    transaction_uid: str
    committed: tuple[ReferencedInstance, ...] = ()
    failed: tuple[FailedInstance, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is believed of a report, and in words what is not.

    `committed` and `failed` hold only instances of the request; `missing` are those without a result.
    """

    committed: tuple[str, ...] = ()
    failed: Mapping[str, int | None] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def judge(report: CommitmentReport, requested: Iterable[ReferencedInstance]) -> Judgement:
    """Hold a report against its request. An instance that is both committed and failed has failed."""
    class_of = {instance.sop_instance_uid: instance.sop_class_uid for instance in requested}
    remarks: list[str] = []
    failed: dict[str, int | None] = {}
    for each in report.failed:
        if _is_of_request(each.instance, class_of, remarks):
            failed.setdefault(each.instance.sop_instance_uid, each.reason)
    committed: dict[str, None] = {}
    for instance in report.committed:
        if instance.sop_instance_uid in failed:
            remarks.append(f"{instance.sop_instance_uid} is reported both as committed and as failed")
        elif _is_of_request(instance, class_of, remarks):
            committed[instance.sop_instance_uid] = None
    missing = tuple(uid for uid in class_of if uid not in failed and uid not in committed)
    remarks += (f"{uid} is missing from the report" for uid in missing)
    if len(remarks) > MAX_REMARKS:
        remarks[MAX_REMARKS - 1 :] = [f"{len(remarks) - MAX_REMARKS + 1} more like these"]
    return Judgement(tuple(committed), failed, missing, tuple(remarks))


def _is_of_request(instance: ReferencedInstance, class_of: Mapping[str, str], remarks: list[str]) -> bool:
    uid = instance.sop_instance_uid
    if uid not in class_of:
        remarks.append(f"{uid} was not asked for")
        return False
    if instance.sop_class_uid not in ("", class_of[uid]):
        remarks.append(f"{uid} is reported as {instance.sop_class_uid}, but is {class_of[uid]}")
        return False
    return True
