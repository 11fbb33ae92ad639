"""DICOM instances on disk. Synchronous: `store.Records` runs it in its worker thread."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime

from firmware_app.model import Exam
from firmware_app.records import documents, files, queue, sidecars
from firmware_app.records.database import Database
from firmware_app.records.documents import ObjectRecord
from firmware_app.records.errors import RecordConflict, UnknownRecord
from firmware_app.records.folders import ExamFolders

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_UID_LENGTH = 64  # PS3.5 §9.1

_INSERT = """
INSERT INTO objects (sop_instance_uid, sop_class_uid, transfer_syntax_uid, exam_id, capture_id, kind, saved_at, file,
                     size, sha256)
VALUES (:sop_instance_uid, :sop_class_uid, :transfer_syntax_uid, :exam_id, :capture_id, :kind, :saved_at, :file,
        :size, :sha256)
"""


def insert(connection: sqlite3.Connection, record: ObjectRecord) -> None:
    """In the caller's transaction."""
    connection.execute(_INSERT, asdict(record))


class InstanceTable:
    def __init__(self, folders: ExamFolders, database: Database) -> None:
        self._folders = folders
        self._database = database

    def save(
        self,
        exam: Exam,
        capture_id: str | None,
        *,
        kind: str,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        data: bytes,
        nodes: Sequence[str],
        now: datetime,
    ) -> ObjectRecord:
        """Write the instance and queue it for the nodes, all or nothing.

        The same bytes again are harmless; others under the same UID are a `RecordConflict`, never a second image.
        """
        if not _UID.fullmatch(sop_instance_uid) or len(sop_instance_uid) > _UID_LENGTH:
            raise ValueError(f"not a SOP Instance UID: {sop_instance_uid!r}")
        known = self._find(sop_instance_uid)
        if known is not None:
            if known.sha256 != files.digest(data) or known.exam_id != exam.exam_id:
                raise RecordConflict(f"instance {sop_instance_uid} is already recorded with other content")
            for node in nodes:
                self.enqueue(sop_instance_uid, node, now=now)
            return known
        stored = self._folders.stored_file(exam.exam_id, f"{sop_instance_uid}.dcm", data)
        record = ObjectRecord(
            sop_instance_uid=sop_instance_uid,
            sop_class_uid=sop_class_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            exam_id=exam.exam_id,
            capture_id=capture_id,
            kind=kind,
            saved_at=now.isoformat(timespec="milliseconds"),
            file=stored.file,
            size=stored.size,
            sha256=stored.sha256,
        )
        sidecar = documents.encode_sidecar(documents.ObjectSidecar(exam, record, tuple(nodes)))
        contents = {f"{sop_instance_uid}.dcm": data, f"{sop_instance_uid}.json": sidecar}
        with self._folders.files_with_rows(exam.exam_id, contents) as connection:
            insert(connection, record)
            for wanted in nodes or (None,):
                queue.insert(connection, sop_instance_uid, wanted, now)
        return record

    def enqueue(self, sop_instance_uid: str, node: str, *, now: datetime) -> None:
        """Queue the instance for the node; if it already is or was, nothing changes."""
        self.note_node(sop_instance_uid, node)
        with self._database.transaction() as connection:
            queue.insert(connection, sop_instance_uid, node, now)

    def note_node(self, sop_instance_uid: str, node: str, instead_of: str = "") -> None:
        """In its sidecar, so that a rebuilt database sends it there. One that cannot be read keeps nobody."""
        record = self.record(sop_instance_uid)
        sidecar = sidecars.read_object(self._folders.state_dir, record)
        if sidecar is None:
            return
        others = (each for each in sidecar.nodes or () if each != instead_of)
        noted = replace(sidecar, nodes=tuple(dict.fromkeys((*others, node))))
        if noted != sidecar:
            path = self._folders.folder(record.exam_id) / f"{record.sop_instance_uid}.json"
            self._folders.replace_file(path, documents.encode_sidecar(noted))

    def record(self, sop_instance_uid: str) -> ObjectRecord:
        record = self._find(sop_instance_uid)
        if record is None:
            raise UnknownRecord(f"no instance {sop_instance_uid}")
        return record

    def of_exam(self, exam_id: str) -> list[ObjectRecord]:
        """In the order in which they were made."""
        rows = self._database.rows("SELECT * FROM objects WHERE exam_id = :id ORDER BY rowid", {"id": exam_id})
        return [_record(row) for row in rows]

    def verify(self, sop_instance_uid: str) -> None:
        """`FileDamaged` if the file no longer is what was written."""
        record = self.record(sop_instance_uid)
        files.verify(self._folders.state_dir / record.file, record.sha256)

    def _find(self, sop_instance_uid: str) -> ObjectRecord | None:
        rows = self._database.rows("SELECT * FROM objects WHERE sop_instance_uid = :uid", {"uid": sop_instance_uid})
        return _record(rows[0]) if rows else None


def _record(row: sqlite3.Row) -> ObjectRecord:
    return ObjectRecord(**{key: row[key] for key in row.keys()})  # noqa: SIM118 - a Row iterates over its values
