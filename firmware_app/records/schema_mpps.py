"""Tables of the Modality Performed Procedure Step messages: one row per N-CREATE or N-SET, in the order of sending."""

from __future__ import annotations

# place is the order in which the messages were made and must reach the node. attributes is the data set of the message
# in Explicit VR Little Endian, exactly what is sent: a message made before a power cut is the same after it. in_doubt:
# an attempt was broken off after it had begun, so that the node may have done what it was asked.
MPPS_MESSAGES: tuple[str, ...] = (
    """
    CREATE TABLE mpps_messages (
      place INTEGER PRIMARY KEY,
      mpps_sop_instance_uid TEXT NOT NULL,
      exam_id TEXT NOT NULL REFERENCES exams,
      node TEXT NOT NULL,
      operation TEXT NOT NULL CHECK (operation IN ('N-CREATE', 'N-SET')),
      step_status TEXT NOT NULL CHECK (step_status IN ('IN PROGRESS', 'COMPLETED', 'DISCONTINUED')),
      attributes BLOB NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'done', 'failed')),
      attempts INTEGER NOT NULL DEFAULT 0,
      in_doubt INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1)),
      status INTEGER,
      reason TEXT NOT NULL DEFAULT '',
      next_attempt_at TEXT NOT NULL DEFAULT '',
      changed_at TEXT NOT NULL,
      UNIQUE (mpps_sop_instance_uid, node, operation),
      CHECK ((operation = 'N-CREATE') = (step_status = 'IN PROGRESS')),
      CHECK ((state = 'queued') = (next_attempt_at <> ''))
    ) STRICT
    """,
    "CREATE INDEX mpps_messages_in_state ON mpps_messages (state, node)",
    "CREATE INDEX mpps_messages_of_exam ON mpps_messages (exam_id)",
)
