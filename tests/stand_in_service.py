"""The service where its numbers do not matter: the product's, with two things that none of its settings can switch.

    python tests/stand_in_service.py SYNCHRONOUS MEASURED run --config FILE

SYNCHRONOUS is what SQLite is told whatever the records ask for: FULL as in the product, NORMAL or OFF for the control.
MEASURED is a file of what the analysis says of pictures as large as the camera's, made before on the host: emulated
processors take a minute for each, and where the numbers come from is nothing to a disk.
"""

from __future__ import annotations

import pickle
import sqlite3
import sys
from collections.abc import Sequence
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


def measure_as_before(known: Sequence[Measurement]) -> None:
    """One of those that fit the picture, the same for the same picture; where none fits, it is measured."""
    measure = analysis.measure

    def choose(pixels: np.ndarray, bits_stored: int, um_per_px: float | None) -> Measurement:
        fitting = [each for each in known if each.mosaic is not None and each.mosaic.labels.shape == pixels.shape]
        if not fitting:
            return measure(pixels, bits_stored, um_per_px)
        return fitting[int(digest(pixels.tobytes()), 16) % len(fitting)]

    analysis.measure = choose


if __name__ == "__main__":
    if sys.argv[1] != "FULL":
        relax(sys.argv[1])
    measure_as_before(pickle.loads(Path(sys.argv[2]).read_bytes()))
    sys.exit(main(sys.argv[3:]))
