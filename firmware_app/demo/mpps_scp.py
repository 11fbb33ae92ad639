"""Modality Performed Procedure Step (PS3.4 Annex F) over the information system's steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.sop_class import ModalityPerformedProcedureStep  # type: ignore[attr-defined]

from firmware_app.demo.performed_steps import (
    INVALID_ATTRIBUTE_VALUE,
    PerformedSteps,
    StepRefused,
    referenced_instances,
    study_instance_uids,
)
from firmware_app.demo.scp import UNCOMPRESSED, Report, Service, association, refusal

SUCCESS = 0x0000


@dataclass(slots=True)
class MppsFault:
    """What every N-CREATE and N-SET is answered instead of being performed; 0 = it is."""

    status: int = SUCCESS


def mpps(steps: PerformedSteps, fault: MppsFault, report: Report) -> Service:
    def on_create(event: evt.Event) -> tuple[int | Dataset, Dataset | None]:
        uid = str(cast(N_CREATE, event.request).AffectedSOPInstanceUID or "")
        return perform(event, "N-CREATE", uid, lambda: steps.create(uid, event.attribute_list))

    def on_set(event: evt.Event) -> tuple[int | Dataset, Dataset | None]:
        uid = str(cast(N_SET, event.request).RequestedSOPInstanceUID or "")
        return perform(event, "N-SET", uid, lambda: steps.change(uid, event.modification_list))

    def perform(
        event: evt.Event, operation: str, uid: str, change: Callable[[], Dataset]
    ) -> tuple[int | Dataset, Dataset | None]:
        known: dict[str, object] = {"operation": operation, "sop_instance_uid": uid, **association(event)}
        try:
            if fault.status != SUCCESS:
                raise StepRefused(fault.status, "refused on request of the operator")
            if not uid:
                raise StepRefused(INVALID_ATTRIBUTE_VALUE, "the SCU names the step by its SOP Instance UID")
            step = change()
        except StepRefused as refused:
            report("mpps", status=f"{refused.status:04X}", reason=str(refused), **known)
            return refusal(refused.status, str(refused), refused.error_id), None
        report(
            "mpps",
            status=f"{SUCCESS:04X}",
            step_status=str(step.PerformedProcedureStepStatus),
            study_instance_uids=study_instance_uids(step),
            instances=referenced_instances(step),
            **known,
        )
        return SUCCESS, None

    return Service({ModalityPerformedProcedureStep: UNCOMPRESSED}, {evt.EVT_N_CREATE: on_create, evt.EVT_N_SET: on_set})
