"""`specular print`: image files on film, or only how the printer is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.services.film_options import FILM_OPTIONS
from firmware_app.verbs.options import add_verb
from firmware_app.verbs.outcome import EXIT_FAILED, EXIT_USAGE, Stop, importing, read_config, stopping
from firmware_app.verbs.peers import ask_peer

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "print", "grayscale print: one line per film with its status", *parents.peer)
    verb.description = (
        "Print image files (PNG, TIFF, JPEG, DICOM) on film, as many films as their images need. What is not given "
        "comes from the configuration's [print] table; the profile says what is allowed."
    )
    verb.epilog = "Such as: specular print FILMS@10.0.0.7:104 left.dcm right.dcm --layout 2,1 --film-size 8INX10IN"
    verb.add_argument("files", nargs="*", type=Path, metavar="FILE")
    verb.add_argument("--status", action="store_true", help="only ask the printer how it is")
    for option, name, metavar, text in FILM_OPTIONS:
        verb.add_argument(option, dest=f"film_{name}", metavar=metavar, help=text)
    verb.set_defaults(run=print_film)


def print_film(arguments: argparse.Namespace) -> int:
    with importing():
        from firmware_app.objects.film_settings import BadFilm, FilmSettings, film_settings
        from firmware_app.profiles import load_profile
        from firmware_app.services import print_rows
        from firmware_app.services.film_files import NotPrintable
        from firmware_app.services.peers import NotDeclared, declared

    given = {name: getattr(arguments, f"film_{name}") for _, name, _, _ in FILM_OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.status and (arguments.files or given):
        raise Stop(EXIT_USAGE, "--status only asks the printer: no FILE and no setting of a film goes with it")
    if not arguments.files and not arguments.status:
        raise Stop(EXIT_USAGE, "nothing to print: name a FILE, or ask only for the printer with --status")
    config = read_config(arguments)
    profile = load_profile(config.profile)
    with stopping(EXIT_USAGE, NotDeclared):
        declared(profile, "print")
    if arguments.status:
        return ask_peer(arguments, print_rows.printer_rows())
    tables = profile.print
    assert tables is not None  # a declared service has its tables
    with stopping(EXIT_USAGE, BadFilm):
        settings = film_settings(tables, FilmSettings.configured(config.print), given)
    with stopping(EXIT_FAILED, NotPrintable):
        rows = print_rows.print_rows(arguments.files, tables, settings)
    return ask_peer(arguments, rows)
