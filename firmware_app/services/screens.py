"""What an operator reads: values -> text for people and data with stable keys for scripts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from firmware_app.console.protocol import Reply
from firmware_app.console.text import format_table
from firmware_app.model import (
    Code,
    CornealThickness,
    Delivery,
    Exam,
    Eye,
    FixationPoint,
    Interval,
    Measurement,
    Method,
    Morphometry,
    Position,
    ThicknessWay,
    WorklistItem,
)
from firmware_app.profiles import QueryKey
from firmware_app.services.alignment import Aligned
from firmware_app.services.capture import Captured
from firmware_app.services.focus import FocusPoint
from firmware_app.services.health_screen import health_lines
from firmware_app.services.photographer import Photograph
from firmware_app.services.query_columns import worklist_columns

if TYPE_CHECKING:
    from firmware_app.records.commitments import Transaction
    from firmware_app.services.analysis import Analysed
    from firmware_app.services.exam import FinishedExam
    from firmware_app.services.status import InstrumentStatus
    from firmware_app.services.worklist import WorklistStatus


def worklist(status: WorklistStatus, keys: Sequence[QueryKey]) -> Reply:
    """The profile's display columns, and birth date and sex: they are what stops a mix-up."""
    columns = worklist_columns(keys)
    head = ("#", *(column.heading for column in columns), "problems")
    rows = [
        (str(number), *(column.value(item) for column in columns), "; ".join(item.problems))
        for number, item in enumerate(status.items, start=1)
    ]
    text = format_table(head, rows) if rows else "no scheduled patients match"
    return Reply(
        f"{text}\nrefreshed {status.refreshed_at}"
        + (f"; since then it failed: {status.error}" if status.error else ""),
        {"items": [worklist_item(item) for item in status.items], "refreshed_at": status.refreshed_at},
    )


def worklist_item(item: WorklistItem) -> dict[str, Any]:
    return asdict(item)


def exam_started(exam: Exam) -> Reply:
    patient = exam.patient
    requests = len(exam.worklist_items)
    kind = "unscheduled exam" if not requests else "scheduled exam" if requests == 1 else f"exam of {requests} requests"
    goes_on = f", going on with exam {exam.appended_to}" if exam.appended_to else ""
    return Reply(
        f"{kind} {exam.exam_id} open for {patient.name or '(no name)'}, ID {patient.patient_id}, "
        f"born {patient.birth_date or '(unknown)'}, sex {patient.sex or '(unknown)'}{goes_on}",
        {
            "exam_id": exam.exam_id,
            "study_instance_uid": exam.study_instance_uid,
            "scheduled": requests > 0,
            "requests": requests,
            "appended_to": exam.appended_to,
            "performed_procedure_step_id": exam.performed_procedure_step_id,
            "mpps_sop_instance_uid": exam.mpps_sop_instance_uid,
        },
    )


def exam_abandoned(exam: Exam, reason: Code) -> Reply:
    return Reply(
        f"exam {exam.exam_id} abandoned: {reason.meaning} ({reason.value}); its captures are kept",
        {"exam_id": exam.exam_id, "reason": reason.value},
    )


def exam(exam: Exam, captured: Sequence[Eye]) -> Reply:
    eyes = ", ".join(eye.name.lower() for eye in captured) or "nothing yet"
    reply = exam_started(exam)
    return Reply(f"{reply.text}; captured: {eyes}", {**(reply.data or {}), "captured": [str(eye) for eye in captured]})


def position(words: str, reached: Position) -> Reply:
    return Reply(f"{words} x {reached.x_um:.0f} y {reached.y_um:.0f} z {reached.z_um:.1f} um", asdict(reached))


def focus(point: FocusPoint) -> Reply:
    return Reply(
        f"focused at z {point.z_um:.1f} um, sharpness {point.sharpness:.3g}",
        {"z_um": point.z_um, "sharpness": point.sharpness},
    )


