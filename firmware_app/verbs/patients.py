"""`specular patients`: which patients an archive knows."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb
from firmware_app.verbs.outcome import EXIT_USAGE, importing, stopping
from firmware_app.verbs.peers import ask_peer

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "patients", "patient query C-FIND, in the profile's information model", *parents.peer)
    verb.add_argument("--name", default="", help="patient's name; * and ? are wildcards")
    verb.add_argument("--id", default="", help="patient ID; * and ? are wildcards")
    verb.set_defaults(run=patients)


def patients(arguments: argparse.Namespace) -> int:
    with importing():
        from firmware_app.services import query_rows
        from firmware_app.services.network_verbs import BadQuery
        from firmware_app.services.peers import NotDeclared

    with stopping(EXIT_USAGE, BadQuery, NotDeclared):
        return ask_peer(arguments, query_rows.patient_rows(arguments.name, arguments.id))
