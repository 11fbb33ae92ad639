"""The exams on record as people look them up: each with its captures and where its instances stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firmware_app.records.database import Database
from firmware_app.records.queue import WHERE_STANDING

# The exams of the page first: what is joined to them is then a few rows of each, however many there are.
_PAGE = """
WITH page AS (
  SELECT rowid AS place, exam_id, started_at, finished_at, patient_id, patient_name FROM exams {where}
  ORDER BY rowid DESC LIMIT :limit)
"""
_EXAMS = (
    _PAGE
    + """
SELECT p.exam_id, p.started_at, p.finished_at, p.patient_id, p.patient_name,
  (SELECT count(*) FROM captures c WHERE c.exam_id = p.exam_id AND c.eye = 'R') AS captures_right,
  (SELECT count(*) FROM captures c WHERE c.exam_id = p.exam_id AND c.eye = 'L') AS captures_left
FROM page p ORDER BY p.place DESC
"""
)
_STANDING = "CASE " + " ".join(f"WHEN {rows} THEN '{word}'" for word, rows in WHERE_STANDING.items()) + " END"
_DELIVERIES = (
    _PAGE
    + f"""
SELECT p.exam_id, {_STANDING} AS word, count(*) AS n
FROM page p JOIN objects o ON o.exam_id = p.exam_id JOIN deliveries d ON d.sop_instance_uid = o.sop_instance_uid
  LEFT JOIN held_nodes h ON h.node = d.node
GROUP BY p.exam_id, word ORDER BY p.exam_id, word
"""
)
_OF_PATIENT = "WHERE patient_id = :patient_id"


@dataclass(frozen=True, slots=True)
class ExamSummary:
    """`deliveries` counts the exam's instances by the queue's words; one at two nodes counts twice."""

    exam_id: str
    started_at: str
    patient_id: str
    patient_name: str
    is_open: bool
    right: int
    left: int
    deliveries: Mapping[str, int]


def newest(database: Database, patient_id: str, limit: int) -> list[ExamSummary]:
    """Newest first; of every patient where `patient_id` is empty."""
    values: dict[str, object] = {"patient_id": patient_id, "limit": limit}
    where = _OF_PATIENT if patient_id else ""
    states: dict[str, dict[str, int]] = {}
    for row in database.rows(_DELIVERIES.format(where=where), values):
        states.setdefault(row["exam_id"], {})[row["word"]] = row["n"]
    return [
        ExamSummary(
            exam_id=row["exam_id"],
            started_at=row["started_at"],
            patient_id=row["patient_id"],
            patient_name=row["patient_name"],
            is_open=not row["finished_at"],
            right=row["captures_right"],
            left=row["captures_left"],
            deliveries=states.get(row["exam_id"], {}),
        )
        for row in database.rows(_EXAMS.format(where=where), values)
    ]
