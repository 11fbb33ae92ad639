"""Verbs about the configuration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_USAGE, show

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "check-config", "all problems of a configuration file at once", parents.printed)
    verb.add_argument("file", type=Path, metavar="FILE")
    verb.set_defaults(run=check_config)


def check_config(arguments: argparse.Namespace) -> int:
    """Problems go to stderr, one a line; with --json to stdout as well, in one object."""
    from firmware_app import config

    problems = config.check_config(arguments.file)
    show(arguments.json, {"file": str(arguments.file), "problems": problems}, "" if problems else "no problems")
    for problem in problems:
        print(f"specular check-config: {problem}", file=sys.stderr)
    return EXIT_USAGE if problems else EXIT_DONE
