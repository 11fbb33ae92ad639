"""Tables of the print queue: one row per film, printed in the order in which they were asked for."""

from __future__ import annotations

# film is JSON: the values of the film session and film box; images are file names relative to the state folder, in the
# order of their image boxes.
PRINT_JOBS: tuple[str, ...] = (
    """
    CREATE TABLE print_jobs (
      job_id TEXT PRIMARY KEY NOT NULL,
      place INTEGER NOT NULL UNIQUE,
      exam_id TEXT REFERENCES exams,
      node TEXT NOT NULL,
      film TEXT NOT NULL,
      images TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('queued', 'printing', 'printed', 'failed')),
      attempts INTEGER NOT NULL DEFAULT 0,
      status INTEGER,
      reason TEXT NOT NULL DEFAULT '',
      next_attempt_at TEXT NOT NULL DEFAULT '',
      created_at TEXT NOT NULL,
      changed_at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX print_jobs_of_node ON print_jobs (node, state)",
)
