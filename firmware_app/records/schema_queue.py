"""Delivery by hand and retention: held rows and nodes, and what was removed after the archives had committed to it."""

from __future__ import annotations

# SQLite cannot change a CHECK: the table is made anew, with the state held and when the files were removed. Nothing
# refers to it. place stays what it is, the order of sending.
_DELIVERIES: tuple[str, ...] = (
    """
    CREATE TABLE deliveries_with_held (
      place INTEGER PRIMARY KEY,
      sop_instance_uid TEXT NOT NULL REFERENCES objects,
      node TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('captured', 'queued', 'held', 'sending', 'stored', 'failed')),
      attempts INTEGER NOT NULL DEFAULT 0,
      status INTEGER,
      reason TEXT NOT NULL DEFAULT '',
      next_attempt_at TEXT NOT NULL DEFAULT '',
      changed_at TEXT NOT NULL,
      commitment TEXT NOT NULL DEFAULT '' CHECK (commitment IN ('', 'requested', 'committed', 'refused')),
      commitment_reason TEXT NOT NULL DEFAULT '',
      removed_at TEXT NOT NULL DEFAULT '',
      UNIQUE (sop_instance_uid, node),
      CHECK ((state = 'captured') = (node = '')),
      CHECK ((state = 'queued') = (next_attempt_at <> ''))
    ) STRICT
    """,
    """
    INSERT INTO deliveries_with_held (place, sop_instance_uid, node, state, attempts, status, reason, next_attempt_at,
                                      changed_at, commitment, commitment_reason)
    SELECT place, sop_instance_uid, node, state, attempts, status, reason, next_attempt_at, changed_at, commitment,
           commitment_reason
    FROM deliveries
    """,
    "DROP TABLE deliveries",
    "ALTER TABLE deliveries_with_held RENAME TO deliveries",
    "CREATE INDEX deliveries_of_node ON deliveries (node, state)",
    "CREATE INDEX deliveries_in_state ON deliveries (state)",
    "CREATE INDEX deliveries_undecided ON deliveries (node, changed_at) "
    "WHERE state = 'stored' AND commitment IN ('', 'requested')",
    "CREATE INDEX deliveries_refused ON deliveries (node) WHERE commitment = 'refused'",
)

# A node is held until it is released: what is queued for it meanwhile waits too. A removal is noted before the first
# file goes, with files_left, and finished at the next start if a crash comes in between.
HOLDING_AND_REMOVAL: tuple[str, ...] = (
    *_DELIVERIES,
    "CREATE TABLE held_nodes (node TEXT PRIMARY KEY NOT NULL, held_at TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """
    CREATE TABLE removals (
      exam_id TEXT PRIMARY KEY NOT NULL REFERENCES exams,
      removed_at TEXT NOT NULL,
      reason TEXT NOT NULL,
      freed_bytes INTEGER NOT NULL DEFAULT 0,
      files_left INTEGER NOT NULL CHECK (files_left IN (0, 1))
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX removals_unfinished ON removals (exam_id) WHERE files_left = 1",
)
