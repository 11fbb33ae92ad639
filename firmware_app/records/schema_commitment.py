"""Tables of storage commitment: transactions with their instances (PS3.4 annex J)."""

from __future__ import annotations

# A transaction is queued, requested (the N-ACTION was answered), answered (the report came) or expired (no report came
# in time, or the request failed for good: its instances are asked for again under a new Transaction UID). A report that
# comes for an expired transaction still counts.
COMMITMENTS: tuple[str, ...] = (
    """
    CREATE TABLE commitment_transactions (
      transaction_uid TEXT PRIMARY KEY NOT NULL,
      place INTEGER NOT NULL UNIQUE,
      node TEXT NOT NULL,
      stored_at_node TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('queued', 'requested', 'answered', 'expired')),
      attempts INTEGER NOT NULL DEFAULT 0,
      reason TEXT NOT NULL DEFAULT '',
      due_at TEXT NOT NULL,
      requested_at TEXT NOT NULL DEFAULT '',
      answered_at TEXT NOT NULL DEFAULT '',
      changed_at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX commitment_transactions_in_state ON commitment_transactions (state, due_at)",
    """
    CREATE TABLE commitment_instances (
      transaction_uid TEXT NOT NULL REFERENCES commitment_transactions,
      sop_instance_uid TEXT NOT NULL REFERENCES objects,
      result TEXT NOT NULL DEFAULT '' CHECK (result IN ('', 'committed', 'refused')),
      failure_reason INTEGER,
      PRIMARY KEY (transaction_uid, sop_instance_uid)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX commitment_instances_of_instance ON commitment_instances (sop_instance_uid)",
    # What the archive said of an instance, as the queue shows it.
    "ALTER TABLE deliveries ADD COLUMN commitment TEXT NOT NULL DEFAULT '' "
    "CHECK (commitment IN ('', 'requested', 'committed', 'refused'))",
    "ALTER TABLE deliveries ADD COLUMN commitment_reason TEXT NOT NULL DEFAULT ''",
)
