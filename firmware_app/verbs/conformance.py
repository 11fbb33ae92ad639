"""The verb that prints the conformance statement."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_profile_option, add_verb
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_FAILED, Stop, read_config

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs


def add(verbs: Verbs, parents: Parents) -> None:
    text = "print the DICOM conformance statement of a profile, or of an installation"
    verb = add_verb(verbs, "conformance", text, parents.configured)
    verb.epilog = "With --config the statement is that of the file's profile, with the values of the file."
    add_profile_option(verb, "which profile (default: specular)")
    verb.add_argument("--format", choices=("markdown", "html"), help="default: by the name of FILE, else markdown")
    verb.add_argument("-o", "--out", type=Path, metavar="FILE", help="write FILE instead of standard output")
    verb.set_defaults(run=conformance)


def conformance(arguments: argparse.Namespace) -> int:
    from firmware_app.config.reading import default_config
    from firmware_app.profiles import load_profile

    config = read_config(arguments)
    profile = load_profile(config.profile)
    defaults = default_config(profile)
    here = config if arguments.config is not None else None
    from firmware_app.conformance.html import render_html
    from firmware_app.conformance.markdown import render_markdown
    from firmware_app.conformance.statement import write_statement

    document = write_statement(profile, defaults, here)
    text = render_html(document) if _is_html(arguments) else render_markdown(document)
    if arguments.out is None:
        sys.stdout.write(text)
        return EXIT_DONE
    try:
        arguments.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Stop(EXIT_FAILED, f"{arguments.out}: cannot be written: {error.strerror or error}") from error
    return EXIT_DONE


def _is_html(arguments: argparse.Namespace) -> bool:
    if arguments.format is not None:
        return bool(arguments.format == "html")
    return arguments.out is not None and arguments.out.suffix.lower() in (".html", ".htm")
