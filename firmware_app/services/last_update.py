"""What became of the last update of the device image, for status and health."""

from __future__ import annotations

from pathlib import Path

# Written by `specular slot-trial`; in memory, so that no dead disk is asked.
FILE = Path("/run/specular-device/last-update")
MAX_BYTES = 4096


def last_update(told: Path = FILE) -> str:
    """ "" where nothing was ever installed, or this is no device of its own."""
    try:
        with told.open("rb") as file:
            return file.read(MAX_BYTES).decode(errors="replace").strip()
    except OSError:
        return ""
