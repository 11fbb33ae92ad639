"""The verb that prints the conformance statement."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, Stop, read_config, stopping

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs


def add(verbs: Verbs, parents: Parents) -> None:
    text = "print the DICOM conformance statement of a profile, or of an installation"
    verb = add_verb(verbs, "conformance", text, parents.configured)
    verb.epilog = "With --config the statement is that of the file's profile, with the values of the file."
    verb.add_argument("--profile", metavar="NAME", help="which profile (default: specular)")
    verb.add_argument("--format", choices=("markdown", "html"), help="default: by the name of FILE, else markdown")
    verb.add_argument("-o", "--output", type=Path, metavar="FILE", help="write FILE instead of standard output")
    verb.set_defaults(run=conformance)


def conformance(arguments: argparse.Namespace) -> int:
    from firmware_app.config.reading import default_config
    from firmware_app.profiles import ProfileError, load_profile

    if arguments.profile is not None and arguments.config is not None:
        raise Stop(EXIT_USAGE, "--profile and --config exclude each other: the file names its profile")
    here = read_config(arguments) if arguments.config is not None else None
    with stopping(EXIT_USAGE, ProfileError):
        profile = load_profile(here.profile if here else arguments.profile or "specular")
        defaults = default_config(profile)
    from firmware_app.conformance.html import render_html
    from firmware_app.conformance.markdown import render_markdown
    from firmware_app.conformance.statement import write_statement

    document = write_statement(profile, defaults, here)
    text = render_html(document) if _is_html(arguments) else render_markdown(document)
    if arguments.output is None:
        sys.stdout.write(text)
        return EXIT_DONE
    try:
        arguments.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Stop(EXIT_FAILED, f"{arguments.output}: cannot be written: {error.strerror or error}") from error
    return EXIT_DONE


def _is_html(arguments: argparse.Namespace) -> bool:
    if arguments.format is not None:
        return bool(arguments.format == "html")
    return arguments.output is not None and arguments.output.suffix.lower() in (".html", ".htm")