def aligned(found: Aligned) -> Reply:
    thickness = thickness_text(found.thickness) if found.thickness else f"thickness not measured: {found.why_none}"
    doubt = f"; DOUBTFUL: {found.doubt}" if found.doubt else ""
    return Reply(
        f"aligned and in focus after {found.looks} looks; {thickness}{doubt}",
        {"looks": found.looks, "thickness": found.thickness and asdict(found.thickness), "doubt": found.doubt},
    )


def thickness_text(thickness: CornealThickness) -> str:
    way = "" if thickness.way is ThicknessWay.ONE_PICTURE else ", by the stage"
    return f"central thickness {thickness.thickness_um:.0f} um, +-{thickness.uncertainty_um:.0f}{way}"


def photographed(taken: Captured, photograph: Photograph) -> Reply:
    """A capture without a hand: what it took, and every reason for which frames were rejected."""
    reply = captured(taken)
    rejected = dict(photograph.rejected)
    frames = f"; rejected {', '.join(f'{count} {why}' for why, count in rejected.items())}" if rejected else ""
    why_none = photograph.aligned.why_none
    missing = f"; thickness not measured: {why_none}" if taken.capture.thickness is None and why_none else ""
    aligned = photograph.aligned
    data = {"looks": aligned.looks, "bursts": photograph.bursts, "rejected": rejected, "doubt": aligned.doubt}
    doubts = [aligned.doubt, "" if photograph.kept.score.is_usable else photograph.kept.score.reason]
    doubt = "".join(f"; DOUBTFUL: {each}" for each in doubts if each)
    return Reply(f"{reply.text}{missing}{frames}{doubt}", {**(reply.data or {}), **data})


def captured(taken: Captured) -> Reply:
    capture = taken.capture
    where = "" if capture.point is FixationPoint.CENTRE else f", looking {capture.point}"
    thickness = f", {thickness_text(capture.thickness)}" if capture.thickness else ""
    return Reply(
        f"{capture.eye.name.lower()} eye captured and on disk: {capture.capture_id}, "
        f"{capture.columns}x{capture.rows}, {capture.bits_stored} bits, sharpness {capture.sharpness:.3g}"
        f"{where}{thickness}",
        {
            "capture_id": capture.capture_id,
            "eye": str(capture.eye),
            "captured_at": capture.captured_at,
            "sharpness": capture.sharpness,
            "position": asdict(capture.position),
            "simulated": capture.simulated,
            "gaze": asdict(capture.gaze) if capture.gaze else None,
            "thickness": capture.thickness and asdict(capture.thickness),
            "point": str(capture.point),
        },
    )


def result(analysed: Analysed) -> Reply:
    capture, measurement = analysed.captured.capture, analysed.measurement
    data: dict[str, object] = {"eye": str(capture.eye), "capture_id": capture.capture_id}
    data |= measurement_data(measurement)
    data["thickness"] = capture.thickness and asdict(capture.thickness)
    thickness = f"; {thickness_text(capture.thickness)}" if capture.thickness else ""
    return Reply(f"{capture.eye.name.lower()} eye: {measurement_text(measurement)}{thickness}", data)


def measurement_text(measurement: Measurement) -> str:
    grade = f"quality {measurement.quality.grade}"
    numbers = measurement.morphometry
    if measurement.refusal is not None or numbers is None:
        reason = measurement.refusal.reason if measurement.refusal else "no numbers"
        return f"not measured: {reason} ({grade})"
    warnings = "".join(f"; {warning}" for warning in numbers.warnings)
    return f"{numbers_text(numbers)}, {grade}{warnings}"


def numbers_text(numbers: Morphometry, *, with_intervals: bool = True) -> str:
    """CD, CV and HEX with their 95 % intervals in brackets, N, and how they were counted unless automatically."""
    if not with_intervals:
        numbers = replace(numbers, cd_interval=None, cv_interval=None, hex_interval=None)
    density = "CD not known: uncalibrated"
    if numbers.cd_per_mm2 is not None:
        density = f"CD {numbers.cd_per_mm2:.0f}{_bracketed(numbers.cd_interval)} /mm2"
    hexagonality = "HEX not known"
    if numbers.hex_percent is not None:
        hexagonality = f"HEX {numbers.hex_percent:.0f}{_bracketed(numbers.hex_interval)} %"
    variation = f"CV {numbers.cv_percent:.1f}{_bracketed(numbers.cv_interval)} %"
    guttae = f", guttae {numbers.guttae_percent:.1f} %" if numbers.guttae_percent else ""
    method = f", {numbers.method}" if numbers.method is not Method.AUTOMATIC else ""
    return f"{density}, {variation}, {hexagonality}, N {numbers.n}{guttae}{method}"


