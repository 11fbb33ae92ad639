"""What is kept of a trial on the data partition, so that the release before can tell what became of it."""

from __future__ import annotations

import os
from configparser import ConfigParser
from configparser import Error as ManifestError
from pathlib import Path

import msgspec

from firmware_app.device.trial import Trial
from firmware_app.services.whole_files import written_whole

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
            self.trial.unlink(missing_ok=True)
        else:
            self._write(self.trial, msgspec.json.encode(trial) + b"\n")
        self._sync_folder()

    def tell(self, news: str) -> None:
        """Raises `OSError`."""
        self._write(self.news, news.encode() + b"\n")
        self._sync_folder()

    def told(self) -> str:
        """ "" where nothing was ever installed."""
        try:
            with self.news.open("rb") as file:
                return file.read(FILE_MAX_BYTES).decode(errors="replace").strip()
        except OSError:
            return ""

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(mode=0o755, exist_ok=True)
        with written_whole(path) as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    def _sync_folder(self) -> None:
        if not self.trial.parent.is_dir():
            return
        folder = os.open(self.trial.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def bundle_version(mounted: Path) -> str:
    """Of the bundle that RAUC has checked and mounted; "?" where its manifest does not say."""
    manifest = ConfigParser(interpolation=None)
    try:
        with (mounted / MANIFEST).open(encoding="utf-8", errors="replace") as file:
            manifest.read_string(file.read(FILE_MAX_BYTES))
    except (OSError, ManifestError):
        return "?"
    return manifest.get("update", "version", fallback="?")
