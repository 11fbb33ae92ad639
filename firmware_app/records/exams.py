"""Exams, each with its patient as he or she was then. Synchronous: `store.Records` runs it in its worker thread."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from firmware_app.model import Exam, Patient
from firmware_app.records import documents, files, mpps
from firmware_app.records.database import Database
from firmware_app.records.errors import RecordConflict, UnknownRecord
from firmware_app.records.folders import END_FILE, EXAM_FILE, PICTURES_FOLDER, ExamFolders
from firmware_app.records.mpps import MppsMessage

_PICTURE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(png|json)")

_INSERT = """
INSERT INTO exams (exam_id, study_instance_uid, series_instance_uid, started_at, operator, patient_name, patient_id,
                   issuer_of_patient_id, birth_date, sex, ethnic_group, weight_kg, worklist_items,
                   performed_procedure_step_id, mpps_sop_instance_uid, appended_to, found_patient)
VALUES (:exam_id, :study_instance_uid, :series_instance_uid, :started_at, :operator, :name, :patient_id,
        :issuer_of_patient_id, :birth_date, :sex, :ethnic_group, :weight_kg, :worklist_items,
        :performed_procedure_step_id, :mpps_sop_instance_uid, :appended_to, :found_patient)
"""
_NOTE_END = "UPDATE exams SET finished_at = :finished_at WHERE exam_id = :exam_id AND finished_at = ''"


def insert(connection: sqlite3.Connection, exam: Exam) -> None:
    """In the caller's transaction."""
    parameters = {
        "exam_id": exam.exam_id,
        "study_instance_uid": exam.study_instance_uid,
        "series_instance_uid": exam.series_instance_uid,
        "started_at": exam.started_at,
        "operator": exam.operator,
        "worklist_items": documents.encode(documents.WorklistItems(exam.worklist_items)).decode(),
        "performed_procedure_step_id": exam.performed_procedure_step_id,
        "mpps_sop_instance_uid": exam.mpps_sop_instance_uid,
        "appended_to": exam.appended_to,
        "found_patient": documents.encode(exam.found_patient).decode() if exam.found_patient else None,
        **asdict(exam.patient),
    }
    connection.execute(_INSERT, parameters)


def note_end(connection: sqlite3.Connection, exam_id: str, finished_at: str) -> bool:
    """In the caller's transaction; False where the exam was closed before."""
    return connection.execute(_NOTE_END, {"exam_id": exam_id, "finished_at": finished_at}).rowcount > 0


class ExamTable:
    def __init__(self, folders: ExamFolders, database: Database) -> None:
        self._folders = folders
        self._database = database

    def begin(self, exam: Exam, message: MppsMessage | None, *, now: datetime) -> None:
        """Record the exam and the message of its start, all or nothing.

        Again with the same content is harmless, with another a `RecordConflict`.
        """
        known = self._find(exam.exam_id)
        if known is not None and known != exam:
            raise RecordConflict(f"exam {exam.exam_id} is already recorded with other content")
        if known is not None:
            return
        sidecar = documents.encode_sidecar(documents.ExamSidecar(exam, message, end_is_noted=True))
        self._folders.make(exam.exam_id)
        with self._folders.files_with_rows(exam.exam_id, {EXAM_FILE: sidecar}) as connection:
            insert(connection, exam)
            if message is not None:
                mpps.insert(connection, message, now)

    def finish(self, exam_id: str, message: MppsMessage | None, *, now: datetime) -> None:
        """Note when the exam was closed and queue the message of its end; again keeps the first of both."""
        if self.is_finished(exam_id):
            return
        finished_at = now.isoformat(timespec="milliseconds")
        sidecar = documents.encode_sidecar(documents.EndSidecar(exam_id, finished_at, message))
        self._folders.make(exam_id)  # a folder that somebody removed keeps no exam open
        with self._folders.files_with_rows(exam_id, {END_FILE: sidecar}) as connection:
            note_end(connection, exam_id, finished_at)
            if message is not None:
                mpps.insert(connection, message, now)

    def is_finished(self, exam_id: str) -> bool:
        self.exam(exam_id)
        rows = self._database.rows("SELECT finished_at FROM exams WHERE exam_id = :exam_id", {"exam_id": exam_id})
        return bool(rows[0]["finished_at"])

    def save_picture(self, exam_id: str, name: str, png: bytes) -> Path:
        """A picture for people, or what is told of one: can be made again from the records, so it has no row."""
        folder = self._folders.folder(self.exam(exam_id).exam_id) / PICTURES_FOLDER
        if not _PICTURE_NAME.fullmatch(name):
            raise ValueError(f"not a picture's file name: {name!r}")
        files.make_folder(folder)
        self._folders.replace_file(folder / name, png)
        return folder / name

    def exam(self, exam_id: str) -> Exam:
        exam = self._find(exam_id)
        if exam is None:
            raise UnknownRecord(f"no exam {exam_id}")
        return exam

    def newest(self, limit: int) -> list[Exam]:
        rows = self._database.rows("SELECT * FROM exams ORDER BY rowid DESC LIMIT :limit", {"limit": limit})
        return [_exam(row) for row in rows]

    def unfinished(self, limit: int) -> list[Exam]:
        """Begun and never closed: what a crash or a power cut interrupted. Newest first."""
        sql = "SELECT * FROM exams WHERE finished_at = '' ORDER BY rowid DESC LIMIT :limit"
        return [_exam(row) for row in self._database.rows(sql, {"limit": limit})]

    def _find(self, exam_id: str) -> Exam | None:
        rows = self._database.rows("SELECT * FROM exams WHERE exam_id = :exam_id", {"exam_id": exam_id})
        return _exam(rows[0]) if rows else None


def _exam(row: sqlite3.Row) -> Exam:
    return Exam(
        exam_id=row["exam_id"],
        patient=Patient(
            name=row["patient_name"],
            patient_id=row["patient_id"],
            issuer_of_patient_id=row["issuer_of_patient_id"],
            birth_date=row["birth_date"],
            sex=row["sex"],
            ethnic_group=row["ethnic_group"],
            weight_kg=row["weight_kg"],
        ),
        study_instance_uid=row["study_instance_uid"],
        series_instance_uid=row["series_instance_uid"],
        started_at=row["started_at"],
        worklist_items=documents.decode_worklist_items(row["worklist_items"]),
        operator=row["operator"],
        performed_procedure_step_id=row["performed_procedure_step_id"],
        mpps_sop_instance_uid=row["mpps_sop_instance_uid"],
        appended_to=row["appended_to"],
        found_patient=documents.decode_found_patient(row["found_patient"]) if row["found_patient"] else None,
    )
