"""Steps to report, begun and ended in the records, and a policy that does not keep a test waiting."""

from __future__ import annotations

from dataclasses import replace

from mpps_samples import ENDED_AT, SCHEDULED_STEP, composer

from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from firmware_app.model import Exam
from firmware_app.net.attributes import encode_attributes
from firmware_app.objects.discontinuation import REASONS
from firmware_app.records.mpps import MppsMessage, StepStatus
from firmware_app.records.store import Records
from firmware_app.services.backoff import BackoffPolicy

POLICY = BackoffPolicy(first_s=0.002, max_s=0.02)
STARTED = "IN PROGRESS"


def step_of(number: int) -> Exam:
    return replace(
        SCHEDULED_STEP,
        exam_id=f"exam-{number}",
        performed_procedure_step_id=f"PPS{number}",
        mpps_sop_instance_uid=uid_of(number),
    )


def uid_of(number: int) -> str:
    return f"2.25.500{number}"


async def begin(records: Records, number: int) -> None:
    exam = step_of(number)
    octets = encode_attributes(composer().begin(exam).dataset, EXPLICIT_VR_LITTLE_ENDIAN)
    await records.begin_exam(exam, MppsMessage(uid_of(number), exam.exam_id, "mpps", "IN PROGRESS", octets))


async def end(records: Records, number: int, *, wrong_patient: bool = False) -> None:
    exam = step_of(number)
    reason = REASONS["wrong-patient"] if wrong_patient else None
    status: StepStatus = "DISCONTINUED" if wrong_patient else "COMPLETED"
    made = composer().end(exam, status, ENDED_AT, [], reason)
    octets = encode_attributes(made.dataset, EXPLICIT_VR_LITTLE_ENDIAN)
    await records.finish_exam(exam.exam_id, MppsMessage(uid_of(number), exam.exam_id, "mpps", status, octets))


def whole(*numbers: int) -> list[tuple[str, str, str]]:
    """What the information system is asked for these steps, each begun and completed."""
    asked = []
    for number in numbers:
        asked += [("N-CREATE", uid_of(number), STARTED), ("N-SET", uid_of(number), "COMPLETED")]
    return asked
