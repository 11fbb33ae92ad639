"""A verb that asks a peer starts quickly because it imports only what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

NOT_NEEDED = {
    "PIL",
    "numpy",
    "pydicom",
    "pynetdicom",
    "serial",
    "sqlite3",
    "structlog",
    "firmware_app.app",
    "firmware_app.console.client",
    "firmware_app.demo",
    "firmware_app.endothelium",
    "firmware_app.net.listener",
    "firmware_app.objects",
    "firmware_app.records",
    "firmware_app.report",
    "hw.abc",
    "hw.tty",
    "hw.grbl.stage",
    "hw.asi.stage",
    "hw.sangaboard.stage",
    "hw.v4l2",
    "hw.serial_camera",
    "hw.folder_camera",
}
PROGRAM = "import sys; from firmware_app.cli import main; main(sys.argv[1:]); print(*sys.modules, sep='\\n')"


@pytest.mark.parametrize("verb", ["echo", "store"])
def test_what_is_not_needed_is_not_imported(verb: str) -> None:
    files = [__file__] if verb == "store" else []
    command = [sys.executable, "-c", PROGRAM, verb, "NOBODY@127.0.0.1:9", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split("\n"))
    assert "firmware_app.net.association" in imported, done.stderr
    assert imported & NOT_NEEDED == set()
