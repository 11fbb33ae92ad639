"""One folder per exam, and the rule that binds files and rows: files first, then the row, then the caller hears of it.

exams/<exam_id>/exam.json                          exam and patient
                end.json                           when the exam was closed
                removed.json                       that all but these three were removed, and when
                <capture_id>.png  .json            pixels, and everything known of them
                <capture_id>-m<revision>.npz .json mosaic and numbers of one measurement
                <sop_instance_uid>.dcm  .json      one DICOM instance
                pictures/                          of reports and measurements, which can be made again
                rejects/                           frames that were not good enough: see `rejects`
"""

from __future__ import annotations

import heapq
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from firmware_app.records import files
from firmware_app.records.database import Database
from firmware_app.records.documents import StoredFile
from firmware_app.records.errors import CommitUncertain, DatabaseDamaged

EXAMS_FOLDER = "exams"
EXAM_FILE, END_FILE, REMOVED_FILE = "exam.json", "end.json", "removed.json"
REJECTS_FOLDER = "rejects"
PICTURES_FOLDER = "pictures"  # apart, so that no picture can take the name of a capture
# One writer leaves at most one half-written file. Looking through 25,000 folders at each start would take seconds,
# finding the latest takes 0.1 s.
_FOLDERS_TO_TIDY = 20
# An identifier becomes a file name, of which 255 bytes are allowed with every suffix.
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_identifier(exam_id: str) -> bool:
    return _IDENTIFIER.fullmatch(exam_id) is not None


class ExamFolders:
    def __init__(self, state_dir: Path, database: Database) -> None:
        self.state_dir = state_dir
        self._database = database
        # To be removed after the next commit: of uncertain rows, and what a refusing disk did not let us remove.
        self._uncertain: set[Path] = set()

    def folder(self, exam_id: str) -> Path:
        if not is_identifier(exam_id):
            raise ValueError(f"not an exam identifier: {exam_id!r}")
        return self.state_dir / EXAMS_FOLDER / exam_id

    def make(self, exam_id: str) -> None:
        files.make_folder(self.folder(exam_id))

    def tidy(self) -> list[str]:
        """Remove what a crash left half written, exam recorded or not, in the exams that were written last: which?"""
        with os.scandir(self.state_dir / EXAMS_FOLDER) as entries:
            latest = heapq.nlargest(_FOLDERS_TO_TIDY, entries, key=lambda entry: entry.stat().st_mtime_ns)
        for entry in latest:
            files.remove_temporary_files(Path(entry.path))
            for folder in (PICTURES_FOLDER, REJECTS_FOLDER):
                files.remove_temporary_files(Path(entry.path) / folder)
        return [entry.name for entry in reversed(latest) if is_identifier(entry.name)]

    def stored_file(self, exam_id: str, name: str, data: bytes) -> StoredFile:
        return StoredFile(f"{EXAMS_FOLDER}/{exam_id}/{name}", len(data), files.digest(data))

    @contextmanager
    def files_with_rows(self, exam_id: str, contents: Mapping[str, bytes]) -> Iterator[sqlite3.Connection]:
        """Write the files, then the rows of the scope in one transaction; both are on disk when the scope is left.

        Files whose rows could not be written are removed again, except after a `CommitUncertain`, when the rows may be
        there after a power cut and must then find their files, and after a `DatabaseDamaged`: the database is rebuilt
        from the files, these among them, and the patient need not come back. The next commit that succeeds has put its
        own rows where uncertain ones were: then their files go, too.
        """
        folder = self.folder(exam_id)
        written = {folder / name for name in contents}
        files.write_files(folder, contents, self._uncertain)
        try:
            with self._database.transaction() as connection:
                yield connection
        except CommitUncertain:
            self._uncertain |= written
            raise
        except DatabaseDamaged:
            raise
        except BaseException:
            self._uncertain.update(files.remove_files(sorted(written)))
            raise
        self._uncertain = set(files.remove_files(sorted(self._uncertain - written)))

    def replace_file(self, path: Path, data: bytes) -> None:
        """For what has no row."""
        files.replace_file(path, data, self._uncertain)
