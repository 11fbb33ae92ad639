"""The database schema as versioned migrations: `PRAGMA user_version` counts those applied.

A released migration is never edited; a change is a new one at the end. What a migration may do so that the release
before it still starts after a fall-back is in `schema_keep`.

Times of the queue are UTC in one fixed form (`clock_text`), so that text order is time order. Times of exams and
captures keep the offset of the place where they were taken, because DICOM wants local dates.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from firmware_app.records.errors import DatabaseDamaged, SchemaTooNew
from firmware_app.records.schema_commitment import COMMITMENTS
from firmware_app.records.schema_health import NODE_CONTACTS
from firmware_app.records.schema_keep import READERS_AND_INDEXES
from firmware_app.records.schema_mpps import MPPS_MESSAGES
from firmware_app.records.schema_print import PRINT_JOBS
from firmware_app.records.schema_queue import HOLDING_AND_REMOVAL
from firmware_app.records.schema_thickness import THICKNESS_WAY

EXAMS_AND_QUEUE = (
    """
    CREATE TABLE exams (
      exam_id TEXT PRIMARY KEY NOT NULL,
      study_instance_uid TEXT NOT NULL,
      series_instance_uid TEXT NOT NULL,
      started_at TEXT NOT NULL,
      operator TEXT NOT NULL,
      patient_name TEXT NOT NULL,
      patient_id TEXT NOT NULL,
      issuer_of_patient_id TEXT NOT NULL,
      birth_date TEXT NOT NULL,
      sex TEXT NOT NULL,
      ethnic_group TEXT NOT NULL,
      weight_kg TEXT NOT NULL,
      worklist_item TEXT,
      finished_at TEXT NOT NULL DEFAULT ''
    ) STRICT
    """,
    "CREATE INDEX exams_unfinished ON exams (finished_at) WHERE finished_at = ''",
    """
    CREATE TABLE captures (
      capture_id TEXT PRIMARY KEY NOT NULL,
      exam_id TEXT NOT NULL REFERENCES exams,
      eye TEXT NOT NULL CHECK (eye IN ('R', 'L')),
      captured_at TEXT NOT NULL,
      x_um REAL NOT NULL,
      y_um REAL NOT NULL,
      z_um REAL NOT NULL,
      um_per_px REAL CHECK (um_per_px > 0),
      bits_stored INTEGER NOT NULL,
      rows INTEGER NOT NULL,
      columns INTEGER NOT NULL,
      sharpness REAL NOT NULL,
      simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
      frame_sequence INTEGER NOT NULL,
      frame_monotonic_ns INTEGER NOT NULL,
      file TEXT NOT NULL,
      size INTEGER NOT NULL,
      sha256 TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX captures_of_exam ON captures (exam_id)",
    """
    CREATE TABLE measurements (
      capture_id TEXT NOT NULL REFERENCES captures,
      revision INTEGER NOT NULL,
      saved_at TEXT NOT NULL,
      numbers TEXT NOT NULL,
      mosaic_file TEXT,
      mosaic_sha256 TEXT,
      PRIMARY KEY (capture_id, revision),
      CHECK ((mosaic_file IS NULL) = (mosaic_sha256 IS NULL))
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE objects (
      sop_instance_uid TEXT PRIMARY KEY NOT NULL,
      sop_class_uid TEXT NOT NULL,
      transfer_syntax_uid TEXT NOT NULL,
      exam_id TEXT NOT NULL REFERENCES exams,
      capture_id TEXT REFERENCES captures,
      kind TEXT NOT NULL,
      saved_at TEXT NOT NULL,
      file TEXT NOT NULL,
      size INTEGER NOT NULL,
      sha256 TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX objects_of_exam ON objects (exam_id)",
    # place is the order of sending; stepping aside is a new place at the end. A captured instance that nobody has
    # queued has one row without a node, so that every screen reads one table.
    """
    CREATE TABLE deliveries (
      place INTEGER PRIMARY KEY,
      sop_instance_uid TEXT NOT NULL REFERENCES objects,
      node TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('captured', 'queued', 'sending', 'stored', 'failed')),
      attempts INTEGER NOT NULL DEFAULT 0,
      status INTEGER,
      reason TEXT NOT NULL DEFAULT '',
      next_attempt_at TEXT NOT NULL DEFAULT '',
      changed_at TEXT NOT NULL,
      UNIQUE (sop_instance_uid, node),
      CHECK ((state = 'captured') = (node = '')),
      CHECK ((state = 'queued') = (next_attempt_at <> ''))
    ) STRICT
    """,
    "CREATE INDEX deliveries_of_node ON deliveries (node, state)",
    "CREATE INDEX deliveries_in_state ON deliveries (state)",
)

# An exam may answer several requests (PS3.17 J.4), and is a performed procedure step.
PERFORMED_PROCEDURE_STEPS = (
    "ALTER TABLE exams ADD COLUMN worklist_items TEXT NOT NULL DEFAULT '{\"items\":[]}'",
    """
    UPDATE exams SET worklist_items = json_object('items', json_array(json(worklist_item)))
    WHERE worklist_item IS NOT NULL
    """,
    "ALTER TABLE exams DROP COLUMN worklist_item",
    "ALTER TABLE exams ADD COLUMN performed_procedure_step_id TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE exams ADD COLUMN mpps_sop_instance_uid TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE exams ADD COLUMN appended_to TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE exams ADD COLUMN found_patient TEXT",
    *MPPS_MESSAGES,
)

# Where the patient was asked to look and where the scale comes from, both as JSON; and the central corneal thickness,
# where it was measured with a capture.
GAZE_CALIBRATION_AND_THICKNESS = (
    "ALTER TABLE captures ADD COLUMN gaze TEXT",
    "ALTER TABLE captures ADD COLUMN calibration TEXT",
    "ALTER TABLE captures ADD COLUMN thickness_um REAL CHECK (thickness_um > 0)",
    "ALTER TABLE captures ADD COLUMN thickness_uncertainty_um REAL CHECK (thickness_uncertainty_um >= 0)",
    "ALTER TABLE captures ADD COLUMN thickness_readings INTEGER CHECK (thickness_readings > 0)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    EXAMS_AND_QUEUE,
    PERFORMED_PROCEDURE_STEPS,
    COMMITMENTS,
    PRINT_JOBS,
    GAZE_CALIBRATION_AND_THICKNESS,
    THICKNESS_WAY,
    HOLDING_AND_REMOVAL,
    NODE_CONTACTS,
    READERS_AND_INDEXES,
)
_VERSION_MAX = 10_000  # no release of ours has so many migrations: such a number is damage


def check_readable(connection: sqlite3.Connection, path: Path) -> int:
    """The database's schema, older, ours or a later one that we may use. `SchemaTooNew` if we may not."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= version < _VERSION_MAX:
        raise DatabaseDamaged(path, f"there is no schema {version}")
    if version > len(MIGRATIONS) and not 0 < _oldest_reader(connection) <= len(MIGRATIONS):
        raise SchemaTooNew(
            f"{path}: written by a later release (schema {version}, this one knows {len(MIGRATIONS)}); "
            "install that release again, nothing was changed"
        )
    return int(version)


def _oldest_reader(connection: sqlite3.Connection) -> int:
    """0 where nobody says it."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_compatibility'").fetchone():
        return 0
    row = connection.execute("SELECT oldest_reader FROM schema_compatibility").fetchone()
    return int(row[0]) if row else 0


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the database to this release's schema, one transaction per step; `SchemaTooNew` if it is beyond ours."""
    version = check_readable(connection, path)
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def clock_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def clock_moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def seconds_until(text: str, now: datetime) -> float:
    """0 when that moment is past."""
    return max(0.0, (clock_moment(text) - now).total_seconds())
