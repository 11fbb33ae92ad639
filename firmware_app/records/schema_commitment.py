"""Tables of storage commitment: transactions with their instances (PS3.4 annex J)."""

from __future__ import annotations

# States as in commitment_states. attempts counts the requests for these instances that came to nothing, over all their
# transactions; due_at is when a queued one is sent and when a requested one expires. place is the order of asking: of
# two answers about one instance the one of the later place counts.
COMMITMENTS: tuple[str, ...] = (
    """
    CREATE TABLE commitment_transactions (
      place INTEGER PRIMARY KEY,
      transaction_uid TEXT NOT NULL UNIQUE,
      node TEXT NOT NULL,
      stored_at_node TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('queued', 'requesting', 'requested', 'answered', 'expired')),
      attempts INTEGER NOT NULL DEFAULT 0,
      reason TEXT NOT NULL DEFAULT '',
      due_at TEXT NOT NULL,
      requested_at TEXT NOT NULL DEFAULT '',
      answered_at TEXT NOT NULL DEFAULT '',
      answered_by TEXT NOT NULL DEFAULT '',
      changed_at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX commitment_transactions_in_state ON commitment_transactions (state, due_at)",
    """
    CREATE TABLE commitment_instances (
      place INTEGER NOT NULL REFERENCES commitment_transactions,
      sop_instance_uid TEXT NOT NULL REFERENCES objects,
      result TEXT NOT NULL DEFAULT '' CHECK (result IN ('', 'committed', 'refused')),
      failure_reason INTEGER,
      PRIMARY KEY (place, sop_instance_uid)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX commitment_instances_of_instance ON commitment_instances (sop_instance_uid)",
    # What the archive said of an instance, as the queue shows it.
    "ALTER TABLE deliveries ADD COLUMN commitment TEXT NOT NULL DEFAULT '' "
    "CHECK (commitment IN ('', 'requested', 'committed', 'refused'))",
    "ALTER TABLE deliveries ADD COLUMN commitment_reason TEXT NOT NULL DEFAULT ''",
    # Stored, and not decided: what is still to be asked for stays a short list.
    "CREATE INDEX deliveries_undecided ON deliveries (node, changed_at) "
    "WHERE state = 'stored' AND commitment IN ('', 'requested')",
    "CREATE INDEX deliveries_refused ON deliveries (node) WHERE commitment = 'refused'",
)
