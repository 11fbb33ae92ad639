"""The command line: what may be typed, and which room does it. No work is done here.

Exit status: 0 done; 1 the operation failed (the peer, the device or the image refused), the reason on stderr in one
line; 2 wrong usage or configuration; 130 interrupted. Everything heavy is imported by the verb that needs it.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress

from firmware_app import __version__
from firmware_app.services.causes import causes
from firmware_app.verbs import (
    calibrate,
    commit,
    configuration,
    conformance,
    device,
    images,
    mpps,
    objects,
    panorama,
    patients,
    peers,
    print_film,
    provision,
    queue,
    selftest,
    service,
    slot_trial,
)
from firmware_app.verbs.options import Parser, add_config_option, add_json_option, parents
from firmware_app.verbs.outcome import EXIT_FAILED, EXIT_INTERRUPTED, Stop

# In the order of the help.
VERBS = (
    service,
    images,
    panorama,
    objects,
    peers,
    patients,
    commit,
    mpps,
    print_film,
    queue,
    conformance,
    configuration,
    calibrate,
    selftest,
    device,
    provision,
    slot_trial,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status; wrong usage ends with SystemExit(2), as argparse has it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a stream that somebody replaced
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    # pydicom warns of odd values and quotes them, on stderr and in the journal. What matters we say ourselves.
    warnings.filterwarnings("ignore", module="pydicom")
    try:
        arguments, others = build_parser().parse_known_args(argv)
        if others and arguments.verb not in service.PASSED_ON:
            arguments.parser.error(f"unrecognized arguments: {' '.join(others)}")
        arguments.others = others
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except Stop as stop:
        print(f"specular {arguments.verb}: {stop}", file=sys.stderr)
        return stop.status
    except BrokenPipeError:
        # Whoever read our output has seen enough. The interpreter would complain when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except BaseException as error:
        if all(isinstance(cause, KeyboardInterrupt) for cause in causes(error)):
            return EXIT_INTERRUPTED
        raise


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="specular",
        description="Instrument software of a corneal-endothelium specular microscope. Not for clinical use.",
        epilog=(
            "Exit status: 0 done, 1 the operation failed (reason on stderr), 2 wrong usage or configuration. "
            "`specular VERB --help` explains a verb."
        ),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"specular {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add_config_option(parser, None)
    add_json_option(parser, False)
    shared = parents()
    for room in VERBS:
        room.add(verbs, shared)
    return parser
