"""Tables of the print queue: one row per film, printed in the order in which they were asked for."""

from __future__ import annotations

# film is JSON, the settings of film session and film box; images is JSON, what is printed in the order of the image
# boxes, as capture/<capture_id> or instance/<SOP Instance UID>. The state printing is entered before the printer is
# told to print and left when it has answered: what is found in it after a crash may be on film. AUTOINCREMENT, because
# job_id is what people type, and must never mean another film.
PRINT_JOBS: tuple[str, ...] = (
    """
    CREATE TABLE print_jobs (
      job_id INTEGER PRIMARY KEY AUTOINCREMENT,
      exam_id TEXT REFERENCES exams,
      node TEXT NOT NULL,
      automatic INTEGER NOT NULL CHECK (automatic IN (0, 1)),
      film TEXT NOT NULL,
      images TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'printing', 'printed', 'failed')),
      attempts INTEGER NOT NULL DEFAULT 0,
      status INTEGER,
      reason TEXT NOT NULL DEFAULT '',
      next_attempt_at TEXT NOT NULL DEFAULT '',
      created_at TEXT NOT NULL,
      changed_at TEXT NOT NULL,
      CHECK ((state = 'queued') = (next_attempt_at <> ''))
    ) STRICT
    """,
    "CREATE INDEX print_jobs_of_node ON print_jobs (node, state)",
    "CREATE INDEX print_jobs_of_exam ON print_jobs (exam_id)",
)
