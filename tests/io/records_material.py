"""Exams, frames and instances to record, and a clock that stands still until told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from firmware_app.model import Code, Exam, Eye, Frame, Patient, Position, WorklistItem

START = datetime(2026, 3, 1, 9, 0, 0, tzinfo=UTC)
SC_CLASS = "1.2.840.10008.5.1.4.1.1.7"
IMPLICIT = "1.2.840.10008.1.2"
NODE = "archive"


class StandingClock:
    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def exam_of(number: int = 1, *, scheduled: bool = True) -> Exam:
    patient = Patient("Yamada^Tarou=山田^太郎=やまだ^たろう", f"ID-{number}", "clinic", "19610203", "M", "", "61.5")
    item = WorklistItem(
        patient,
        study_instance_uid="1.2.3",
        requested_procedure_codes=(Code("1", "99X", "endothelium"),),
        specific_character_set=("", "ISO 2022 IR 87"),
        problems=("birth date is not a date",),
    )
    return Exam(
        exam_id=f"exam-{number}",
        patient=patient,
        study_instance_uid=f"1.2.3.{number}",
        series_instance_uid=f"1.2.3.{number}.1",
        started_at="2026-03-01T10:00:00+01:00",
        worklist_items=(item,) if scheduled else (),
        operator="Dr. Ω",
    )


def frame_of(seed: int = 0, *, bits: int = 8) -> Frame:
    pixels = np.random.default_rng(seed).integers(0, 1 << bits, (12, 16)).astype(np.uint8 if bits <= 8 else np.uint16)
    return Frame(pixels, bits, sequence=seed, monotonic_ns=1_000 + seed)


CAPTURED = {
    "eye": Eye.LEFT,
    "position": Position(-18000.5, -20000.0, -19876.25),
    "um_per_px": 0.85,
    "sharpness": 12.5,
    "simulated": True,
}


def instance(number: int, *, data: bytes | None = None) -> dict[str, object]:
    return {
        "kind": "image",
        "sop_class_uid": SC_CLASS,
        "sop_instance_uid": uid_of(number),
        "transfer_syntax_uid": IMPLICIT,
        "data": b"instance %d " % number * 10 if data is None else data,
    }


def uid_of(number: int) -> str:
    return f"1.2.3.4.{number}"
