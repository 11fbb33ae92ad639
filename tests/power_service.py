"""The service as deploy/power-cuts runs it: the product's, with two things that no setting of the product can switch.

    python tests/power_service.py SYNCHRONOUS MEASURED run --config FILE

SYNCHRONOUS is what SQLite is told whatever the records ask for: FULL as in the product, NORMAL or OFF for the control.
MEASURED is a file of what the analysis says of the camera's pictures, made before on the host: emulated processors
take a minute for each, and where the numbers come from is nothing to a disk.
"""

from __future__ import annotations

import pickle
import sqlite3
import sys
from pathlib import Path

import numpy as np

from firmware_app.cli import main
from firmware_app.model import Measurement
from firmware_app.records import database
from firmware_app.records.files import digest
from firmware_app.services import analysis

MODES = ("OFF", "NORMAL", "FULL")


def relax(mode: str) -> None:
    """Connections that the records open from now on have that mode, whatever they ask for."""
    if mode not in MODES:
        raise ValueError(f"synchronous is one of {', '.join(MODES)}, not {mode!r}")
    configure = database._configure

    def configure_and_relax(connection: sqlite3.Connection) -> None:
        configure(connection)
        connection.execute(f"PRAGMA synchronous = {mode}")

    database._configure = configure_and_relax


def measure_as_before(known: dict[str, Measurement]) -> None:
    """By the checksum of a picture's pixels; what is not known is measured."""
    measure = analysis.measure

    def look_up(pixels: np.ndarray, bits_stored: int, um_per_px: float | None) -> Measurement:
        found = known.get(digest(pixels.tobytes()))
        return found if found is not None else measure(pixels, bits_stored, um_per_px)

    analysis.measure = look_up


if __name__ == "__main__":
    if sys.argv[1] != "FULL":
        relax(sys.argv[1])
    measure_as_before(pickle.loads(Path(sys.argv[2]).read_bytes()))
    sys.exit(main(sys.argv[3:]))
