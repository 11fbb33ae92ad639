"""What is kept of a trial on the data partition, so that the release before can tell what became of it."""

from __future__ import annotations

from configparser import ConfigParser
from configparser import Error as ManifestError
from pathlib import Path

import msgspec

from firmware_app.device.durable_file import flush_folder, write_durably
from firmware_app.device.trial import Trial

TRIAL, NEWS = "trial.json", "news"
FILE_MAX_BYTES = 16 << 10
MANIFEST = "manifest.raucm"


class TrialFiles:
    """In `folder`, made at the first installation."""

    def __init__(self, folder: Path) -> None:
        self.trial, self.news = folder / TRIAL, folder / NEWS

    def read(self) -> Trial | None:
        """A file that cannot be read, or that nobody here wrote, is none: a broken disk must not cost a good slot."""
        try:
            with self.trial.open("rb") as file:
                return msgspec.json.decode(file.read(FILE_MAX_BYTES), type=Trial)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def write(self, trial: Trial | None) -> None:
        """Raises `OSError`."""
        if trial is None:
            if self.trial.parent.is_dir():
                self.trial.unlink(missing_ok=True)
                flush_folder(self.trial.parent)
        else:
            write_durably(self.trial, msgspec.json.encode(trial) + b"\n")

    def tell(self, news: str) -> None:
        """Raises `OSError`."""
        write_durably(self.news, news.encode() + b"\n")

    def told(self) -> str:
        """ "" where nothing was ever installed."""
        try:
            with self.news.open("rb") as file:
                return file.read(FILE_MAX_BYTES).decode(errors="replace").strip()
        except OSError:
            return ""


def bundle_version(mounted: Path) -> str:
    """Of the bundle that RAUC has checked and mounted; "?" where its manifest does not say."""
    manifest = ConfigParser(interpolation=None)
    try:
        with (mounted / MANIFEST).open(encoding="utf-8", errors="replace") as file:
            manifest.read_string(file.read(FILE_MAX_BYTES))
    except (OSError, ManifestError):
        return "?"
    return manifest.get("update", "version", fallback="?")
