"""Who may read the database beside the release that wrote it, and the indexes that 100,000 instances need."""

from __future__ import annotations

# After a fall-back an earlier release finds a database that a later one has migrated. It may use it as it is if its own
# schema is not older than `oldest_reader`: what was added since are tables of which it knows nothing, and columns with
# defaults. So a migration adds. It neither renames nor drops, makes no column stricter, gives no new word to a CHECK,
# and a new table that refers to an old one does so ON DELETE CASCADE. One that cannot be so ends with this statement.
EARLIER_RELEASES_CANNOT_READ_IT = """
UPDATE schema_compatibility SET oldest_reader = (SELECT user_version + 1 FROM pragma_user_version)
"""

READERS_AND_INDEXES: tuple[str, ...] = (
    "CREATE TABLE schema_compatibility (oldest_reader INTEGER NOT NULL) STRICT",
    "INSERT INTO schema_compatibility SELECT user_version + 1 FROM pragma_user_version",
    "CREATE INDEX exams_of_patient ON exams (patient_id)",
)
