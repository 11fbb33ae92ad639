"""A database as a release with that schema leaves it, rows in every table: `python records_schema_dump.py N > FILE`.

Made once, when a schema is released, and kept as `records_schema_N.sql`: a migration that is edited afterwards, or
loses something, is found by what such files hold. Of schema 1 the release itself wrote the file.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from objects_samples import CALIBRATION  # noqa: E402

from firmware_app.gaze import gaze_at  # noqa: E402
from firmware_app.records import documents, schema  # noqa: E402

AT = "2026-03-01T09:00:04.000000+00:00"
# What each schema had that the one before had not.
ROWS = {
    2: f"""
    UPDATE exams SET performed_procedure_step_id = 'PPS1', mpps_sop_instance_uid = '1.2.9.1' WHERE exam_id = 'exam-1';
    UPDATE exams SET appended_to = 'exam-1', found_patient = '{{"patient":{{"name":"Found^One"}}}}'
      WHERE exam_id = 'exam-2';
    INSERT INTO mpps_messages (mpps_sop_instance_uid, exam_id, node, operation, step_status, attributes, state,
      attempts, status, changed_at)
      VALUES ('1.2.9.1', 'exam-1', 'mpps', 'N-CREATE', 'IN PROGRESS', x'00ff01', 'done', 1, 0, '{AT}');
    INSERT INTO mpps_messages (mpps_sop_instance_uid, exam_id, node, operation, step_status, attributes, state,
      attempts, in_doubt, status, reason, next_attempt_at, changed_at)
      VALUES ('1.2.9.1', 'exam-1', 'mpps', 'N-SET', 'COMPLETED', x'08', 'queued', 2, 1, 272, 'busy', '{AT}', '{AT}');
    """,
    3: f"""
    INSERT INTO commitment_transactions (transaction_uid, node, stored_at_node, state, attempts, reason, due_at,
      requested_at, answered_at, answered_by, changed_at)
      VALUES ('1.2.8.1', 'commitment', 'storage', 'answered', 1, '', '{AT}', '{AT}', '{AT}', 'ARCHIVE', '{AT}'),
             ('1.2.8.2', 'commitment', 'storage', 'requested', 0, 'late', '{AT}', '{AT}', '', '', '{AT}');
    INSERT INTO commitment_instances VALUES (1, '1.2.3.4.1', 'committed', NULL), (1, '1.2.3.4.2', 'refused', 274),
      (2, '1.2.3.4.2', '', NULL);
    UPDATE deliveries SET commitment = 'committed' WHERE place = 1;
    UPDATE deliveries SET commitment = 'refused', commitment_reason = 'not there' WHERE place = 2;
    """,
    4: f"""
    INSERT INTO print_jobs (exam_id, node, automatic, film, images, state, attempts, status, reason, created_at,
      changed_at)
      VALUES ('exam-1', 'print', 1, '{{"size":"14INX17IN"}}', '["capture/x"]', 'printed', 1, 0, '', '{AT}', '{AT}'),
             (NULL, 'print', 0, '{{}}', '["instance/1.2.3.4.1"]', 'failed', 3, 49152, 'no film', '{AT}', '{AT}');
    """,
    5: f"""
    UPDATE captures SET gaze = '{documents.encode(gaze_at("down-left", 10.0)).decode()}',
      calibration = '{documents.encode(CALIBRATION).decode()}', thickness_um = 550.5, thickness_uncertainty_um = 8,
      thickness_readings = 5;
    """,
}


def dump(version: int) -> str:
    """The statements that make the database."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.executescript((HERE / "records_schema_1.sql").read_text(encoding="utf-8"))
        for number in range(2, version + 1):
            for statement in schema.MIGRATIONS[number - 1]:
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {number}")
            database.executescript(ROWS.get(number, ""))
        lines = [f"-- Written by records schema {version}: rows in every table.", *database.iterdump()]
    lines.insert(-1, f"PRAGMA user_version = {version};")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print(dump(int(sys.argv[1])), end="")
