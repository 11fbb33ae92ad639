"""Verbs that ask a peer: a node of the configuration, or AET@HOST:PORT."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb, count
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, Stop, importing, read_config, show, stopping

if TYPE_CHECKING:
    from firmware_app.services.network_verbs import Row, Rows
    from firmware_app.verbs.options import Parents, Verbs


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "echo", "C-ECHO: does the node answer?", *parents.peer)
    verb.add_argument("--count", type=count, default=1, metavar="N", help="so many on one association (default 1)")
    verb.set_defaults(run=echo)

    verb = add_verb(verbs, "worklist", "Modality Worklist C-FIND", *parents.peer)
    verb.epilog = "Such as: specular worklist RIS@10.0.0.5:104 --date today --name 'Yam*'"
    verb.add_argument("--date", default="", help="YYYYMMDD, a range YYYYMMDD-YYYYMMDD, or today")
    verb.add_argument("--modality", metavar="CS", help="such as OP (default: the configuration's)")
    verb.add_argument("--station", metavar="AET", help="scheduled station AE title (default: the configuration's)")
    verb.add_argument("--name", default="", help="patient's name; * and ? are wildcards")
    verb.add_argument("--id", default="", help="patient ID; * and ? are wildcards")
    verb.add_argument("--accession", default="", help="accession number")
    verb.add_argument("--procedure", default="", metavar="ID", help="requested procedure ID")
    verb.set_defaults(run=worklist)

    verb = add_verb(verbs, "store", "C-STORE: one line per instance with its status", *parents.peer)
    verb.epilog = (
        "Proposed is what the profile declares for the classes of the files, and behind it the file's own class or "
        "transfer syntax where it does not. A file whose syntax the node does not take goes uncompressed."
    )
    verb.add_argument("files", nargs="+", type=Path, metavar="FILE")
    verb.set_defaults(run=store)


def echo(arguments: argparse.Namespace) -> int:
    with importing():
        from firmware_app.services import network_verbs

    return ask_peer(arguments, network_verbs.echo_rows(arguments.count))


def worklist(arguments: argparse.Namespace) -> int:
    with importing():
        from firmware_app.services import query_rows
        from firmware_app.services.network_verbs import BadQuery
        from firmware_app.services.peers import NotDeclared

    keys = query_rows.WorklistKeys(
        arguments.date,
        arguments.modality,
        arguments.station,
        arguments.name,
        arguments.id,
        arguments.accession,
        arguments.procedure,
    )
    with stopping(EXIT_USAGE, BadQuery, NotDeclared):
        return ask_peer(arguments, query_rows.worklist_rows(keys))


def store(arguments: argparse.Namespace) -> int:
    with importing():
        from firmware_app.net import storage  # noqa: F401
        from firmware_app.services import network_verbs

    return ask_peer(arguments, network_verbs.store_rows(arguments.files))


def ask_peer(arguments: argparse.Namespace, rows: Rows) -> int:
    """Ask the peer and print each row as it comes. A row that is a failure makes the exit status 1."""
    from firmware_app.services import network_verbs
    from firmware_app.services.peers import BadPeer, NotDeclared

    config = read_config(arguments)
    bound = arguments.config is not None
    with stopping(EXIT_USAGE, BadPeer), stopping(EXIT_FAILED, *network_verbs.EXPECTED):
        peer = network_verbs.find_peer(arguments.node, config, bound, arguments.calling, arguments.timeout)
    failures: list[str] = []

    def show_row(row: Row) -> None:
        if row.data is not None or not arguments.json:
            show(arguments.json, row.data, row.text)
        if row.failure:
            failures.append(row.failure)

    with stopping(EXIT_USAGE, NotDeclared), stopping(EXIT_FAILED, *network_verbs.EXPECTED):
        network_verbs.run(rows, peer, show_row)
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise Stop(EXIT_FAILED, failures[0] + more)
    return EXIT_DONE
