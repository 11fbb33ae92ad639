"""Where outside programs are that our tests speak to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def peer_program(name: str) -> str | None:
    """Where the system has it, in no virtual environment: pynetdicom puts programs of DCMTK's names there."""
    if name.startswith("/"):
        return name if Path(name).is_file() else None
    folders = [
        folder for folder in os.environ.get("PATH", "").split(":") if not (Path(folder).parent / "pyvenv.cfg").exists()
    ]
    return shutil.which(name, path=":".join([*folders, "/usr/bin", "/usr/sbin", "/usr/local/sbin"]))
