"""A performed procedure step by hand: what the command line gives becomes an exam, and that one message."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from firmware_app.model import Code, Exam, Patient, WorklistItem
from firmware_app.net.association import associate
from firmware_app.net.attributes import encode_attributes, kept_attributes
from firmware_app.net.errors import NetworkError
from firmware_app.net.instance_file import InstanceUnreadable, read_instance_file
from firmware_app.net.mpps import StepAnswer, StepOperation, send_step
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.identifiers import new_uid
from firmware_app.objects.mpps import MppsComposer, StepAttributes, performed_series
from firmware_app.services.exam_requests import check_group, study_of
from firmware_app.services.network_verbs import Peer, Row, Rows
from firmware_app.services.peers import contexts_of
from firmware_app.services.step_reports import SYNTAX, step_composer
from hw.errors import Refused

Final = Literal["COMPLETED", "DISCONTINUED"]


class BadStep(ValueError):
    """What was given is no step; the text names the option and what is allowed."""


class NoInstance(ValueError):
    """A file that was made in the step cannot be told to the peer; the text names it."""


@dataclass(frozen=True, slots=True)
class StepGiven:
    """The options of `specular mpps`. Without `items` and with no `order` typed the step is unscheduled."""

    items: tuple[WorklistItem, ...] = ()
    patient: Patient = field(default_factory=Patient)
    order: Mapping[str, str] = field(default_factory=dict)  # attributes of a WorklistItem, as far as they were typed
    study_instance_uid: str = ""
    performed_procedure_step_id: str = ""
    uid: str = ""
    series_instance_uid: str = ""
    operator: str = ""


def exam_of(given: StepGiven, now: datetime) -> Exam:
    """The exam that these options describe. Raises `BadStep`."""
    try:
        check_group(given.items)
    except Refused as error:
        raise BadStep(f"--worklist-item: {error}") from error
    if given.items and (given.order or given.study_instance_uid):
        raise BadStep("--worklist-item already says what was ordered: no option of an order goes with it")
    items = given.items
    if given.order:
        order = WorklistItem(given.patient, study_instance_uid=given.study_instance_uid)
        items = (replace(order, **dict(given.order)),)  # type: ignore[arg-type]  # text attributes only
    patient = items[0].patient if items else given.patient
    step_id = given.performed_procedure_step_id or f"PPS{now:%y%m%d%H%M%S}"
    return Exam(
        exam_id="by-hand",
        patient=patient,
        study_instance_uid=study_of(items) or given.study_instance_uid or new_uid(),
        series_instance_uid=given.series_instance_uid or new_uid(),
        started_at=now.isoformat(timespec="seconds"),
        worklist_items=items,
        operator=given.operator,
        performed_procedure_step_id=step_id,
        mpps_sop_instance_uid=given.uid or new_uid(),
    )


def start_rows(given: StepGiven) -> Rows:
    """N-CREATE. Raises `BadStep` at once."""
    exam = exam_of(given, datetime.now().astimezone())
    return _rows(exam, "N-CREATE", "IN PROGRESS", lambda composer, exam: composer.begin(exam))


def end_rows(given: StepGiven, status: Final, files: Sequence[Path], reason: Code | None) -> Rows:
    """The final N-SET, with the instances in `files`. Raises `BadStep` or `NoInstance` at once."""
    now = datetime.now().astimezone()
    exam = exam_of(given, now)
    instances = [_instance(file) for file in files]

    def end(composer: MppsComposer, exam: Exam) -> StepAttributes:
        return composer.end(exam, status, now, instances, reason)

    return _rows(exam, "N-SET", status, end)


def _instance(file: Path) -> bytes:
    try:
        read_instance_file(file)
        data = file.read_bytes()
    except (InstanceUnreadable, OSError) as error:
        raise NoInstance(str(error)) from error
    try:
        performed_series([data])
    except Exception as error:  # pydicom has no common base for what a damaged file does to it
        raise NoInstance(f"{file}: does not say of which series it is") from error
    return data


def _rows(
    exam: Exam, operation: StepOperation, step_status: str, compose: Callable[[MppsComposer, Exam], StepAttributes]
) -> Rows:
    async def rows(peer: Peer) -> AsyncGenerator[Row, None]:
        operator = exam.operator or peer.config.instrument.operator
        try:
            made = compose(step_composer(peer.config, peer.profile), replace(exam, operator=operator))
        except ObjectError as error:
            yield _row(peer, exam, operation, step_status, None, "permanent", str(error))
            return
        for problem in made.problems:
            yield Row(f"  ! {problem}")
        attributes = kept_attributes(encode_attributes(made.dataset, SYNTAX, made.as_received), SYNTAX)
        sent = False
        try:
            contexts = contexts_of(peer.profile, "mpps")
            async with associate(peer.node, peer.local("mpps"), contexts) as association:
                sent = True
                answer = await send_step(association, operation, exam.mpps_sop_instance_uid, attributes)
        except NetworkError as error:
            if not sent:
                raise
            reason = f"{error}; whether it was done is not known, ask again with --uid {exam.mpps_sop_instance_uid}"
            yield _row(peer, exam, operation, step_status, None, "uncertain", reason)
            return
        yield _answered(peer, exam, operation, step_status, answer)

    return rows


def _answered(peer: Peer, exam: Exam, operation: StepOperation, step_status: str, answer: StepAnswer) -> Row:
    return _row(peer, exam, operation, step_status, answer.status, answer.category, answer.reason)


def _row(
    peer: Peer, exam: Exam, operation: StepOperation, step_status: str, status: int | None, category: str, reason: str
) -> Row:
    shown = "----" if status is None else f"{status:04X}"
    data: dict[str, object] = {
        "node": peer.node.name,
        "operation": operation,
        "sop_instance_uid": exam.mpps_sop_instance_uid,
        "step_status": step_status,
        "performed_procedure_step_id": exam.performed_procedure_step_id if operation == "N-CREATE" else None,
        "study_instance_uid": exam.study_instance_uid if operation == "N-CREATE" else None,
        "status": None if status is None else shown,
        "category": category,
        "reason": reason or None,
    }
    remark = f": {reason}" if reason else ""
    failure = "" if category in ("done", "warning") else (reason or f"{operation} failed with status {shown}")
    return Row(f"{shown}  {category:9}  {exam.mpps_sop_instance_uid}  {step_status}{remark}", data, failure)
