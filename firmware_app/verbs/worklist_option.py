"""`--worklist-item`: what `specular worklist --json` found, for the verbs that go on with it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.outcome import EXIT_USAGE, Stop, stopping

if TYPE_CHECKING:
    from firmware_app.model import WorklistItem

HELP = "lines of `specular worklist --json`, or - for stdin; several are a group of one patient"


def add_worklist_option(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--worklist-item", metavar="FILE", help=HELP)


def worklist_items(source: str | None) -> tuple[WorklistItem, ...]:
    """What the option names; none where it was not given. Ends with `Stop`."""
    if source is None:
        return ()
    from firmware_app.services.worklist_lines import BadWorklistItem, read_items

    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise Stop(EXIT_USAGE, f"--worklist-item {source}: {why}") from error
    with stopping(EXIT_USAGE, BadWorklistItem):
        return read_items(text.splitlines(), f"--worklist-item {source}")
