"""`specular commit`: ask a node to commit to instances, and wait for its report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb, seconds
from firmware_app.verbs.outcome import EXIT_USAGE, importing, read_config, stopping
from firmware_app.verbs.peers import ask_peer

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs

WAIT_S = 30.0


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "commit", "storage commitment: one line per instance with its result", *parents.peer)
    verb.description = (
        "Ask the node to commit to the instances in the files, and wait for its report, on the association of the "
        "request or on one that the node opens to our own port."
    )
    verb.epilog = "While the service runs it takes the reports that come to its port: then --listen another, or 0."
    verb.add_argument("files", nargs="+", type=Path, metavar="FILE")
    verb.add_argument(
        "--listen", type=port, metavar="PORT", help="our own port (default: the configuration's); 0: do not listen"
    )
    verb.add_argument("--wait", type=seconds, default=WAIT_S, metavar="S", help="for the report (default 30)")
    verb.set_defaults(run=commit)


def port(word: str) -> int:
    if word.isascii() and word.isdigit() and len(word) <= 5 and int(word) <= 65535:
        return int(word)
    raise argparse.ArgumentTypeError(f"{word!r} is not a port number from 0 to 65535")


def commit(arguments: argparse.Namespace) -> int:
    with importing():
        from firmware_app.profiles import load_profile
        from firmware_app.services.commit_rows import commit_rows
        from firmware_app.services.peers import NotDeclared, declared

    profile = load_profile(read_config(arguments).profile)
    with stopping(EXIT_USAGE, NotDeclared):
        declared(profile, "commitment")
        if arguments.listen:
            declared(profile, "listener")
    return ask_peer(arguments, commit_rows(arguments.files, arguments.listen, arguments.wait))
