"""What can go wrong with the records.

RecordsError
├── StorageFault         the disk refused: full, read-only, I/O error; `path` is the file, nothing was kept
│   └── CommitUncertain  the last flush of a commit failed: the row may or may not be there after a power cut
├── StateLocked          another service has this state folder open
├── SchemaTooNew         a later release wrote this database; ours would misread it
├── DatabaseDamaged      the database file is not a sound database
├── FileDamaged          an image or object file is missing, unreadable or not what was written
├── ExamRemoved          the exam's files were removed after the archives had committed to them
├── UnknownRecord        no such exam, capture, object or delivery
├── WrongState           a delivery cannot go from its state to the wanted one
└── RecordConflict       something else is already recorded under this identifier
"""

from __future__ import annotations

from pathlib import Path


class RecordsError(Exception):
    """Base of everything the records can report."""


class StorageFault(RecordsError):
    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class CommitUncertain(StorageFault):
    pass


class StateLocked(RecordsError):
    pass


class SchemaTooNew(RecordsError):
    pass


class DatabaseDamaged(RecordsError):
    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: the database is damaged: {reason}")
        self.path = path
        self.reason = reason


class FileDamaged(RecordsError):
    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class ExamRemoved(RecordsError):
    pass


class UnknownRecord(RecordsError):
    pass


class WrongState(RecordsError):
    pass


class RecordConflict(RecordsError):
    pass
