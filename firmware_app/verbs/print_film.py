"""`specular print`: image files on film, or only how the printer is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from firmware_app.verbs.options import add_verb
from firmware_app.verbs.outcome import EXIT_FAILED, EXIT_USAGE, Stop, importing, read_config, stopping
from firmware_app.verbs.peers import ask_peer

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs

# Option, name of the film setting, what its value looks like, and what it is.
SETTINGS: Final = (
    ("--layout", "layout", "C,R", "columns and rows of images on a film"),
    ("--copies", "copies", "N", "number of copies"),
    ("--priority", "priority", "WORD", "LOW, MED or HIGH"),
    ("--medium", "medium", "WORD", "PAPER, CLEAR FILM or BLUE FILM"),
    ("--destination", "destination", "WORD", "MAGAZINE, PROCESSOR or BIN_1 to BIN_5"),
    ("--orientation", "orientation", "WORD", "PORTRAIT or LANDSCAPE"),
    ("--film-size", "film_size", "WORD", "8INX10IN, 10INX12IN, 11INX14IN, 14INX14IN, 14INX17IN or 24CMX30CM"),
    ("--magnification", "magnification", "WORD", "REPLICATE, BILINEAR, CUBIC or NONE"),
    ("--smoothing", "smoothing", "WORD", "the printer's own word, only with --magnification CUBIC"),
    ("--border-density", "border_density", "D", "BLACK, WHITE or hundredths of OD from 0 to 400"),
    ("--empty-image-density", "empty_image_density", "D", "BLACK, WHITE or hundredths of OD from 0 to 400"),
    ("--min-density", "min_density", "D", "hundredths of OD from 0 to 400"),
    ("--max-density", "max_density", "D", "hundredths of OD from 0 to 400"),
    ("--trim", "trim", "WORD", "a box around each image: YES or NO"),
    ("--configuration", "configuration_information", "TEXT", "the printer's own configuration words"),
    ("--polarity", "polarity", "WORD", "NORMAL or REVERSE"),
    ("--image-size-mm", "requested_image_size_mm", "MM", "the width of an image on the film"),
    ("--crop", "crop", "WORD", "what is done with too large an image: CROP, DECIMATE or FAIL"),
)


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "print", "grayscale print: one line per film with its status", *parents.peer)
    verb.description = (
        "Print image files (PNG, TIFF, JPEG, DICOM) on film, as many films as their images need. What is not given "
        "comes from the configuration's [print] table; the profile says what is allowed."
    )
    verb.add_argument("files", nargs="*", type=Path, metavar="FILE")
    verb.add_argument("--status", action="store_true", help="only ask the printer how it is")
    for option, name, metavar, text in SETTINGS:
        verb.add_argument(option, dest=f"film_{name}", metavar=metavar, help=text)
    verb.set_defaults(run=print_film)


def print_film(arguments: argparse.Namespace) -> int:
    with importing():
        from firmware_app.objects.film_settings import BadFilm, FilmSettings, film_settings
        from firmware_app.profiles import load_profile
        from firmware_app.services import print_rows
        from firmware_app.services.film_files import NotPrintable
        from firmware_app.services.peers import NotDeclared, declared

    given = {name: getattr(arguments, f"film_{name}") for _, name, _, _ in SETTINGS}
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
