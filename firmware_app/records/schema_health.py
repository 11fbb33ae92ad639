"""Table of the nodes: when each was last spoken with in success and in vain, which outlives a restart."""

from __future__ import annotations

# node is the name of its table in the configuration. A reason is ours or a status, never a peer's own comment.
NODE_CONTACTS: tuple[str, ...] = (
    """
    CREATE TABLE node_contacts (
      node TEXT PRIMARY KEY NOT NULL,
      succeeded_at TEXT NOT NULL DEFAULT '',
      success TEXT NOT NULL DEFAULT '',
      failed_at TEXT NOT NULL DEFAULT '',
      failure TEXT NOT NULL DEFAULT ''
    ) STRICT, WITHOUT ROWID
    """,
)
