"""Storage Commitment Push Model (PS3.4 Annex J) over what the archive holds.

Every request is remembered until its report has been answered. The report goes over a new association to the station
that asked, with the SCP role proposed for us (PS3.7 D.3.3.4), at its own address and the port it is known by.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, cast

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from firmware_app.demo.holdings import Holdings
from firmware_app.demo.scp import LOOPBACK, UNCOMPRESSED, Report, Service, association, refusal

SUCCESS = 0x0000
# PS3.7 annex C
NO_SUCH_SOP_INSTANCE = 0x0112
INVALID_ARGUMENT_VALUE = 0x0115
NO_SUCH_ACTION_TYPE = 0x0123
# PS3.3 C.14.1.1, Failure Reason
PROCESSING_FAILURE = 0x0110
NO_SUCH_OBJECT_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
DUPLICATE_TRANSACTION_UID = 0x0131

REQUEST_COMMITMENT = 1  # PS3.4 table J.3.2-1
ALL_COMMITTED, SOME_FAILED = 1, 2  # PS3.4 table J.3.3-1
ANSWER_FIRST_S = 0.1  # so that the answer to a request is not overtaken by its report
WAIT_S = 5.0  # also the longest that an unanswering station keeps us from ending
MAX_REQUESTS = 1000

CommitmentMode = Literal["normal", "never", "late", "twice", "same", "unknown", "fail"]
LATE_S = 3.0


@dataclass(slots=True)
class CommitmentFault:
    """How the archive reports: `late` after LATE_S, `same` on the association of the request, `unknown` with another
    Transaction UID, `fail` for every instance, `never` not before it is told to."""

    mode: CommitmentMode = "normal"


@dataclass(frozen=True, slots=True)
class Request:
    """One N-ACTION. `duplicate`: its Transaction UID had been used before."""

    transaction_uid: str
    references: tuple[tuple[str, str], ...]  # SOP Class UID, SOP Instance UID
    station_ae_title: str
    station_ip: str
    duplicate: bool = False


class Commitments:
    """What was asked, and the reports about it. Safe to call from the threads of several associations."""

    def __init__(
        self, ae_title: str, holdings: Holdings, fault: CommitmentFault, station_port: int, report: Report
    ) -> None:
        self._ae_title = ae_title
        self._holdings = holdings
        self._fault = fault
        self._station_port = station_port
        self._report = report
        self._lock = threading.Lock()
        self._unreported: OrderedDict[str, Request] = OrderedDict()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._reporting: set[Association] = set()
        self._ended = False

    def take(self, request: Request, asked_on: Association) -> None:
        """Remember a request and, unless told otherwise, begin to report."""
        with self._lock:
            request = replace(request, duplicate=request.transaction_uid in self._seen)
            self._seen[request.transaction_uid] = None
            self._unreported[request.transaction_uid] = request
            if len(self._seen) > MAX_REQUESTS:
                oldest, _ = self._seen.popitem(last=False)
                self._unreported.pop(oldest, None)
        mode = self._fault.mode
        if mode != "never":
            delay_s = LATE_S if mode == "late" else ANSWER_FIRST_S
            same = asked_on if mode == "same" else None
            self._start(delay_s, request, mode, same)

    def report_now(self) -> None:
        """Report, as the fault now has it, on everything that has not been reported."""
        with self._lock:
            waiting = list(self._unreported.values())
        for request in waiting:
            self._start(0.0, request, self._fault.mode, None)

    def end(self) -> None:
        """Report nothing more: break off what is being reported, which would otherwise keep the process."""
        with self._lock:
            self._ended = True
            reporting = list(self._reporting)
        for made in reporting:
            if made.is_established:
                made.abort()

    def _start(self, delay_s: float, request: Request, mode: CommitmentMode, same: Association | None) -> None:
        timer = threading.Timer(delay_s, self._tell, (request, mode, same))
        timer.daemon = True
        timer.start()

    def _tell(self, request: Request, mode: CommitmentMode, same: Association | None) -> None:
        information, event_type = self._information(request, mode)
        known: dict[str, object] = {
            "transaction_uid": str(information.TransactionUID),
            "called": request.station_ae_title,
            "event_type": event_type,
            "committed": len(information.get("ReferencedSOPSequence", [])),
            "failed": len(information.get("FailedSOPSequence", [])),
        }
        with self._association(request, same) as to_station:
            if to_station is None:
                text = f"{request.station_ae_title} accepts no association on port {self._station_port}"
                self._report("commitment_report", status=None, reason=text, **known)
                return
            over = "new" if same is None else "same"
            for _ in range(2 if mode == "twice" else 1):
                status = send_report(to_station, information, event_type)
                if status == f"{SUCCESS:04X}" and mode != "unknown":
                    with self._lock:
                        self._unreported.pop(request.transaction_uid, None)
                self._report("commitment_report", status=status, over=over, **known)

    def _information(self, request: Request, mode: CommitmentMode) -> tuple[Dataset, int]:
        held = {str(one.header.SOPInstanceUID): str(one.header.SOPClassUID) for one in self._holdings.instances()}
        committed, failed = [], []
        for sop_class_uid, sop_instance_uid in request.references:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
            reason = failure_reason(request, mode, sop_class_uid, held.get(sop_instance_uid))
            if reason is None:
                committed.append(item)
            else:
                item.FailureReason = reason
                failed.append(item)
        information = Dataset()
        information.TransactionUID = generate_uid() if mode == "unknown" else request.transaction_uid
        if committed:
            information.ReferencedSOPSequence = committed
        if failed:
            information.FailedSOPSequence = failed
        return information, SOME_FAILED if failed else ALL_COMMITTED

    @contextmanager
    def _association(self, request: Request, same: Association | None) -> Iterator[Association | None]:
        """The association of the request, if it is to be that and still there; otherwise a new one; or none."""
        if same is not None:
            yield same if same.is_established else None
            return
        entity = AE(self._ae_title)
        entity.add_requested_context(StorageCommitmentPushModel, list(UNCOMPRESSED))
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = WAIT_S
        made = entity.associate(
            request.station_ip,
            self._station_port,
            ae_title=request.station_ae_title,
            ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
            bind_address=(LOOPBACK, 0),
        )
        with self._lock:
            self._reporting.add(made)
            usable = made.is_established and not self._ended
        try:
            yield made if usable and made.accepted_contexts else None
        finally:
            with self._lock:
                self._reporting.remove(made)
            if made.is_established:
                made.release()


def failure_reason(
    request: Request, mode: CommitmentMode, sop_class_uid: str, held_class_uid: str | None
) -> int | None:
    """Why one instance is not committed to; None where it is."""
    if request.duplicate:
        return DUPLICATE_TRANSACTION_UID
    if mode == "fail":
        return PROCESSING_FAILURE
    if held_class_uid is None:
        return NO_SUCH_OBJECT_INSTANCE
    return None if held_class_uid == sop_class_uid else CLASS_INSTANCE_CONFLICT


def send_report(to_station: Association, information: Dataset, event_type: int) -> str | None:
    """One N-EVENT-REPORT; the status of its answer as four digits, None where there was none."""
    try:
        answer, _ = to_station.send_n_event_report(
            information, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
    except (RuntimeError, ValueError):  # the association ended meanwhile; or the station has not accepted the role
        return None
    return f"{answer.Status:04X}" if "Status" in answer else None


def commitment(commitments: Commitments, report: Report) -> Service:
    def on_action(event: evt.Event) -> tuple[int | Dataset, Dataset | None]:
        request = cast(N_ACTION, event.request)
        information = event.action_information if request.ActionInformation else Dataset()
        status, comment = action_problem(request, information)
        references = tuple(
            (str(item.get("ReferencedSOPClassUID", "")), str(item.get("ReferencedSOPInstanceUID", "")))
            for item in information.get("ReferencedSOPSequence") or []
        )
        transaction_uid = str(information.get("TransactionUID", ""))
        report(
            "commitment",
            status=f"{status:04X}",
            transaction_uid=transaction_uid,
            instances=[instance for _, instance in references],
            **association(event),
            **({"reason": comment} if comment else {}),
        )
        if status != SUCCESS:
            return refusal(status, comment), None
        requestor = event.assoc.requestor
        asked = Request(transaction_uid, references, str(requestor.ae_title).strip(), str(requestor.address))
        commitments.take(asked, event.assoc)
        return SUCCESS, None

    return Service({StorageCommitmentPushModel: UNCOMPRESSED}, {evt.EVT_N_ACTION: on_action})


def action_problem(request: N_ACTION, information: Dataset) -> tuple[int, str]:
    """PS3.4 J.3.2: what a request must be; SUCCESS and no words where it is."""
    items: Sequence[Dataset] = information.get("ReferencedSOPSequence") or []
    if str(request.RequestedSOPInstanceUID) != StorageCommitmentPushModelInstance:
        return NO_SUCH_SOP_INSTANCE, "not the well-known SOP Instance of storage commitment"
    if request.ActionTypeID != REQUEST_COMMITMENT:
        return NO_SUCH_ACTION_TYPE, f"action type {request.ActionTypeID}"
    if not information.get("TransactionUID"):
        return INVALID_ARGUMENT_VALUE, "no Transaction UID"
    if not items:
        return INVALID_ARGUMENT_VALUE, "no Referenced SOP Sequence"
    if not all(item.get("ReferencedSOPClassUID") and item.get("ReferencedSOPInstanceUID") for item in items):
        return INVALID_ARGUMENT_VALUE, "a reference without its UIDs"
    instances = [str(item.ReferencedSOPInstanceUID) for item in items]
    if len(set(instances)) != len(instances):
        return INVALID_ARGUMENT_VALUE, "an instance is named twice"
    return SUCCESS, ""