def _bracketed(interval: Interval | None) -> str:
    return f" ({interval.low:.0f} to {interval.high:.0f})" if interval else ""


def measurement_data(measurement: Measurement) -> dict[str, object]:
    return {
        "status": "ok" if measurement.refusal is None else "refused",
        "reason": measurement.refusal.reason if measurement.refusal else None,
        "quality": asdict(measurement.quality),
        "morphometry": asdict(measurement.morphometry) if measurement.morphometry else None,
        "seconds": round(measurement.seconds, 3),
    }


def exam_finished(finished: FinishedExam) -> Reply:
    instances = [
        {"sop_instance_uid": each.sop_instance_uid, "kind": each.kind, "file": file}
        for each, file in zip(finished.deliverables, finished.files, strict=True)
    ]
    where = "kept here: no storage node is configured"
    if finished.storage_node:
        where = f"kept here until they are sent by hand (send {finished.exam.exam_id})"
    if finished.queued_for:
        where = f"queued for {finished.queued_for}"
    return Reply(
        f"exam {finished.exam.exam_id} finished: {len(instances)} instances captured and {where}",
        {
            "exam_id": finished.exam.exam_id,
            "study_instance_uid": finished.exam.study_instance_uid,
            "instances": instances,
            "pictures": list(finished.pictures),
            "queued_for": finished.queued_for,
        },
    )


def sent(deliveries: Sequence[Delivery]) -> Reply:
    counted = ", ".join(f"{count} {state}" for state, count in Counter(str(each.state) for each in deliveries).items())
    return Reply(f"for {deliveries[0].node}: {counted}", {"deliveries": [asdict(each) for each in deliveries]})


def commitments(transactions: Sequence[Transaction]) -> Reply:
    rows = [
        (
            str(each.state),
            each.node,
            str(len(each.instances)),
            str(each.attempts),
            each.requested_at,
            each.answered_at,
            each.answered_by,
            each.transaction_uid,
            each.reason,
        )
        for each in transactions
    ]
    head = ("state", "node", "instances", "in vain", "requested", "answered", "by", "Transaction UID", "reason")
    text = format_table(head, rows) if rows else "nobody was asked to commit to anything yet"
    return Reply(text, {"transactions": [asdict(each) for each in transactions]})


def status(now: InstrumentStatus) -> Reply:
    lines = [f"specular {now.version}, profile {now.profile}, on {now.address}, up {now.up_s:.0f} s"]
    lines += [f"{each.name}: {each.words}" for each in now.devices]
    lines.append(f"own port: {now.listener}")
    lines.append(f"instrument: {now.busy or 'idle'}; exam: {now.exam_id or 'none open'}")
    lines += [f"interrupted exam: {exam_id} (exam resume {exam_id})" for exam_id in now.interrupted_exams]
    refreshed = f"refreshed {now.worklist_refreshed_at}" if now.worklist_refreshed_at else "never refreshed"
    failed = f"; last refresh failed: {now.worklist_error}" if now.worklist_error else ""
    lines.append(f"worklist: {now.worklist_items} items, {refreshed}{failed}")
    lines += [f"{name}: {detail}" for name, detail in now.services.items()]
    counted = ", ".join(f"{count} {state}" for state, count in now.deliveries.items()) or "empty"
    lines.append(f"deliveries: {counted}")
    lines.append(
        f"event loop: worst lag {now.loop_lag_ms:.1f} ms, in the last half minute {now.recent_loop_lag_ms:.1f} ms"
    )
    lines += health_lines(now.health)
    return Reply("\n".join(lines), asdict(now))
