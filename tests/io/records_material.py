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


# Four instances an exam, nine of ten stored and committed to, for a database in which nothing else was done.
HUNDRED_THOUSAND = f"""
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 24999)
INSERT INTO exams (exam_id, study_instance_uid, series_instance_uid, started_at, operator, patient_name, patient_id,
  issuer_of_patient_id, birth_date, sex, ethnic_group, weight_kg, finished_at)
SELECT 'exam-' || i, '1.2', '1.3', '', '', '', '', '', '', '', '', '', iif(i % 5000, '2026-03-01', '') FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
INSERT INTO objects (sop_instance_uid, sop_class_uid, transfer_syntax_uid, exam_id, capture_id, kind, saved_at, file,
  size, sha256)
SELECT '1.9.' || i, '1.7', '1.2', 'exam-' || (i / 4), NULL, 'image', '', 'f', 1, 'x' FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
INSERT INTO deliveries (place, sop_instance_uid, node, state, next_attempt_at, changed_at, commitment)
SELECT i + 1, '1.9.' || i, '{NODE}', iif(i < 90000 AND i > 9, 'stored', 'queued'),
  iif(i < 90000 AND i > 9, '', '2026-03-01T09:00:00.000000+00:00'), '2026-03-01T09:00:00.000000+00:00',
  iif(i < 89000 AND i > 9, 'committed', '') FROM n;
ANALYZE;
"""
