"""Modality Performed Procedure Step (PS3.4 annex F) as SCU: one message, and what the answer to it means.

An attempt that was broken off after its request had begun leaves it in doubt whether the step has been created or
ended. The same message is then sent again, and the codes for "already" are the answer that was lost: 0111H to an
N-CREATE, 0110H to a final N-SET (table F.7.2-2: Error ID A710H, "may no longer be updated").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from firmware_app.dicom.statuses import GENERAL_TRANSIENT, PROCESSING_FAILURE, SUCCESS, describe_status
from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_PERFORMED_PROCEDURE_STEP,
)
from firmware_app.net.association import Association, ContextPair
from firmware_app.net.errors import DimseFailure
from firmware_app.net.normalized import n_create, n_set

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MPPS_CONTEXTS: tuple[ContextPair, ...] = (
    (MODALITY_PERFORMED_PROCEDURE_STEP, (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)),
)
DUPLICATE_SOP_INSTANCE = 0x0111
NO_SUCH_SOP_INSTANCE = 0x0112
# PS3.4 table F.7.2-2. It belongs into Error ID, beside 0110H; some peers make it the status.
NO_LONGER_UPDATABLE = 0xA710

StepOperation = Literal["N-CREATE", "N-SET"]
StepCategory = Literal["done", "warning", "retry", "permanent"]


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """`done` and `warning`: the step is as the message says. `retry`: later. `permanent`: only a person can help."""

    status: int
    category: StepCategory
    reason: str = ""


async def send_step(
    association: Association,
    operation: StepOperation,
    mpps_sop_instance_uid: str,
    attributes: Dataset,
    *,
    in_doubt: bool = False,
) -> StepAnswer:
    """Send one message and judge the answer. NetworkError where there is none."""
    send = n_create if operation == "N-CREATE" else n_set
    label = association.node.label
    try:
        response = await send(association, MODALITY_PERFORMED_PROCEDURE_STEP, mpps_sop_instance_uid, attributes)
    except DimseFailure as error:
        category = judge_failure(operation, error.status, error.error_id, in_doubt=in_doubt)
        words = failure_words(operation, error.status, error.error_id, in_doubt=in_doubt)
        return StepAnswer(error.status, category, f"{error}{words}")
    if response.sop_instance_uid != mpps_sop_instance_uid:
        reason = f"{label}: answers {operation} for another instance, {response.sop_instance_uid[:64]!r}"
        return StepAnswer(response.status, "warning", reason)
    if response.status != SUCCESS:
        remark = f" ({response.error_comment!r})" if response.error_comment else ""
        return StepAnswer(response.status, "warning", f"{label}: {describe_status(response.status)}{remark}")
    return StepAnswer(response.status, "done")


def judge_failure(
    operation: StepOperation, status: int, error_id: int | None, *, in_doubt: bool
) -> Literal["warning", "retry", "permanent"]:
    """What a failure status means for the message; `in_doubt`: an earlier attempt may have reached its end."""
    if _means_already(operation, status, error_id):
        return "warning" if in_doubt else "permanent"
    if status in GENERAL_TRANSIENT or (status & 0xFF00 == 0xA700 and status != NO_LONGER_UPDATABLE):
        return "retry"
    return "permanent"


def failure_words(operation: StepOperation, status: int, error_id: int | None, *, in_doubt: bool) -> str:
    """What the status means here, beyond its general words; empty where those say it."""
    if _means_already(operation, status, error_id):
        if in_doubt:
            return ": an earlier attempt, whose answer was lost, has done it"
        if operation == "N-CREATE":
            return ": another step has this UID there"
        return ": the step is final there and may no longer be updated"
    if operation == "N-SET" and status == NO_SUCH_SOP_INSTANCE:
        return ": the step is not known there"
    return ""


def _means_already(operation: StepOperation, status: int, error_id: int | None) -> bool:
    if operation == "N-CREATE":
        return status == DUPLICATE_SOP_INSTANCE
    # With another Error ID, 0110H is what it is everywhere: a processing failure.
    is_final = status == PROCESSING_FAILURE and error_id in (None, NO_LONGER_UPDATABLE)
    return is_final or status == NO_LONGER_UPDATABLE
