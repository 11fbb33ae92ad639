"""The service with another `synchronous` of SQLite than the product's: the control of deploy/power-cuts.

    python tests/relaxed_service.py NORMAL run --config FILE

It is no setting of the product: nobody but this program can switch it.
"""

from __future__ import annotations

import sqlite3
import sys

from firmware_app.cli import main
from firmware_app.records import database

MODES = ("OFF", "NORMAL", "FULL", "EXTRA")


def relax(mode: str) -> None:
    """Connections that the records open from now on have that mode, whatever they ask for."""
    if mode not in MODES:
        raise ValueError(f"synchronous is one of {', '.join(MODES)}, not {mode!r}")
    configure = database._configure

    def configure_and_relax(connection: sqlite3.Connection) -> None:
        configure(connection)
        connection.execute(f"PRAGMA synchronous = {mode}")

    database._configure = configure_and_relax


if __name__ == "__main__":
    relax(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
