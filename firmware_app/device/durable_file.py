"""A file of the data partition that a power cut leaves as it was or as it was to be. Light: a handler of RAUC waits."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

OWNER = "specular"


def write_durably(path: Path, content: bytes, *, secret: bool = False) -> None:
    """Under its name only when all of it is on the disk. `secret`: for the service and root alone. Raises `OSError`."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if os.geteuid() == 0 and secret:
            shutil.chown(unfinished, "root", OWNER)
        os.fchmod(file.fileno(), 0o640 if secret else 0o644)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """What was renamed or removed in it stays so. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
