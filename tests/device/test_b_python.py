"""The suite under the image's Python, which is newer than the developers'."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from deploy.device_test.newer_python import run_suite
from deploy.image.wheels import PYTHON

# Console, records, devices, DICOM in and out: what has most to do with the interpreter's own modules.
SAMPLE = ("test_records_store", "test_records_rebuild", "test_grbl_stage", "test_serial_camera_driver", "test_tty",
          "test_exam_steps", "test_console_server", "test_console_client", "test_net_services", "test_delivery_archive",
          "test_watchdog", "test_cli_verbs")  # fmt: skip


def test_the_suite_passes_under_the_python_of_the_image(
    image: Path, is_long: bool, tell: Callable[[str], None]
) -> None:
    began_s = time.monotonic()
    sample = [f"tests/io/{name}.py" for name in SAMPLE] if is_long else []
    assert run_suite(image.parent / "tree", ["tests/unit", *sample]) == 0
    tell(
        f"Python {PYTHON}: tests/unit{' and a sample of tests/io' if sample else ''} {time.monotonic() - began_s:.0f} s"
    )
