"""How the central corneal thickness of a capture was measured, where it was."""

from __future__ import annotations

# NULL: in one picture, which was the only way when the row was written.
THICKNESS_WAY = ("ALTER TABLE captures ADD COLUMN thickness_way TEXT",)
